"""Verify, as far as bills go: what the ledger says of DOKU's charges, made anew from what was said."""

from collections.abc import Iterator
from datetime import timedelta

from include.billing.known_attempts import known_charges
from include.domain.errors import BooksDoNotTie
from include.domain.money import to_smallest_unit
from include.flows.context import FlowContext
from include.flows.recurring.terms import reader_of, terms_of
from include.flows.rehearsal import rehearsal
from include.ledger.bill_audit import days_not_expected, findings_of_charges, first_and_last, known_rows
from include.ledger.bill_books import day_lines, refuse_unless_charges_tie
from include.ledger.bill_payments import all_references, judge, lock_charges, said_so_far
from include.ledger.bill_telling import all_told

_DAYS_AT_ONCE = timedelta(days=31)
_MANY = 500


def findings_of_bills(context: FlowContext) -> Iterator[str]:
    """Everything that is wrong with DOKU's charges, a sentence each; nothing when all is well.

    Checked are promise 1 (nothing collected twice without a break), 2 (the books of all days; each expected day is
    set) and 6 (each outcome has its witness, and is what all that was said makes of it), the answers to amount
    questions, and what the merchant was told.
    """
    if not context.profile.has_recurring:
        return
    profile = context.profile.name
    with context.ledger.read() as connection:
        yield from findings_of_charges(connection, profile)
        yield from days_not_expected(connection, terms_of(context))
    yield from _books(context)
    yield from _judged_anew(context)
    yield from _told(context)


def _books(context: FlowContext) -> Iterator[str]:
    profile = context.profile.name
    with context.ledger.read() as connection:
        days = first_and_last(connection, profile)
        day, last = days or (context.today, context.today - timedelta(days=1))
        while day <= last:
            until = min(day + _DAYS_AT_ONCE, last)
            try:
                refuse_unless_charges_tie(connection, profile, day_lines(connection, profile, day, until))
            except BooksDoNotTie as caught:
                yield caught.message
            day = until + timedelta(days=1)


def _judged_anew(context: FlowContext) -> Iterator[str]:
    """Attempts and outcomes are what all that was said makes of them, by today's codes."""
    terms, read = terms_of(context), reader_of(context)
    with rehearsal(context) as rehearsed, rehearsed.ledger.write() as connection:
        lock_charges(connection, terms.profile)
        references = all_references(connection, terms.profile)
        for start in range(0, len(references), _MANY):
            some = references[start : start + _MANY]
            before = said_so_far(connection, terms.profile, some)
            judge(connection, terms, read, some)
            after = said_so_far(connection, terms.profile, some)
            for reference in some:
                if before.get(reference) != after.get(reference):
                    yield f"Transaction {reference} is not what was said of it makes of it; expect sets it right."


def _told(context: FlowContext) -> Iterator[str]:
    """What the merchant was told is what the ledger says."""
    profile = context.profile
    with context.ledger.read() as connection:
        ours = known_rows(all_told(connection, profile.name))
    rows = known_charges(context.billing(), profile.billing_source, profile.name, outcomes=profile.billing.outcomes)
    for row in rows:
        name = f"doku_charge_outcomes: charge {row['charge_id']}, attempt {row['attempt_no']}"
        known = ours.pop((row["charge_id"], row["attempt_no"]), None)
        if known is None:
            yield (
                f"{name} is unknown to this ledger (it names ledger {row['ledger_id']}): it was restored from an older "
                "state. Its charge is asked for, and told anew."
            )
        elif known["told_at"] is not None:
            if row["status"] != known["status"]:
                yield f"{name} is {row['status']}, the ledger says {known['status']}."
            if to_smallest_unit(str(row["amount"]), row["currency"]) != known["amount"]:
                yield f"{name} has amount {row['amount']}, the ledger has {known['amount']}."
    for (charge_id, number), known in ours.items():
        if known["told_at"] is not None:
            yield f"doku_charge_outcomes misses charge {charge_id}, attempt {number}, of which it was told."
