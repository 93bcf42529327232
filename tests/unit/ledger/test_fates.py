"""What becomes of each listed row, rule by rule, and which rule goes first."""

from collections import Counter
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from include.domain.states import BatchState, OutcomeStatus
from include.ledger import again, fates, tables
from tests.flows_harness import BUSINESS_DATE
from tests.unit.ledger.lab import SOURCE, row

PAID, DECLINED, WITHDRAWN, UNKNOWN, REVERSED = (
    OutcomeStatus.PAID, OutcomeStatus.DECLINED, OutcomeStatus.WITHDRAWN, OutcomeStatus.UNKNOWN, OutcomeStatus.REVERSED,
)  # fmt: skip


def _after(lab, *outcomes: OutcomeStatus, listed=None, first=None) -> set[tuple[str, str]]:
    """What becomes of a charge that is listed again after its first attempt ended so."""
    lab.sent(first or row("C"))
    for status in outcomes:
        lab.outcome(lab.invoice("C"), status)
    run, _ = lab.claim(listed or row("C"))
    return {(term, reason) for _, term, reason in lab.fates(run)}


def test_a_good_row_becomes_a_first_attempt(lab):
    run, (batch_id,) = lab.claim(row("C", 1500))
    assert lab.fates(run) == Counter({("C", "claimed", "first"): 1})
    (attempt,) = lab.sql("SELECT * FROM attempt")
    assert (attempt["attempt_no"], attempt["amount"], attempt["line_no"], attempt["batch_id"]) == (1, 1500, 1, batch_id)


# --- rows of one run ---


def test_rows_that_only_have_a_key_in_common_are_charges_of_their_own(lab, monkeypatch):
    @contextmanager
    def one_key(connection, column):
        connection.execute(sa.text("CREATE TEMPORARY TABLE staged_alike AS SELECT 1 AS key"))
        yield "1"
        connection.execute(sa.text("DROP TABLE staged_alike"))

    for module in (again, fates):
        monkeypatch.setattr(module, "rows_alike", one_key)
    run, _ = lab.claim(row("A"), row("B"), row("C"), row("C"), row(None, reasons="charge_id:missing"))
    assert lab.fates(run) == Counter(
        {
            ("A", "claimed", "first"): 1, ("B", "claimed", "first"): 1, ("C", "claimed", "first"): 1,
            ("C", "quarantined", "row:repeated"): 1, (None, "quarantined", "charge_id:missing"): 1,
        }
    )  # fmt: skip


def test_a_long_day_is_cut_where_the_limits_say_so(lab):
    others = {5, 1003, 2001}
    rows = [row(f"C{no:04}", currency="USD" if no in others else "IDR") for no in range(1, 2301)]
    _, batch_ids = lab.claim(*rows, max_rows=1100)
    batches = lab.sql("SELECT * FROM batch ORDER BY batch_id")
    assert [(one["currency"], one["line_count"], one["total_amount"]) for one in batches] == [
        ("IDR", 1100, 1100 * rows[0]["amount"]),
        ("IDR", 1100, 1100 * rows[0]["amount"]),
        ("IDR", 97, 97 * rows[0]["amount"]),
        ("USD", 3, 3 * rows[0]["amount"]),
    ]
    claimed = lab.sql("SELECT * FROM attempt WHERE currency = 'IDR' ORDER BY batch_id, charge_id")
    assert [one["charge_id"] for one in claimed] == [one["charge_id"] for one in rows if one["currency"] == "IDR"]
    numbers = {batch_id: sorted(one["invoice_number"] for one in claimed if one["batch_id"] == batch_id)
               for batch_id in batch_ids}  # fmt: skip
    assert all(one["invoice_number"] == numbers[one["batch_id"]][one["line_no"] - 1] for one in claimed)
    assert batch_ids == [one["batch_id"] for one in batches]


def test_identical_rows_are_one_charge(lab):
    run, _ = lab.claim(row("C"), row("C"), row("C"))
    assert lab.fates(run) == Counter({("C", "claimed", "first"): 1, ("C", "quarantined", "row:repeated"): 2})


@pytest.mark.parametrize(
    "difference",
    [
        {"amount": 2000},
        {"customer_id": "K2"},
        {"billing_number": "B2"},
        {"token": "another-token-0123"},
        {"due_date": BUSINESS_DATE.replace(day=19)},
        {"currency": "USD", "reasons": "currency:not_allowed"},
        {"channel": "x"},
        {"description": "x"},
        {"network": "VISA"},
        {"attempt_no": 1},
        {"reasons": "amount:unreadable", "amount": 0},
    ],
)
def test_differing_rows_of_one_charge_are_all_kept_out(lab, difference):
    run, batch_ids = lab.claim(row("C"), row("C", **difference), row("C"))
    assert batch_ids == []
    fates = lab.fates(run)
    assert sum(fates.values()) == 3
    assert {term for _, term, _ in fates} == {"quarantined"}
    expected = "row:several_tokens" if "token" in difference else "row:conflicting"
    assert all(expected in reason for _, _, reason in fates)


def test_rows_without_a_charge_id_are_not_each_other(lab):
    run, _ = lab.claim(row(None, reasons="charge_id:missing"), row(None, 5, reasons="charge_id:missing"))
    assert lab.fates(run) == Counter({(None, "quarantined", "charge_id:missing"): 2})


def test_all_reasons_are_kept(lab):
    run, _ = lab.claim(
        row("C", reasons="token:missing;amount:not_whole"),
        row("D", 1, reasons="token:missing"),
        row("D", 2),
    )
    assert lab.fates(run) == Counter(
        {
            ("C", "quarantined", "token:missing;amount:not_whole"): 1,
            ("D", "quarantined", "token:missing;row:conflicting"): 1,
            ("D", "quarantined", "row:conflicting"): 1,
        }
    )


def test_a_repeated_row_that_is_invalid_is_quarantined_twice(lab):
    run, _ = lab.claim(row("C", reasons="token:missing"), row("C", reasons="token:missing"))
    assert lab.fates(run) == Counter(
        {("C", "quarantined", "token:missing"): 1, ("C", "quarantined", "token:missing;row:repeated"): 1}
    )


# --- what the ledger knows ---


@pytest.mark.parametrize("outcomes", [(PAID,), (DECLINED, PAID), (UNKNOWN, PAID), (WITHDRAWN, PAID), (REVERSED,)])
def test_a_paid_charge_is_settled(lab, outcomes):
    assert _after(lab, *outcomes) == {("settled", "paid")}


@pytest.mark.parametrize(
    "change",
    [{"amount": 2000}, {"due_date": BUSINESS_DATE.replace(day=1)}, {"customer_id": "K2"}, {"due_date": None}],
)
def test_a_paid_charge_that_changed_is_not_silently_settled(lab, change):
    assert _after(lab, PAID, listed=row("C", **change)) == {("quarantined", "row:changed_after_settled")}


@pytest.mark.parametrize("change", [{"token": "another-token"}, {"description": "x"}, {"channel": "y"}])
def test_a_paid_charge_with_another_token_or_text_is_still_settled(lab, change):
    assert _after(lab, PAID, listed=row("C", **change)) == {("settled", "paid")}


def test_a_paid_charge_is_settled_even_if_its_row_is_invalid_now(lab):
    assert _after(lab, PAID, listed=row("C", token=None, reasons="token:missing")) == {("settled", "paid")}


def test_a_paid_charge_that_changed_and_is_invalid_shows_both(lab):
    found = _after(lab, PAID, listed=row("C", 0, reasons="amount:unreadable"))
    assert found == {("quarantined", "amount:unreadable;row:changed_after_settled")}


def test_an_attempt_without_an_outcome_is_in_flight(lab):
    assert _after(lab) == {("in_flight", "awaiting")}


def test_an_attempt_is_in_flight_before_its_batch_has_left(lab):
    lab.claim(row("C"))
    run, _ = lab.claim(row("C"))
    assert lab.fates(run) == Counter({("C", "in_flight", "awaiting"): 1})


def test_an_unknown_outcome_is_in_flight_and_never_tried_again(lab):
    assert _after(lab, UNKNOWN, listed=row("C", attempt_no=2)) == {("in_flight", "unknown")}


def test_a_changed_charge_in_flight_is_in_flight(lab):
    assert _after(lab, listed=row("C", 9999)) == {("in_flight", "awaiting")}


def test_an_invalid_row_in_flight_is_in_flight(lab):
    assert _after(lab, listed=row("C", reasons="token:missing")) == {("in_flight", "awaiting")}


def test_a_declined_charge_is_deferred(lab):
    assert _after(lab, DECLINED) == {("deferred", "declined")}
    assert _after_unknown_too(lab) == {("deferred", "declined")}


def _after_unknown_too(lab) -> set[tuple[str, str]]:
    lab.outcome(lab.invoice("C"), UNKNOWN)
    run, _ = lab.claim(row("C"))
    return {(term, reason) for _, term, reason in lab.fates(run)}


def test_a_declined_charge_goes_out_again_when_the_merchant_asks(lab):
    assert _after(lab, DECLINED, listed=row("C", 2000, attempt_no=2)) == {("claimed", "merchant_asked")}
    (second,) = lab.sql("SELECT * FROM attempt WHERE attempt_no = 2")
    assert second["previous_invoice_number"] == lab.invoice("C", 1)
    assert (second["previous_status"], second["amount"]) == ("declined", 2000)
    assert second["invoice_number"] == lab.invoice("C", 1)[:-2] + "02"


@pytest.mark.parametrize("asked", [None, 1])
def test_it_does_not_when_the_merchant_does_not_ask_for_the_next(lab, asked):
    assert _after(lab, DECLINED, listed=row("C", attempt_no=asked)) == {("deferred", "declined")}


@pytest.mark.parametrize("outcomes", [(), (DECLINED,), (WITHDRAWN,)])
def test_a_merchant_who_counts_further_than_the_ledger_is_held(lab, outcomes):
    expected = ("in_flight", "awaiting") if not outcomes else ("held", "attempt_no_ahead")
    assert _after(lab, *outcomes, listed=row("C", attempt_no=3)) == {expected}


def test_a_new_charge_that_the_merchant_counts_from_two_is_held(lab):
    run, _ = lab.claim(row("C", attempt_no=2), row("D", attempt_no=1))
    assert lab.fates(run) == Counter({("C", "held", "attempt_no_ahead"): 1, ("D", "claimed", "first"): 1})


def test_a_withdrawn_charge_goes_out_again_with_its_present_values(lab):
    assert _after(lab, WITHDRAWN, listed=row("C", 777, token="another-token")) == {("claimed", "after_withdrawal")}
    (second,) = lab.sql("SELECT * FROM attempt WHERE attempt_no = 2")
    assert (second["previous_status"], second["amount"], second["token"]) == ("withdrawn", 777, "another-token")


def test_a_charge_may_be_withdrawn_again_and_again(lab):
    for number in range(1, 5):
        run, (batch_id,) = lab.claim(row("C"))
        assert lab.invoice("C", number).endswith(f"{number:02}")
        lab.outcome(lab.invoice("C", number), WITHDRAWN)
        lab.move(batch_id, BatchState.WITHDRAWN)
    run, _ = lab.claim(row("C"))
    assert lab.fates(run) == Counter({("C", "claimed", "after_withdrawal"): 1})


def test_withdrawn_and_declined_is_declined(lab):
    assert _after(lab, WITHDRAWN, DECLINED) == {("deferred", "declined")}


def test_a_charge_that_was_paid_by_an_older_attempt_is_settled(lab):
    """The report on the first attempt came after the second had been sent."""
    lab.sent(row("C"))
    lab.outcome(lab.invoice("C"), DECLINED)
    lab.sent(row("C", attempt_no=2))
    lab.outcome(lab.invoice("C", 1), PAID)
    run, _ = lab.claim(row("C"))
    assert lab.fates(run) == Counter({("C", "settled", "paid"): 1})


def test_the_number_of_attempts_ends_at_99(sqlite_lab):
    """An invoice number has two digits for it."""
    lab = sqlite_lab
    batch_id = lab.sent(row("C"))
    stem = lab.invoice("C")[:-2]
    copied = "a.billing_source, a.charge_id, :no, :before, 'withdrawn', a.profile, a.batch_id, :no"
    rest = "customer_id, token, amount, currency, due_date, execute_date, rule"
    with lab.ledger.write() as connection:
        for number in range(2, 100):
            connection.execute(
                tables.outcome.insert().values(
                    invoice_number=f"{stem}{number - 1:02}", status="withdrawn", decided_at=lab.now, witness="person"
                )
            )
            connection.execute(
                sa.text(
                    "INSERT INTO attempt (invoice_number, billing_source, charge_id, attempt_no,"
                    f" previous_invoice_number, previous_status, profile, batch_id, line_no, {rest})"
                    f" SELECT :invoice, {copied}, {rest} FROM attempt a WHERE a.batch_id = :batch AND a.line_no = 1"
                ),
                {"invoice": f"{stem}{number:02}", "no": number, "before": f"{stem}{number - 1:02}", "batch": batch_id},
            )
    lab.outcome(f"{stem}99", WITHDRAWN)
    run, batch_ids = lab.claim(row("C"))
    assert batch_ids == []
    assert {term for _, term, _ in lab.fates(run)} == {"deferred"}


# --- holds, lateness, precedence ---


@pytest.mark.parametrize(("scope", "subject"), [("charge", "C"), ("customer", "K-C"), ("profile", "insurance")])
def test_a_hold(lab, scope, subject):
    lab.hold(scope, subject)
    run, _ = lab.claim(row("C"))
    assert lab.fates(run) == Counter({("C", "held", f"{scope}_hold"): 1})


def test_several_holds_hold_once(lab):
    lab.hold("charge", "C")
    lab.hold("charge", "C")
    lab.hold("customer", "K-C")
    lab.hold("profile", "insurance")
    run, _ = lab.claim(row("C"), row("D", customer_id="K-C"))
    assert sum(lab.fates(run).values()) == 2
    assert {term for _, term, _ in lab.fates(run)} == {"held"}


def test_holds_of_others_and_lifted_ones_hold_nothing(lab):
    lab.hold("charge", "X")
    lab.hold("profile", "another")
    lab.hold("charge", "C", billing_source="another")
    lab.hold("customer", "C")
    lab.hold("charge", "K-C")
    lab.hold("charge", "C", released_by="ani", released_at=lab.now)
    run, _ = lab.claim(row("C"))
    assert lab.fates(run) == Counter({("C", "claimed", "first"): 1})


def test_a_late_charge_is_held(lab):
    run, _ = lab.claim(row("C", late=True))
    assert lab.fates(run) == Counter({("C", "held", "late"): 1})


def test_precedence(lab):
    """Each row breaks every later rule as well; the earliest decides."""
    lab.sent(row("PAID"), row("FLIGHT"), row("DECLINED"))
    lab.outcome(lab.invoice("PAID"), PAID)
    lab.outcome(lab.invoice("DECLINED"), DECLINED)
    lab.hold("profile", "insurance")
    bad = {"reasons": "token:missing", "late": True, "attempt_no": 9}
    run, _ = lab.claim(
        row("TWICE", 1, **bad),
        row("TWICE", 2, **bad),
        row("PAID", **bad),
        row("FLIGHT", **bad),
        row("DECLINED", **bad),
        row("NEW", **bad),
        row("HELD", late=True, attempt_no=9),
    )
    assert lab.fates(run) == Counter(
        {
            ("TWICE", "quarantined", "token:missing;row:conflicting"): 2,
            ("PAID", "settled", "paid"): 1,
            ("FLIGHT", "in_flight", "awaiting"): 1,
            ("DECLINED", "quarantined", "token:missing"): 1,
            ("NEW", "quarantined", "token:missing"): 1,
            ("HELD", "held", "profile_hold"): 1,
        }
    )


def test_late_goes_before_what_the_merchant_asks(lab):
    assert _after(lab, DECLINED, listed=row("C", late=True, attempt_no=2)) == {("held", "late")}


def test_claims_are_by_billing_source_whatever_the_profile(lab):
    lab.sent(row("C"))
    run, _ = lab.claim(row("C"), profile="second", run=lab.run(profile="second"))
    assert lab.fates(run) == Counter({("C", "in_flight", "awaiting"): 1})
    other, _ = lab.claim(
        row("C"), profile="third", run=lab.run(profile="third"), billing_source=f"{SOURCE}-2", remote_folder="sftp:/3"
    )
    assert lab.fates(other) == Counter({("C", "claimed", "first"): 1})
