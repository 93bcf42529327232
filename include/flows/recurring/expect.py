"""Which charges DOKU should make: set for each bill up to today, once; what came before they were set is tied."""

from dataclasses import dataclass

from include.flows.context import FlowContext
from include.flows.recurring.terms import reader_of, terms_of
from include.ledger.bill_breaks import resolve_listed
from include.ledger.bill_charges import expect_until, fill_amounts, tied_to_others
from include.ledger.bill_payments import judge, lock_charges
from include.ledger.bill_testimonies import answered_before_set, codes_in_breaks, decided_by_now
from include.ledger.break_life import still_unknown


@dataclass(frozen=True)
class ExpectedNow:
    """What expecting came to: charges that are new, transactions that were judged anew."""

    new: int
    judged: int


def expect_charges(context: FlowContext) -> ExpectedNow:
    """Set what is expected of all bills up to today; safe to repeat, also by two at once.

    A bill is charged from its registration on until DOKU has taken its end. What was said of a charge before it was
    set counts now, and so do transactions that came before. Those whose code somebody has listed meanwhile are judged
    by it.
    """
    profile, terms, read = context.profile.name, terms_of(context), reader_of(context)
    context.step("expect: before charges are set")
    with context.ledger.write() as connection:
        lock_charges(connection, profile)
        new = expect_until(connection, terms, terms.today)
        again = tied_to_others(connection, terms) | decided_by_now(connection, profile, read)
        filled = fill_amounts(connection, terms)
        charges = [*filled, *answered_before_set(connection, profile)]
        judged = judge(connection, terms, read, again, charges) if again or charges else []
        listed = {code for code in codes_in_breaks(connection, profile) if read(None, None, code).listed}
        resolve_listed(
            connection, profile, [code for code in listed if not still_unknown(connection, profile, code)], terms.at
        )
    context.step("expect: charges set")
    return ExpectedNow(new, len(judged))
