"""Promise 1 rests on the ledger's own constraints: rows written by hand, past all of our code, are refused too."""

import pytest
import sqlalchemy as sa

from include.domain.errors import LedgerError
from include.domain.invoice_numbers import charge_stem, invoice_number
from include.domain.states import OutcomeStatus
from include.ledger import tables
from tests.flows_harness import BUSINESS_DATE, TOKEN
from tests.unit.ledger.lab import SOURCE, row


@pytest.fixture
def claimed(lab):
    """C1 and C2 are claimed and sent; no outcome yet."""
    lab.batch_id = lab.sent(row("C1"), row("C2"))
    return lab


def _attempt(lab, charge_id: str, attempt: int, **changes):
    """A hand-written attempt that follows the one before."""
    before = attempt - 1
    values = {
        "invoice_number": invoice_number(SOURCE, charge_id, attempt), "billing_source": SOURCE,
        "charge_id": charge_id, "attempt_no": attempt,
        "previous_invoice_number": invoice_number(SOURCE, charge_id, before) if before else None,
        "previous_status": "declined" if before else None, "profile": "insurance", "batch_id": lab.batch_id,
        "line_no": 900 + attempt, "customer_id": "K", "token": TOKEN, "amount": 1000, "currency": "IDR",
        "due_date": BUSINESS_DATE, "execute_date": BUSINESS_DATE, "rule": "by hand",
    }  # fmt: skip
    with lab.ledger.write() as connection:
        connection.execute(tables.attempt.insert().values({**values, **changes}))


def _refused(lab, charge_id: str, attempt_no: int, **changes) -> None:
    before = lab.sql("SELECT * FROM attempt ORDER BY invoice_number")
    with pytest.raises(LedgerError, match="breaks a promise"):
        _attempt(lab, charge_id, attempt_no, **changes)
    assert lab.sql("SELECT * FROM attempt ORDER BY invoice_number") == before


def test_a_second_first_attempt_is_refused(claimed):
    _refused(claimed, "C1", 1)
    _refused(claimed, "C1", 1, invoice_number="A" * 18 + "01")


def test_a_second_first_attempt_by_another_profile_is_refused(claimed):
    _refused(claimed, "C1", 1, invoice_number="A" * 18 + "01", profile="another")


def test_the_same_charge_id_of_another_billing_source_is_another_charge(claimed):
    _attempt(claimed, "C1", 1, billing_source="other", invoice_number=invoice_number("other", "C1", 1))


def test_a_further_attempt_needs_an_outcome(claimed):
    _refused(claimed, "C1", 2)
    _refused(claimed, "C1", 2, previous_invoice_number=None, previous_status=None)
    _refused(claimed, "C1", 2, previous_status=None)
    _refused(claimed, "C1", 2, previous_invoice_number=None)


@pytest.mark.parametrize("status", [OutcomeStatus.DECLINED, OutcomeStatus.WITHDRAWN])
def test_a_freeing_outcome_allows_exactly_one_further_attempt(claimed, status):
    claimed.outcome(claimed.invoice("C1"), status)
    _attempt(claimed, "C1", 2, previous_status=str(status))
    _refused(claimed, "C1", 2, previous_status=str(status))
    _refused(claimed, "C1", 3)
    assert len(claimed.sql("SELECT * FROM attempt WHERE charge_id = 'C1'")) == 2


@pytest.mark.parametrize("status", [OutcomeStatus.PAID, OutcomeStatus.UNKNOWN, OutcomeStatus.REVERSED])
def test_no_other_outcome_frees_a_charge(claimed, status):
    claimed.outcome(claimed.invoice("C1"), status)
    for named in OutcomeStatus:
        _refused(claimed, "C1", 2, previous_status=str(named))


def test_the_outcome_must_be_the_one_that_is_named(claimed):
    claimed.outcome(claimed.invoice("C1"), OutcomeStatus.WITHDRAWN)
    _refused(claimed, "C1", 2, previous_status="declined")


def test_the_outcome_of_another_charge_frees_nothing(claimed):
    claimed.outcome(claimed.invoice("C2"), OutcomeStatus.DECLINED)
    _refused(claimed, "C1", 2, previous_invoice_number=claimed.invoice("C2"))


def test_no_attempt_is_skipped(claimed):
    claimed.outcome(claimed.invoice("C1"), OutcomeStatus.DECLINED)
    first = claimed.invoice("C1")
    _refused(claimed, "C1", 3, previous_invoice_number=first)
    _attempt(claimed, "C1", 2)
    claimed.outcome(claimed.invoice("C1", 2), OutcomeStatus.DECLINED)
    _refused(claimed, "C1", 3, previous_invoice_number=first)
    _attempt(claimed, "C1", 3)


def test_the_invoice_number_says_the_attempt(claimed):
    claimed.outcome(claimed.invoice("C1"), OutcomeStatus.DECLINED)
    _refused(claimed, "C1", 2, invoice_number=charge_stem(SOURCE, "C1") + "07")
    for number in (0, -1):
        invoice = f"{'A' * 18}{number:02}"
        with pytest.raises(LedgerError, match="breaks a promise"):
            _attempt(claimed, "C9", 1, attempt_no=number, invoice_number=invoice)


def test_an_invoice_number_is_given_once(claimed):
    _refused(claimed, "C9", 1, invoice_number=claimed.invoice("C1"))


@pytest.mark.parametrize("amount", [0, -1, None])
def test_an_amount_is_above_zero(claimed, amount):
    _refused(claimed, "C9", 1, amount=amount)


def test_an_attempt_travels_in_a_batch_that_is_there(claimed):
    _refused(claimed, "C9", 1, batch_id=999)


def test_a_line_is_taken_once(claimed):
    _refused(claimed, "C9", 1, line_no=1)


def test_outcomes_are_of_attempts_and_of_known_kinds(claimed):
    for invoice, status in (("NONE", "paid"), (claimed.invoice("C1"), "perhaps")):
        with pytest.raises(LedgerError, match="breaks a promise"):
            claimed.outcome(invoice, status)
    claimed.outcome(claimed.invoice("C1"), "paid")
    with pytest.raises(LedgerError, match="breaks a promise"):
        claimed.outcome(claimed.invoice("C1"), "paid")


def test_an_outcome_of_a_report_names_it(claimed):
    with pytest.raises(LedgerError, match="breaks a promise"):
        claimed.outcome(claimed.invoice("C1"), "paid", witness="report")
    with pytest.raises(LedgerError, match="breaks a promise"):
        claimed.outcome(claimed.invoice("C1"), "paid", report_id=77, witness="report")


def test_an_outcome_that_freed_a_charge_stays(claimed):
    """What allowed an attempt cannot be deleted or rewritten while the attempt is there."""
    claimed.outcome(claimed.invoice("C1"), "declined")
    _attempt(claimed, "C1", 2)
    changes = (
        "DELETE FROM outcome WHERE invoice_number = :one",
        "UPDATE outcome SET status = 'paid' WHERE invoice_number = :one",
        "DELETE FROM attempt WHERE invoice_number = :one",
    )
    for change in changes:
        with pytest.raises(LedgerError, match="breaks a promise"), claimed.ledger.write() as connection:
            connection.execute(sa.text(change), {"one": claimed.invoice("C1")})


def test_a_file_name_is_unique_in_its_folder_across_profiles(claimed):
    with pytest.raises(LedgerError, match="breaks a promise"):
        claimed.claim(row("C3"), profile="another")
    claimed.claim(row("C3"), profile="another", remote_folder="sftp:/other")


def test_the_ledger_has_one_identity_and_one_environment(lab):
    with pytest.raises(LedgerError, match="breaks a promise"), lab.ledger.write() as connection:
        connection.execute(
            tables.ledger.insert().values(
                one=2, ledger_id="x", environment="y", fingerprint_key="z", created_at=lab.now
            )
        )


def test_a_moment_without_a_timezone_is_refused(lab):
    with pytest.raises(LedgerError), lab.ledger.write() as connection:
        connection.execute(tables.ledger.update().values(created_at=lab.now.replace(tzinfo=None)))


def test_a_refusal_shows_no_row(claimed):
    secret = "tok_5ecret_5ecret"
    with pytest.raises(LedgerError) as caught:
        _attempt(claimed, "C1", 1, token=secret, customer_id="Siti Secret")
    assert secret not in caught.value.message
    assert "Siti" not in caught.value.message
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("paid", [OutcomeStatus.PAID, OutcomeStatus.REVERSED])
def test_a_charge_that_is_paid_after_all_gets_no_further_attempt(claimed, paid):
    """The decline frees the charge for the reference, but the charge was paid: two reports contradict each other."""
    claimed.outcome(claimed.invoice("C1"), OutcomeStatus.DECLINED)
    claimed.outcome(claimed.invoice("C1"), paid)
    _refused(claimed, "C1", 2)
    _attempt(claimed, "C1", 2, rule="recovered")  # it was made long ago


def test_nobody_confirms_what_they_proposed(claimed):
    values = {
        "profile": "insurance", "operation": "settle", "subject": "X", "about": "{}", "effect": "x", "why": "x",
        "proposed_by": "ani", "proposed_at": claimed.now, "state": "confirmed", "answered_by": "ani",
        "answered_at": claimed.now,
    }  # fmt: skip
    with pytest.raises(LedgerError, match="breaks a promise"), claimed.ledger.write() as connection:
        connection.execute(tables.proposal.insert().values(values))


def test_a_text_that_is_too_long_is_refused_and_only_looked_for(claimed):
    """SQLite itself would store it, and then the same deed fails on PostgreSQL."""
    before = claimed.sql("SELECT * FROM attempt ORDER BY invoice_number")
    with pytest.raises(LedgerError, match="Nothing of this step was kept"):
        _attempt(claimed, "C1", 1, rule="x" * 500)
    assert claimed.sql("SELECT * FROM attempt ORDER BY invoice_number") == before
    with claimed.ledger.read() as connection:
        known = sa.select(tables.attempt.c.rule).where(tables.attempt.c.rule == "x" * 500)
        assert connection.execute(known).all() == []
