"""Everything that the ledger knows of one charge of a bill, for the person who asks about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, or_, select

from include.domain.bill_charges import bill_and_day_of
from include.domain.bill_judgement import Expected, subject_of
from include.ledger.bill_charges import find_charge
from include.ledger.bill_tables import (
    amount_question,
    bill,
    bill_attempt,
    bill_charge,
    bill_outcome,
    bill_testimony,
    bill_told,
)
from include.ledger.inbox_tables import status_question
from include.ledger.tables import event, proposal, recon_break

Row = Mapping[str, Any]


@dataclass(frozen=True)
class ChargeRecords:
    """The rows that speak of a charge of a bill, or of one of DOKU's transactions that belongs to none.

    Attributes:
        name: The charge id, or the reference.
        charge: None: a transaction that nobody expected.
    """

    name: str
    charge: Row | None
    set_at: datetime | None
    bill: Row | None
    attempts: Sequence[Row]
    outcomes: Sequence[Row]
    said: Sequence[Row]
    told: Sequence[Row]
    asked: Sequence[Row]
    amount: Row | None
    breaks: Sequence[Row]
    decisions: Sequence[Row]
    proposals: Sequence[Row]


def charge_of_bill(connection: Connection, profile: str, billing_source: str, asked: str) -> str | None:
    """The charge id that is meant by itself or by DOKU's reference; the reference of an unexpected one; else None."""
    named = bill_and_day_of(asked)
    if named is not None and find_charge(connection, billing_source, *named) is not None:
        return asked
    a = bill_attempt.c
    where = (a.profile == profile, a.reference == asked)
    row = connection.execute(select(a.billing_number, a.expected_on).where(*where)).one_or_none()
    if row is None:
        return None
    return f"{row.billing_number}/{row.expected_on.isoformat()}" if row.expected_on else asked


def records_of_bill(connection: Connection, profile: str, billing_source: str, name: str) -> ChargeRecords:
    """What is known of a charge of a bill, or of a transaction that belongs to none."""
    named = bill_and_day_of(name)
    charge = find_charge(connection, billing_source, *named) if named is not None else None
    a, t = bill_attempt.c, bill_testimony.c
    of_charge: ColumnElement[bool]
    if charge is not None:
        of_charge = (a.billing_number == charge.billing_number) & (a.expected_on == charge.expected_on)
    else:
        of_charge = a.reference == name
    order = (a.attempt_no, a.charged_on, a.reference)
    attempts = _rows(connection, select(bill_attempt).where(a.profile == profile, of_charge).order_by(*order))
    references = [row["reference"] for row in attempts]
    about: ColumnElement[bool] = t.reference.in_(references)
    if charge is not None:
        bare = t.reference.is_(None) & (t.billing_number == charge.billing_number)
        about = or_(about, bare & (t.expected_on == charge.expected_on))
    number = charge.billing_number if charge is not None else next((row["billing_number"] for row in attempts), None)
    subjects = [name, *references]
    k, o, q = recon_break.c, bill_outcome.c, status_question.c
    of_break = or_(k.invoice_number.in_(references), k.subject == subject_of(name))
    return ChargeRecords(
        name=name,
        charge=vars(charge) if charge is not None else None,
        set_at=connection.scalar(
            select(bill_charge.c.set_at).where(
                bill_charge.c.billing_source == billing_source, bill_charge.c.charge_id == name
            )
        ),
        bill=_one(
            connection, select(bill).where(bill.c.billing_source == billing_source, bill.c.billing_number == number)
        ),
        attempts=attempts,
        outcomes=_rows(
            connection,
            select(bill_outcome).where(o.profile == profile, o.reference.in_(references)).order_by(o.strength),
        ),
        said=_rows(connection, select(bill_testimony).where(t.profile == profile, about).order_by(t.testimony_id)),
        told=_rows(connection, select(bill_told).where(bill_told.c.profile == profile, bill_told.c.charge_id == name)),
        asked=_rows(
            connection,
            select(status_question).where(q.profile == profile, q.subject.in_(subjects)).order_by(q.question_id),
        ),
        amount=_question(connection, billing_source, charge),
        breaks=_rows(connection, select(recon_break).where(k.profile == profile, of_break).order_by(k.break_id)),
        decisions=_rows(
            connection,
            select(event).where(event.c.profile == profile, event.c.subject.in_(subjects)).order_by(event.c.seq),
        ),
        proposals=_rows(
            connection,
            select(proposal).where(proposal.c.profile == profile, proposal.c.subject.in_(subjects)),
        ),
    )


def _question(connection: Connection, billing_source: str, charge: Expected | None) -> Row | None:
    if charge is None:
        return None
    q = amount_question.c
    of_charge = (q.billing_number == charge.billing_number, q.expected_on == charge.expected_on)
    return _one(connection, select(amount_question).where(q.billing_source == billing_source, *of_charge))


def _rows(connection: Connection, statement: Select[Any]) -> list[Row]:
    return [dict(row) for row in connection.execute(statement).mappings()]


def _one(connection: Connection, statement: Select[Any]) -> Row | None:
    found = _rows(connection, statement)
    return found[0] if found else None
