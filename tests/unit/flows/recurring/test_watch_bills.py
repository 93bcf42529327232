"""The watchdog knows bills: silence about them is noticed, without an SFTP server to ask where there is none."""

from datetime import timedelta
from typing import Any

import pytest

from include.domain.errors import RemoteError
from include.domain.states import NotificationKind, RunKind
from include.flows.recurring.ask import ask_for_charges
from include.flows.recurring.expect import expect_charges
from include.flows.recurring.tell import tell_charges
from include.flows.verify import findings
from include.ledger.inbox import Arrived, conclude, store
from tests.recurring_harness import Bills, payment
from tests.unit.flows.watch_drill import Told, kinds, look

ONLY_BILLS: dict[str, Any] = {
    "batch": None, "report": None, "recurring": {"dialect": "json", "ask_by": "", "schedule": "*/15 * * * *"},
    "watch": {"notify": ["ops"]},
}  # fmt: skip


@pytest.fixture
def bills(make_merchant):
    bills = Bills(make_merchant(changes=ONLY_BILLS))
    bills.merchant.server.plan("connect", times=1000, before=RemoteError("nobody may ask it"))
    return bills


def _kinds(bills) -> set[str]:
    return {kind for kind, _ in kinds(look(bills.merchant, Told()))}


def _receive(bills, body=b"x") -> int:
    arrived = Arrived(bills.merchant.profile.name, NotificationKind.PAYMENT, body.hex(), body, bills.merchant.now)
    with bills.merchant.ledger.write() as connection:
        return store(connection, arrived)[0]


def test_a_profile_without_batches_is_watched_without_asking_a_server(bills):
    assert _kinds(bills) == set()
    assert bills.merchant.server.sessions == 0
    assert list(findings(bills.merchant.context)) == []


def test_a_run_that_does_not_begin_is_told_while_doku_charges_bills(bills):
    bills.merchant.run(RunKind.RECURRING)
    bills.merchant.later(hours=2)
    assert _kinds(bills) == set()  # nothing is to be done
    bills.register()
    assert _kinds(bills) == {"recurring_not_started"}
    bills.run()
    assert _kinds(bills) == set()


def test_notifications_that_wait_or_failed_are_told(bills):
    bills.run()
    number = _receive(bills)
    bills.merchant.later(minutes=59)
    assert "notifications_waiting" not in _kinds(bills)
    bills.merchant.later(minutes=1)
    assert "notifications_waiting" in _kinds(bills)
    with bills.merchant.ledger.write() as connection:
        conclude(connection, number, "failed", "it cannot be read", None, bills.merchant.now)
    bills.run()
    assert _kinds(bills) == {"notifications_failed"}


def test_missing_charges_are_told_once_for_all_and_over_when_they_came(bills):
    bills.register()
    bills.register("B-2")
    expect_charges(bills.merchant.context)
    bills.merchant.later(hours=36)
    ask_for_charges(bills.merchant.context)
    bills.run()
    (alert,) = look(bills.merchant, Told()).alerts
    assert (alert.kind, alert.subject) == ("charges_missing", "charges")
    assert "2 charges" in alert.words
    assert "Rp 200,000" in alert.words
    for number in (1, 2):
        bills.notify(payment(f"R-{number}", f"B-{number}"))
    tell_charges(bills.merchant.context)
    assert _kinds(bills) == set()


def test_few_unexpected_charges_are_breaks_and_many_are_told_at_once(bills):
    bills.run()
    for number in range(10):
        bills.notify(payment(f"R-{number}", "B-9"))
    tell_charges(bills.merchant.context)
    assert _kinds(bills) == set()
    bills.notify(payment("R-10", "B-9"))
    assert _kinds(bills) == {"charges_unexpected"}


def test_what_the_merchant_is_not_told_and_what_stays_unknown_is_told(bills):
    bills.register()
    bills.notify(payment("R-1", code="5536", word="FAILED", succeeded=False))
    bills.merchant.now += timedelta(hours=1)
    bills.run()
    assert _kinds(bills) == {"not_written_back"}
    tell_charges(bills.merchant.context)
    bills.merchant.later(days=3)
    bills.run()
    assert _kinds(bills) == {"outcomes_unknown"}


def test_an_amount_that_nobody_knew_is_told_until_its_day_is_over(bills):
    from include.flows.recurring.amounts import answer_amount

    bills.register(amount=None)
    bills.run()
    answer_amount(bills.merchant.context, "B-1", "K-1")
    assert _kinds(bills) == {"amounts_not_known"}
    bills.merchant.later(days=1)
    bills.run()
    assert _kinds(bills) == set()


def test_money_that_was_collected_twice_is_critical_at_once(bills):
    bills.run()
    bills.register()
    bills.notify(payment("R-1"))
    bills.notify(payment("R-2"))
    tell_charges(bills.merchant.context)
    (alert,) = look(bills.merchant, Told()).alerts
    assert (alert.kind, alert.level) == ("money_at_risk", 3)
