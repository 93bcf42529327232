"""Conservation under reordering: notifications in any order, repeated, and over many runs, give the same tables.

So do the answers to status questions and what people settle, which come between them.
"""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from include.domain.connection import ConnectionSettings
from include.flows.recurring.expect import expect_charges
from tests.flows_harness import MORNING, Merchant
from tests.recurring_harness import RECURRING, Bills, payment
from tests.sweeps.sample import FULL

DAY = date(2026, 11, 20)
EXAMPLES = 200 if FULL else 8
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
"""Shrinking takes minutes here, and says little more."""


_VOID = {"word": "VOIDED", "succeeded": None, "code": None}
_KINDS = st.sampled_from(
    [
        {}, {}, {}, {"code": "0051"}, {"code": "0005"}, {"code": "5536"}, {"code": "ZZZZ"}, _VOID,
        {"code": "0051", "word": "SUCCESS", "succeeded": True}, {"amount": 90_000}, {"approval_code": "A2"},
        {"customer_id": "K-9"}, {**_VOID, "amount": 10_000}, {"amount": None, "approval_code": None},
    ]
)  # fmt: skip
_REFERENCES = st.sampled_from(["R-1", "R-2", "R-3"])
_NOTICE = st.builds(
    lambda reference, bill, days, changes: payment(
        reference, bill, **{"paid_at": MORNING + timedelta(days=days), **changes}
    ),
    _REFERENCES,
    st.sampled_from(["B-1", "B-1", "B-1", "B-2", "B-9"]),
    st.sampled_from([0, 0, 1, 12, 30, 35]),
    _KINDS,
)
_ANSWER = st.tuples(
    st.sampled_from(["status", "person"]), st.sampled_from(["paid", "declined", "reversed"]),
    st.one_of(st.none(), _REFERENCES), st.integers(1, 9),
)  # fmt: skip


@st.composite
def _case(draw):
    """What is said; and the same in another order, some of it twice."""
    notices = draw(st.lists(_NOTICE, min_size=1, max_size=7))
    # Each at a moment of its own: of one witness the last word counts.
    answers = draw(st.lists(_ANSWER, max_size=3, unique_by=lambda one: one[3]))
    again = draw(st.lists(st.sampled_from(notices), max_size=3))
    return [*notices, *answers], draw(st.permutations([*notices, *answers, *again])), draw(st.booleans())


@pytest.fixture(scope="module")
def bills(tmp_path_factory, ledger_file, doku_keys):
    """Two bills at DOKU: one of the 20th, one of each Friday whose amount varies."""
    root = tmp_path_factory.mktemp("base")
    (root / "ledger.db").write_bytes(ledger_file.read_bytes())
    settings = ConnectionSettings("l", "sqlite", host=str(root / "ledger.db"))
    bills = Bills(Merchant(root=root, ledger_settings=settings, keys=doku_keys, changes=RECURRING))
    bills.register("B-1")
    bills.register("B-2", schedule="day", schedule_on="FRI", amount=None)
    yield bills
    bills.merchant.ledger.engine.dispose()


def _final(bills, said, *, in_runs=False):
    bills.forget()
    bills.merchant.now = datetime(2027, 1, 10, 3, tzinfo=UTC)
    expect_charges(bills.merchant.context) if not in_runs else None
    for one in said:
        bills.merchant.later(minutes=15)
        if isinstance(one, tuple):
            witness, status, reference, minute = one
            moment = datetime(2026, 12, 1, 0, minute, tzinfo=UTC)
            bills.says(witness, status, reference, None if reference else DAY, said_at=moment)
        else:
            bills.notify(one)
        expect_charges(bills.merchant.context) if in_runs else None
    expect_charges(bills.merchant.context)
    return bills.tables()


_LATE_VOID = payment("R-1", paid_at=MORNING + timedelta(days=30), **_VOID)


@example(case=([payment("R-1"), _LATE_VOID], [_LATE_VOID, payment("R-1")], False))
@example(case=([("status", "paid", None, 1), payment("R-1")], [payment("R-1"), ("status", "paid", None, 1)], True))
@example(
    case=(
        [payment("R-2", paid_at=MORNING + timedelta(days=35)), ("status", "declined", None, 7)],
        [("status", "declined", None, 7), payment("R-2", paid_at=MORNING + timedelta(days=35))],
        True,
    )
)
@settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], phases=PHASES
)
@given(case=_case())
def test_whatever_the_order_in_which_it_is_said_the_tables_are_the_same(bills, case):
    said, shuffled, in_runs = case
    assert _final(bills, shuffled, in_runs=in_runs) == _final(bills, said)
