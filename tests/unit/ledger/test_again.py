"""Declined charges that are listed again: what a plan allows, what nobody may ask for, and the networks' caps."""

from collections import Counter
from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from include.domain.retry import Cap, ClaimTerms, Rules
from include.domain.states import NextAction, OutcomeStatus
from include.ledger import tables
from tests.flows_harness import BUSINESS_DATE
from tests.unit.ledger.lab import row

DECLINED, WITHDRAWN, PAID = OutcomeStatus.DECLINED, OutcomeStatus.WITHDRAWN, OutcomeStatus.PAID
ON = ClaimTerms(enabled=True)
YESTERDAY, TOMORROW = BUSINESS_DATE - timedelta(days=1), BUSINESS_DATE + timedelta(days=1)
TWO = Rules(caps=(Cap("two", "VISA", 2, 30), Cap("three", "MASTERCARD", 3, 30)))


def decide(lab, action: str, on: date | None = None, charge_id: str = "C", attempt_no: int = 1, **columns) -> None:
    """A decision after a declined attempt, as planning keeps it."""
    invoice = lab.invoice(charge_id, attempt_no)
    (last,) = lab.sql("SELECT coalesce(max(version), 0) AS n FROM next_attempt WHERE invoice_number = :i", i=invoice)
    values = {
        "invoice_number": invoice, "version": last["n"] + 1, "action": NextAction(action), "planned_on": on,
        "pay_day": False, "rule": "test", "words": "for a test", "decided_at": lab.now,
    }  # fmt: skip
    with lab.ledger.write() as connection:
        connection.execute(tables.next_attempt.insert().values({**values, **columns}))


def declined(lab, charge_id: str = "C", **changes) -> None:
    """A charge whose first attempt was declined."""
    lab.sent(row(charge_id, **changes))
    lab.outcome(lab.invoice(charge_id), DECLINED)


def became(lab, *rows, terms: ClaimTerms = ON, **plan) -> Counter[tuple[str, str, str]]:
    run, _ = lab.claim(*(rows or (row("C"),)), again=terms, **plan)
    return lab.fates(run)


def one(lab, *rows, terms: ClaimTerms = ON, **plan) -> tuple[str, str]:
    ((_, term, reason),) = became(lab, *rows, terms=terms, **plan)
    return term, reason


# --- plans ---


@pytest.mark.parametrize(
    ("planned", "fate"),
    [(YESTERDAY, ("claimed", "planned")), (BUSINESS_DATE, ("claimed", "planned")), (TOMORROW, ("deferred", "planned"))],
)
def test_a_plan_goes_out_when_its_day_has_come(lab, planned, fate):
    declined(lab)
    decide(lab, "retry", planned)
    assert one(lab) == fate


def test_the_next_attempt_follows_the_declined_one_and_takes_the_views_values(lab):
    declined(lab)
    decide(lab, "retry", BUSINESS_DATE)
    became(lab, row("C", 777, token="another-token-0123"))
    (second,) = lab.sql("SELECT * FROM attempt WHERE attempt_no = 2")
    assert (second["previous_invoice_number"], second["previous_status"]) == (lab.invoice("C", 1), "declined")
    assert (second["amount"], second["token"], second["rule"]) == (777, "another-token-0123", "planned")


@pytest.mark.parametrize("terms", [ClaimTerms(enabled=True, day_allowed=False), ClaimTerms(enabled=False)])
def test_not_on_a_day_that_is_not_allowed_and_not_when_switched_off(lab, terms):
    declined(lab)
    decide(lab, "retry", YESTERDAY)
    assert one(lab, terms=terms) == ("deferred", "planned" if terms.enabled else "declined")


def test_a_plan_for_pay_days_waits_for_one(lab):
    declined(lab)
    decide(lab, "retry", YESTERDAY, pay_day=True)
    assert one(lab, terms=ClaimTerms(enabled=True, pay_day=False)) == ("deferred", "planned")
    assert one(lab) == ("claimed", "planned")


def test_a_plan_is_used_once(lab):
    """The second attempt is declined too, and nobody has decided on it yet: the old plan is not its plan."""
    declined(lab)
    decide(lab, "retry", YESTERDAY)
    lab.sent(row("C"), again=ON)
    lab.outcome(lab.invoice("C", 2), DECLINED)
    assert one(lab) == ("deferred", "declined")


def test_the_latest_decision_counts(lab):
    declined(lab)
    decide(lab, "retry", YESTERDAY)
    decide(lab, "exhausted")
    assert one(lab) == ("settled", "exhausted")


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(
    ("action", "reason"), [("never", "never_again"), ("mandate_ended", "mandate_ended"), ("exhausted", "exhausted")]
)
def test_an_end_is_an_end_whoever_asks(lab, action, reason, enabled):
    declined(lab)
    decide(lab, action)
    terms = ClaimTerms(enabled=enabled)
    assert one(lab, terms=terms) == ("settled", reason)
    assert one(lab, row("C", attempt_no=2), terms=terms) == ("settled", reason)
    assert one(lab, row("C", token=None, reasons="token:missing"), terms=terms) == ("settled", reason)
    assert one(lab, row("C", 9999), terms=terms) == ("quarantined", "row:changed_after_settled")


def test_never_again_is_about_the_instrument(lab):
    declined(lab)
    decide(lab, "never")
    assert one(lab, row("C", token="another-token-0123"), terms=ClaimTerms()) == ("deferred", "declined")
    assert one(lab, row("C", token="another-token-0123")) == ("claimed", "new_instrument")


@pytest.mark.parametrize(
    "change", [{"token": "another-token-0123"}, {"amount": 5}, {"customer_id": "K2"}, {"due_date": YESTERDAY}]
)
def test_after_a_change_it_goes_on(lab, change):
    declined(lab)
    decide(lab, "after_change")
    assert one(lab) == ("held", "after_change")
    assert one(lab, row("C", description="x")) == ("held", "after_change")
    assert one(lab, row("C", **change)) == ("claimed", "after_change")


@pytest.mark.parametrize("action", ["after_change", "merchant_setup", "ask", "retry"])
def test_the_merchant_may_ask_before_that(lab, action):
    declined(lab)
    decide(lab, action, TOMORROW)
    assert one(lab, row("C", attempt_no=2)) == ("claimed", "merchant_asked")


def test_what_waits_for_the_set_up_is_held_and_what_nobody_decided_is_left(lab):
    declined(lab)
    decide(lab, "merchant_setup")
    assert one(lab) == ("held", "merchant_setup")
    decide(lab, "ask")
    assert one(lab) == ("deferred", "declined")


def test_an_asked_or_withdrawn_try_keeps_to_the_allowed_days_too(lab):
    declined(lab)
    decide(lab, "retry", YESTERDAY, pay_day=True)
    sunday = ClaimTerms(enabled=True, day_allowed=False)
    assert one(lab, row("C", attempt_no=2), terms=sunday) == ("deferred", "not_today")
    lab.sent(row("C"), again=ON)
    lab.outcome(lab.invoice("C", 2), WITHDRAWN)
    assert one(lab, terms=sunday) == ("deferred", "not_today")
    assert one(lab, terms=ClaimTerms(enabled=True, pay_day=False)) == ("deferred", "not_today")
    assert one(lab) == ("claimed", "after_withdrawal")


def test_a_first_attempt_that_was_withdrawn_goes_out_on_any_day(lab):
    lab.sent(row("C"))
    lab.outcome(lab.invoice("C"), WITHDRAWN)
    assert one(lab, terms=ClaimTerms(enabled=True, day_allowed=False)) == ("claimed", "after_withdrawal")


def test_paid_after_declined_is_paid(lab):
    declined(lab)
    decide(lab, "retry", YESTERDAY)
    lab.outcome(lab.invoice("C"), PAID)
    assert one(lab) == ("settled", "paid")


# --- never again, for everybody ---


def _stop(lab, fingerprint: str, invoice: str) -> None:
    values = {
        "token_fingerprint": fingerprint,
        "invoice_number": invoice,
        "rule": "r",
        "words": "w",
        "stopped_at": lab.now,
    }
    with lab.ledger.write() as connection:
        connection.execute(tables.stopped_instrument.insert().values(values))


@pytest.mark.parametrize("terms", [ON, ClaimTerms()])
def test_a_stopped_instrument_is_charged_for_nothing_any_more(lab, terms):
    declined(lab)
    (first,) = lab.sql("SELECT * FROM attempt")
    _stop(lab, first["token_fingerprint"], first["invoice_number"])
    decide(lab, "retry", YESTERDAY)
    found = became(lab, row("C", attempt_no=2), row("NEW"), row("OTHER", token="another-token-0123"), terms=terms)
    assert found == Counter({
        ("C", "held", "instrument_stopped"): 1, ("NEW", "held", "instrument_stopped"): 1,
        ("OTHER", "claimed", "first"): 1,
    })  # fmt: skip


@pytest.mark.parametrize("terms", [ON, ClaimTerms()])
def test_an_ended_mandate_holds_what_comes_under_its_billing_number(lab, terms):
    declined(lab, customer_id="K", billing_number="B1")
    values = {
        "billing_source": "billing", "customer_id": "K", "billing_number": "B1", "invoice_number": lab.invoice("C"),
        "rule": "r", "words": "w", "ended_at": lab.now,
    }  # fmt: skip
    with lab.ledger.write() as connection:
        connection.execute(tables.ended_mandate.insert().values(values))
    found = became(
        lab,
        row("NEW", customer_id="K", billing_number="B1"),
        row("OTHER", customer_id="K", billing_number="B2"),
        row("NONE", customer_id="K"),
        row("ELSE", customer_id="K2", billing_number="B1"),
        terms=terms,
    )
    assert {name for name, _, reason in found if reason == "mandate_ended"} == {"NEW"}
    assert sum(term == "claimed" for _, term, _ in found) == 3


@pytest.mark.parametrize("enabled", [True, False])
def test_the_view_cannot_ask_for_more_tries_than_a_charge_has(lab, enabled):
    declined(lab)
    decide(lab, "ask")
    asked = row("C", attempt_no=2)
    terms = ClaimTerms(enabled=enabled, max_per_charge=2)
    lab.claim(asked, again=terms)
    assert one(lab, asked, terms=terms) == ("in_flight", "awaiting")
    lab.outcome(lab.invoice("C", 2), DECLINED)
    decide(lab, "ask", attempt_no=2)
    assert one(lab, row("C", attempt_no=3), terms=terms) == ("held", "retry.max_per_charge")
    assert one(lab, row("C"), terms=terms) == ("deferred", "declined")


def test_a_withdrawn_try_leaves_the_view_another_one(lab):
    declined(lab)
    lab.claim(row("C", attempt_no=2), again=ClaimTerms(max_per_charge=2))
    lab.outcome(lab.invoice("C", 2), WITHDRAWN)
    assert one(lab, row("C", attempt_no=3), terms=ClaimTerms(max_per_charge=2)) == ("claimed", "after_withdrawal")


# --- caps ---


def capped(network: str | None = "VISA", **changes) -> ClaimTerms:
    return ClaimTerms(rules=TWO, **changes)


def test_what_goes_out_together_is_counted_together(lab):
    found = became(lab, *(row(f"C{n}", network="VISA") for n in range(4)), terms=capped())
    assert found == Counter({
        ("C0", "claimed", "first"): 1, ("C1", "claimed", "first"): 1, ("C2", "deferred", "network_cap"): 1,
        ("C3", "deferred", "network_cap"): 1,
    })  # fmt: skip


def test_other_tokens_amounts_and_older_tries_are_not_counted(lab):
    lab.sent(row("OLD"), row("OLD2"), execute_date=BUSINESS_DATE - timedelta(days=31))
    found = became(
        lab,
        *(row(f"C{n}", network="VISA") for n in range(2)),
        *(row(f"D{n}", 2000, network="VISA") for n in range(2)),
        *(row(f"E{n}", network="VISA", token="another-token-0123") for n in range(2)),
        terms=capped(),
    )
    assert {term for _, term, _ in found} == {"claimed"}


@pytest.mark.parametrize("outcome", [DECLINED, PAID, OutcomeStatus.UNKNOWN, None])
def test_earlier_tries_count_whatever_became_of_them_and_whoever_made_them(lab, outcome):
    lab.sent(
        row("A", network="VISA"), profile="another", billing_source="other", remote_folder="x",
        execute_date=BUSINESS_DATE - timedelta(days=30), run=lab.run(profile="another"),
    )  # fmt: skip
    if outcome:
        lab.outcome(lab.invoice("A"), outcome)
    found = became(lab, row("B", network="VISA"), row("C", network="VISA"), terms=capped())
    assert {(name, term) for name, term, _ in found} == {("B", "claimed"), ("C", "deferred")}


def test_withdrawn_tries_do_not_count(lab):
    lab.sent(row("A", network="VISA"))
    lab.outcome(lab.invoice("A"), WITHDRAWN)
    found = became(lab, row("B", network="VISA"), row("C", network="VISA"), terms=capped())
    assert {term for _, term, _ in found} == {"claimed"}


@pytest.mark.parametrize(
    ("network", "sent"), [("VISA", 2), ("mastercard", 3), ("JCB", 2), (None, 2)], ids=["visa", "mc", "other", "unknown"]
)
def test_an_unknown_network_has_the_strictest_cap(lab, network, sent):
    found = became(lab, *(row(f"C{n}", network=network) for n in range(5)), terms=capped())
    assert sum(term == "claimed" for _, term, _ in found) == sent


def test_the_network_may_come_from_the_masked_card_of_an_earlier_report(lab):
    lab.sent(row("A"))
    lab.outcome(lab.invoice("A"), PAID, masked_card="555555******4444")
    found = became(lab, *(row(f"C{n}") for n in range(5)), terms=capped())
    assert sum(term == "claimed" for _, term, _ in found) == 2  # three with the first


def test_caps_hold_for_what_the_merchant_asks_and_for_plans(lab):
    declined(lab, network="VISA")
    lab.sent(row("B", network="VISA"))
    decide(lab, "retry", YESTERDAY)
    assert one(lab, row("C", network="VISA", attempt_no=2), terms=capped()) == ("deferred", "network_cap")
    assert one(lab, row("C", network="VISA"), terms=capped(enabled=True)) == ("deferred", "network_cap")


# --- billing periods ---


def _bill(lab, name: str, **changes) -> dict:
    return row(name, customer_id="K", billing_number="B1", **changes)


def test_a_spent_period_closes_what_was_planned_in_it(lab):
    for name in ("A", "B"):
        lab.sent(_bill(lab, name))
        lab.outcome(lab.invoice(name), DECLINED)
        decide(lab, "retry", YESTERDAY, charge_id=name)
    terms = ClaimTerms(enabled=True, max_per_period=3)
    found = became(lab, _bill(lab, "A"), _bill(lab, "B"), terms=terms)
    assert found == Counter({("A", "claimed", "planned"): 1, ("B", "settled", "exhausted"): 1})
    (kept,) = lab.sql("SELECT * FROM next_attempt WHERE version = 2")
    assert (kept["action"], kept["rule"]) == ("exhausted", "retry.max_per_period")
    assert kept["invoice_number"] == lab.invoice("B")


def test_first_attempts_and_other_periods_are_not_closed(lab):
    lab.sent(_bill(lab, "A"))
    lab.outcome(lab.invoice("A"), DECLINED)
    decide(lab, "retry", YESTERDAY, charge_id="A")
    found = became(
        lab,
        _bill(lab, "A"),
        *(_bill(lab, f"NEW{n}") for n in range(3)),
        _bill(lab, "OTHER", billing_period="2026-Q3"),
        terms=ClaimTerms(enabled=True, max_per_period=2),
    )
    assert found["A", "settled", "exhausted"] == 1
    assert sum(term == "claimed" for _, term, _ in found) == 4


def test_the_billing_period_is_the_month_of_the_due_date_unless_mapped(lab):
    lab.claim(row("A"), row("B", billing_period="2026-Q4"))
    found = {one["charge_id"]: one["billing_period"] for one in lab.sql("SELECT * FROM attempt")}
    assert found == {"A": "2026-11", "B": "2026-Q4"}


# --- no longer listed ---


def test_a_plan_of_a_charge_that_is_gone_is_closed_and_opened_when_it_comes_back(lab):
    declined(lab)
    decide(lab, "retry", BUSINESS_DATE)
    became(lab, row("OTHER"))
    (last,) = lab.sql("SELECT * FROM next_attempt WHERE version = 2")
    assert (last["action"], last["rule"]) == ("withdrawn", "no_longer_listed")
    became(lab, row("OTHER2"))
    assert len(lab.sql("SELECT * FROM next_attempt")) == 2
    assert one(lab) == ("claimed", "listed_again")


@pytest.mark.parametrize("changes", [{"dry_run": True}, {"business_date": YESTERDAY}])
def test_a_run_that_sends_nothing_closes_nothing(lab, changes):
    declined(lab)
    decide(lab, "retry", YESTERDAY)
    lab.claim(row("OTHER"), again=ON, run=lab.run(**changes))
    assert len(lab.sql("SELECT * FROM next_attempt")) == 1


def test_what_is_not_due_or_not_this_profiles_is_not_missed(lab):
    declined(lab)
    decide(lab, "retry", TOMORROW)
    lab.sent(row("D"), profile="another", run=lab.run(profile="another"), remote_folder="sftp:/x")
    lab.outcome(lab.invoice("D"), DECLINED)
    decide(lab, "retry", YESTERDAY, charge_id="D")
    became(lab, row("OTHER"))
    assert lab.sql("SELECT * FROM next_attempt WHERE version > 1") == []


def test_the_temporary_tables_are_gone_after_the_claim(lab):
    became(lab, row("C"))
    with lab.ledger.engine.connect() as connection:
        assert not [name for name in sa.inspect(connection).get_temp_table_names() if name.startswith("staged")]


# --- recovered attempts ---


def recovered(lab, charge_id: str = "C") -> None:
    """A charge whose attempt was declined, as the ledger has it after it was rebuilt."""
    declined(lab, charge_id)
    with lab.ledger.write() as connection:
        bare = {"customer_id": "", "token": "", "token_fingerprint": None, "billing_period": None}
        connection.execute(tables.attempt.update().values(rule="recovered", **bare))


def _attempt(lab) -> dict:
    (found,) = lab.sql("SELECT * FROM attempt WHERE attempt_no = 1 AND charge_id = 'C'")
    return found


def test_a_recovered_attempt_is_completed_by_the_view(lab):
    recovered(lab)
    became(lab, row("C", 999, billing_number="B"))
    assert _attempt(lab)["customer_id"] == ""  # another amount may be another agreement
    became(lab, row("C", billing_number="B"))
    found = _attempt(lab)
    assert (found["customer_id"], found["billing_number"], found["billing_period"]) == ("K-C", "B", "2026-11")
    assert found["token_fingerprint"] is not None
    became(lab, row("C", token="a-token-that-came-later", billing_number="B"))
    assert _attempt(lab) == found


@pytest.mark.parametrize(
    ("action", "other", "reason"),
    [
        ("never", row("D"), "instrument_stopped"),
        ("mandate_ended", row("D"), "instrument_stopped"),
        ("mandate_ended", row("D", token="another-token", customer_id="K-C", billing_number="B"), "mandate_ended"),
    ],
)
def test_what_a_recovered_attempt_stops_is_stopped_once_the_view_says_what_it_is(lab, action, other, reason):
    recovered(lab)
    decide(lab, action)
    fates = became(lab, row("C", billing_number="B"), other)
    assert fates["D", "held", reason] == 1
    assert lab.sql("SELECT * FROM ended_mandate WHERE customer_id = ''") == []
    assert became(lab, other) == Counter({("D", "held", reason): 1})


def test_a_milder_decision_on_a_recovered_attempt_stops_nothing(lab):
    recovered(lab)
    decide(lab, "ask")
    assert became(lab, row("C"), row("D"))["D", "claimed", "first"] == 1


def test_after_a_recovered_attempt_the_token_may_be_another_one(lab):
    recovered(lab)
    decide(lab, "after_change")
    assert one(lab, terms=ClaimTerms(enabled=True, day_allowed=False)) == ("held", "after_change")
    assert one(lab) == ("claimed", "after_change")
