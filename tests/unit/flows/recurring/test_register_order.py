"""Whatever the order in which DOKU tells, however often, in however many runs: the register is the same."""

import shutil
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from include.domain.connection import ConnectionSettings
from include.domain.states import NotificationKind
from tests.flows_harness import MORNING, Merchant
from tests.register_harness import RECURRING, Register, wanted

NUMBERS = [f"B-{number}" for number in range(6)]
_TOLD = st.lists(
    st.tuples(
        st.sampled_from(NUMBERS),
        st.sampled_from([NotificationKind.REGISTRATION, NotificationKind.CARD_UPDATE]),
        st.sampled_from(["SUCCESS", "SUCCESS", "FAILED"]),
        st.integers(1, 300),
    ),
    min_size=4,
    max_size=14,
    unique=True,
)


@st.composite
def _cases(draw):
    """What DOKU tells; and the same in another order, some of it twice, in runs that end anywhere."""
    told = draw(_TOLD)
    other = draw(st.permutations([*told, *draw(st.lists(st.sampled_from(told), max_size=3))]))
    ends = draw(st.sets(st.integers(0, len(other))))
    return told, other, ends


def _played(folder, ledger_file, keys, told, ends):
    folder.mkdir(parents=True)
    shutil.copyfile(ledger_file, folder / "ledger.db")
    ledger = ConnectionSettings("doku_ledger", "sqlite", host=str(folder / "ledger.db"))
    bills = Register(Merchant(folder / "merchant", ledger, keys, changes=RECURRING))
    bills.want(*(wanted(number) for number in NUMBERS))
    bills.register()
    bills.merchant.later(hours=4)
    bills.want(wanted(NUMBERS[0], status="cancelled"), wanted(NUMBERS[1], status="cancelled"))
    bills.register()
    bills.merchant.later(hours=4)
    for place, (number, kind, status, minute) in enumerate(told):
        token = f"{minute:04}{kind:x<28.28}"
        body = bills.registered(number, status, at=MORNING + timedelta(minutes=minute), token=token, card=str(minute))
        bills.hear(body, kind)
        if place in ends:
            bills.take_in()
    bills.take_in()
    rows = bills.merchant.sql("SELECT * FROM bill ORDER BY billing_number")
    events = bills.merchant.sql("SELECT billing_number, kind, at FROM bill_event ORDER BY 1, 2, 3")
    bills.merchant.ledger.engine.dispose()
    bills.merchant.billing.dispose()
    without = {"token_fingerprint", "checkout_url", "request_id"}  # each ledger's own
    return [{name: value for name, value in row.items() if name not in without} for row in rows], events


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(_cases())
def test_the_register_is_the_same_for_every_order(tmp_path_factory, ledger_file, doku_keys, case):
    told, other, ends = case
    folder = tmp_path_factory.mktemp("order")
    first = _played(folder / "first", ledger_file, doku_keys, told, set())
    assert _played(folder / "second", ledger_file, doku_keys, other, ends) == first


def test_the_register_knows_since_when_a_bill_has_its_days(make_merchant):
    bills = Register(make_merchant(changes=RECURRING))
    bills.live()
    bills.merchant.later(days=10)
    bills.want(wanted(amount="120000.00"))
    bills.register()
    assert bills.bill()["schedule_since"] is None
    bills.want(wanted(amount="120000.00", schedule_on="5"))
    bills.register()
    assert bills.bill()["schedule_since"].startswith(f"{bills.merchant.now:%Y-%m-%d %H:%M}")
