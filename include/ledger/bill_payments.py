"""DOKU's transactions for bills, with their outcomes and breaks: made anew of all that was said, where more was said.

Only what belongs together is looked at: a transaction, the expected charge that it ties to (or tied to before), and the
other transactions of that charge.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from include.domain.bill_judgement import (
    Expected,
    Matter,
    Transaction,
    matters_of,
    matters_of_charge,
    placeholder,
    transaction,
    with_answers,
)
from include.domain.states import OutcomeStatus
from include.ledger.bill_breaks import keep_matters, resolve_came
from include.ledger.bill_charges import Terms, find_charge, tie
from include.ledger.bill_tables import bill_attempt, bill_outcome, bill_testimony, bill_told
from include.ledger.bill_testimonies import Reader, said_of, said_of_charges
from include.ledger.store import lock

Charge = tuple[str, date]
"""Billing number and expected day."""

_Rows = tuple[dict[str, Any], list[dict[str, Any]]]

_ATTEMPT: Final = ("billing_number", "expected_on", "customer_id", "amount", "currency", "charged_on")
_OUTCOME: Final = (
    "status", "response_code", "response_message", "approval_code", "masked_card", "bank", "amount", "decided_at",
    "witness", "testimony_id", "proof",
)  # fmt: skip


@dataclass
class _Scope:
    """What is judged together."""

    own: dict[str, Transaction] = field(default_factory=dict)
    why_not: dict[str, str] = field(default_factory=dict)
    charges: dict[Charge, Expected] = field(default_factory=dict)
    before: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Settled:
    """A transaction with the outcome that it has; amount in smallest units."""

    reference: str
    billing_number: str
    expected_on: date | None
    amount: int | None
    currency: str
    status: OutcomeStatus


def lock_charges(connection: Connection, profile: str) -> None:
    """One transaction at a time judges what was said of a profile's bills."""
    lock(connection, f"charges:{profile}")


def judge(
    connection: Connection,
    terms: Terms,
    read: Reader,
    references: Collection[str],
    charges: Iterable[Charge] = (),
) -> list[Transaction]:
    """Make transactions, outcomes, the merchant's rows and breaks what was said makes them. Safe to repeat.

    Args:
        connection: In a writing transaction with `lock_charges`.
        terms: Whose bills.
        read: What word and code decide.
        references: Transactions of which more was said, or whose charge has changed.
        charges: Charges of which something was said, or whose amount is known now.

    Returns:
        The transactions that were judged.
    """
    scope = _gather(connection, terms, read, set(references), set(charges))
    bare = said_of_charges(connection, terms.profile, scope.charges, read)
    final = {one.reference: one for one in scope.own.values() if one.charge is None}
    matters: list[Matter] = []
    for key, charge in scope.charges.items():
        own = [one for one in scope.own.values() if one.charge is not None and _key(one.charge) == key]
        whole = with_answers(charge, own, bare.get(key, []))
        matters += matters_of_charge(charge, whole)
        final |= {one.reference: one for one in whole}
    for one in final.values():
        matters += matters_of(one, terms.match_days, scope.why_not.get(one.reference, ""))
    _write(connection, terms, final, scope)
    charge_ids = [charge.charge_id for charge in scope.charges.values()]
    judged = {*final, *scope.before}
    keep_matters(connection, terms.profile, matters, terms.at, references=judged, charge_ids=charge_ids)
    answered = {one.charge.charge_id for one in final.values() if one.charge is not None}
    resolve_came(connection, terms.profile, answered, terms.at)
    return list(final.values())


def transaction_now(connection: Connection, profile: str, reference: str) -> Settled | None:
    """A transaction as it is now."""
    found = _settled(connection, profile, bill_attempt.c.reference == reference)
    return found[0] if found else None


def transactions_of(connection: Connection, profile: str, charge: Expected) -> list[Settled]:
    """The transactions of a charge as they are now."""
    a = bill_attempt.c
    of_charge = (a.billing_number == charge.billing_number) & (a.expected_on == charge.expected_on)
    return _settled(connection, profile, of_charge)


def all_references(connection: Connection, profile: str) -> list[str]:
    """Every transaction of which something was said by its reference."""
    t = bill_testimony.c
    where = (t.profile == profile, t.reference.is_not(None))
    return [str(one) for one in connection.scalars(select(t.reference).where(*where).distinct().order_by(t.reference))]


def said_so_far(connection: Connection, profile: str, references: Collection[str]) -> dict[str, object]:
    """What the tables say of some transactions, to be compared."""
    return dict(_rows(connection, profile, references))


def _settled(connection: Connection, profile: str, condition: Any) -> list[Settled]:
    a, o = bill_attempt.c, bill_outcome.c
    joined = bill_attempt.join(bill_outcome, (o.profile == a.profile) & (o.reference == a.reference))
    columns = (a.reference, a.billing_number, a.expected_on, a.amount, a.currency, o.status)
    rows = connection.execute(
        select(*columns).select_from(joined).where(a.profile == profile, condition).order_by(a.reference, o.strength)
    )
    strongest = {row.reference: Settled(*row[:5], OutcomeStatus(row.status)) for row in rows}
    return list(strongest.values())


def _gather(connection: Connection, terms: Terms, read: Reader, references: set[str], charges: set[Charge]) -> _Scope:
    scope = _Scope()
    todo = references
    seen: set[Charge] = set()
    for number, day in charges:
        _concern(connection, terms, scope, (number, day))
    while todo or not seen >= scope.charges.keys():
        for reference, said in said_of(connection, terms.profile, todo, read).items():
            one = transaction(reference, said)
            charge, why_not = tie(connection, terms, one.billing_number, one.charged_on)
            scope.own[reference] = replace(one, charge=charge)
            scope.why_not[reference] = why_not
            if charge is not None:
                scope.charges[_key(charge)] = charge
        for key in _tied(connection, terms, bill_attempt.c.reference.in_(todo)).values():
            _concern(connection, terms, scope, key)
        new = scope.charges.keys() - seen
        seen |= new
        known_by = tuple_(bill_attempt.c.billing_number, bill_attempt.c.expected_on)
        others = _tied(connection, terms, known_by.in_(sorted(new))) if new else {}
        scope.before |= set(others) | todo
        todo = set(others) - scope.own.keys() - {placeholder(one.charge_id) for one in scope.charges.values()}
    return scope


def _concern(connection: Connection, terms: Terms, scope: _Scope, key: Charge) -> None:
    if key not in scope.charges:
        found = find_charge(connection, terms.billing_source, *key)
        if found is not None:
            scope.charges[key] = found


def _tied(connection: Connection, terms: Terms, condition: Any) -> dict[str, Charge]:
    """The charge by reference of transactions that belong to one."""
    a = bill_attempt.c
    where = (a.profile == terms.profile, a.expected_on.is_not(None), condition)
    rows = connection.execute(select(a.reference, a.billing_number, a.expected_on).where(*where))
    return {row.reference: (row.billing_number, row.expected_on) for row in rows}


def _write(connection: Connection, terms: Terms, final: Mapping[str, Transaction], scope: _Scope) -> None:
    """Rows that say something else are written anew; their rows at the merchant are told again."""
    profile = terms.profile
    involved = {*final, *scope.before}
    old = _rows(connection, profile, involved)
    numbers = _numbers(connection, profile, final)
    new = {one.reference: _as_rows(terms, one, numbers.get(one.reference)) for one in final.values()}
    changed = [reference for reference in sorted(involved) if old.get(reference) != _compared(new.get(reference))]
    for table in (bill_outcome, bill_attempt):
        connection.execute(delete(table).where(table.c.profile == profile, table.c.reference.in_(changed)))
    for reference in changed:
        if reference in new:
            attempt, outcomes = new[reference]
            connection.execute(insert(bill_attempt).values(attempt))
            connection.execute(insert(bill_outcome), outcomes)
    told = (bill_told.c.profile == profile, bill_told.c.reference.in_(changed), bill_told.c.told_at.is_not(None))
    connection.execute(update(bill_told).where(*told).values(told_at=None))


def _as_rows(terms: Terms, one: Transaction, attempt_no: int | None) -> _Rows:
    key = {"profile": terms.profile, "reference": one.reference}
    attempt = {
        **key, "billing_source": terms.billing_source, "billing_number": one.billing_number,
        "expected_on": one.charge.expected_on if one.charge else None, "attempt_no": attempt_no,
        "customer_id": one.customer_id, "amount": one.amount, "currency": one.currency, "charged_on": one.charged_on,
        "first_seen_at": one.first_seen_at,
    }  # fmt: skip
    outcomes = []
    for status, said in one.outcomes.items():
        facts = {name: getattr(said, name) for name in _OUTCOME[1:7]}
        proof = f"{said.said_by}: {said.evidence}" if said.evidence else None
        known_by = {"witness": said.witness, "testimony_id": said.testimony_id, "proof": proof}
        outcomes.append({**key, "status": str(status), **facts, "decided_at": said.said_at, **known_by})
    return attempt, outcomes


def _compared(rows: _Rows | None) -> tuple[Any, ...] | None:
    if rows is None:
        return None
    attempt, outcomes = rows
    said = sorted(tuple(str(one[name]) for name in _OUTCOME if name != "decided_at") for one in outcomes)
    return (attempt["attempt_no"], *(attempt[name] for name in _ATTEMPT), tuple(said))


def _rows(connection: Connection, profile: str, references: Collection[str]) -> dict[str, tuple[Any, ...] | None]:
    a, o = bill_attempt.c, bill_outcome.c
    listed = sorted(references)
    attempts = connection.execute(select(bill_attempt).where(a.profile == profile, a.reference.in_(listed))).mappings()
    found: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
        row["reference"]: (dict(row), []) for row in attempts
    }
    outcomes = connection.execute(select(bill_outcome).where(o.profile == profile, o.reference.in_(listed))).mappings()
    for row in outcomes:
        found[row["reference"]][1].append(dict(row))
    return {reference: _compared(rows) for reference, rows in found.items()}


def _numbers(connection: Connection, profile: str, final: Mapping[str, Transaction]) -> dict[str, int]:
    """The number of each transaction in its charge: given once, in the order in which they came."""
    found: dict[str, int] = {}
    t = bill_told.c
    ordered = sorted(final.values(), key=lambda one: (one.first_seen_at, one.charged_on, one.reference))
    for one in ordered:
        if one.charge is None:
            continue
        charge_id = one.charge.charge_id
        mine = (t.profile == profile, t.charge_id == charge_id)
        number = connection.scalar(select(t.attempt_no).where(*mine, t.reference == one.reference))
        stand_in = placeholder(charge_id)
        if number is None and stand_in not in final:
            # What stood in its place was this transaction: it has the number, and the merchant's row.
            number = connection.scalar(select(t.attempt_no).where(*mine, t.reference == stand_in))
            if number is not None:
                values = {"reference": one.reference, "told_at": None}
                connection.execute(update(bill_told).where(*mine, t.attempt_no == number).values(**values))
        if number is None:
            number = int(connection.scalar(select(func.coalesce(func.max(t.attempt_no), 0)).where(*mine)) or 0) + 1
            row = {"profile": profile, "charge_id": charge_id, "attempt_no": number, "reference": one.reference}
            connection.execute(insert(bill_told).values(row))
        found[one.reference] = int(number)
    return found


def _key(charge: Expected) -> Charge:
    return charge.billing_number, charge.expected_on
