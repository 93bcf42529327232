"""Conservation under reordering: notifications in any order, repeated, and over many runs, give the same tables."""

import shutil
from datetime import datetime, timedelta

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from include.domain.connection import ConnectionSettings
from include.flows.recurring.expect import expect_charges
from tests.flows_harness import MORNING, Merchant
from tests.recurring_harness import RECURRING, Bills, payment

_VOID = {"word": "VOIDED", "succeeded": None, "response_code": None}
_KINDS = st.sampled_from(
    [
        {}, {}, {}, {"code": "0051"}, {"code": "0005"}, {"code": "5536"}, {"code": "ZZZZ"}, _VOID,
        {"code": "0051", "word": "SUCCESS", "succeeded": True}, {"amount": 90_000}, {"approval_code": "A2"},
        {"customer_id": "K-9"}, {**_VOID, "amount": 10_000}, {"amount": None, "approval_code": None},
    ]
)  # fmt: skip
_NOTICE = st.builds(
    lambda reference, bill, days, changes: payment(
        reference, bill, **{"paid_at": MORNING + timedelta(days=days), **changes}
    ),
    st.sampled_from(["R-1", "R-2", "R-3"]),
    st.sampled_from(["B-1", "B-1", "B-1", "B-2", "B-9"]),
    st.sampled_from([0, 0, 1, 12, 30, 35]),
    _KINDS,
)


@st.composite
def _case(draw):
    """Notifications; and the same ones in another order, some of them twice."""
    notices = draw(st.lists(_NOTICE, min_size=1, max_size=7))
    again = draw(st.lists(st.sampled_from(notices), max_size=3))
    return notices, draw(st.permutations([*notices, *again]))


@pytest.fixture(scope="module")
def base(tmp_path_factory, ledger_file, doku_keys):
    """Two bills at DOKU: one of the 20th, one of each Friday whose amount varies."""
    root = tmp_path_factory.mktemp("base")
    shutil.copyfile(ledger_file, root / "ledger.db")
    bills = _bills(root, doku_keys)
    bills.register("B-1")
    bills.register("B-2", schedule="day", schedule_on="FRI", amount=None)
    bills.merchant.ledger.engine.dispose()
    return root, doku_keys


def _bills(root, keys):
    settings = ConnectionSettings("l", "sqlite", host=str(root / "ledger.db"))
    return Bills(Merchant(root=root, ledger_settings=settings, keys=keys, changes=RECURRING))


def _final(base, folder, notices):
    root, keys = base
    shutil.copytree(root, folder)
    bills = _bills(folder, keys)
    bills.merchant.now = datetime.fromisoformat("2027-01-10T03:00:00+00:00")
    for event in notices:
        bills.merchant.later(minutes=15)
        bills.notify(event)
    expect_charges(bills.merchant.context)
    found = bills.tables()
    bills.merchant.ledger.engine.dispose()
    return found


@example(
    case=(
        [payment("R-1"), payment("R-1", paid_at=MORNING + timedelta(days=30), **{**_VOID, "code": None})],
        [payment("R-1", paid_at=MORNING + timedelta(days=30), **{**_VOID, "code": None}), payment("R-1")],
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=_case())
def test_notifications_in_any_order_and_repeated_give_the_same_tables(base, tmp_path_factory, case):
    notices, shuffled = case
    folder = tmp_path_factory.mktemp("order")
    assert _final(base, folder / "shuffled", shuffled) == _final(base, folder / "given", notices)
    shutil.rmtree(folder)
