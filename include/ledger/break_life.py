"""The life of a break: open, explained, resolved; and what it does to the books meanwhile."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, TextClause, bindparam, func, select, text, update

from include.domain.states import UNRESOLVED, BreakKind, BreakState
from include.ledger.bill_tables import bill_attempt
from include.ledger.events import Note, add_decision
from include.ledger.tables import recon_break


@dataclass(frozen=True)
class Break:
    """A break; amount in smallest units: the difference, or what is at stake."""

    break_id: int
    kind: BreakKind
    subject: str
    invoice_number: str | None
    amount: int
    details: str
    state: BreakState
    opened_at: datetime
    explained_by: str | None
    explanation: str | None
    closed_by: str | None
    closed_reason: str | None


# The line that speaks for a payment says how much it was: of those that say paid, the first by its words. Where only a
# person said paid, of those that decided nothing. What a person booked counts whatever it says.
_COUNTED: Final = """
    FROM recon_break k JOIN attempt a ON a.invoice_number = k.invoice_number
    JOIN outcome p ON p.invoice_number = k.invoice_number AND p.status = 'paid'
    WHERE (k.kind = 'amount_differs' AND k.booked IS NOT NULL OR EXISTS (
        SELECT 1 FROM report_line l
        WHERE l.invoice_number = k.invoice_number AND l.line_class IN ('answer', 'amount_differs')
          AND k.kind = CASE l.line_class WHEN 'answer' THEN 'partial_approval' ELSE 'amount_differs' END
          AND k.subject = l.invoice_number || ':' || coalesce(CAST(l.amount AS VARCHAR(20)), '')
            || CASE l.line_class WHEN 'answer' THEN '' ELSE ':' || coalesce(l.currency, '') END
          AND l.status IN ('paid', 'unknown') AND NOT EXISTS (
            SELECT 1 FROM report_line n
            WHERE n.invoice_number = l.invoice_number AND n.line_class IN ('answer', 'amount_differs')
              AND n.status = 'paid' AND (l.status = 'unknown'
                OR (n.response_code, coalesce(n.approval_code, ''), coalesce(n.amount, -1))
                  < (l.response_code, coalesce(l.approval_code, ''), coalesce(l.amount, -1))))))
"""

_DIFFERENCE: Final = f"""
    SELECT count(*) AS breaks,
           coalesce(sum(CASE k.state WHEN 'resolved' THEN coalesce(k.booked, 0) ELSE k.amount END), 0) AS amount
    {_COUNTED} AND a.batch_id IN :batches AND (k.state <> 'resolved' OR k.booked IS NOT NULL)
"""

_COUNTS: Final = f"SELECT k.break_id {_COUNTED} AND k.break_id = :break_id"

_STATES: Final = """
    SELECT k.state, count(*) AS breaks FROM recon_break k JOIN attempt a ON a.invoice_number = k.invoice_number
    WHERE a.batch_id IN :batches GROUP BY k.state
"""

_STILL_UNKNOWN: Final = """
    SELECT count(*) FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    WHERE a.profile = :profile AND l.response_code = :code AND l.status = 'unknown'
      AND l.line_class IN ('answer', 'amount_differs')
      AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = l.invoice_number AND o.status <> 'unknown')
"""

_BILLS_STILL_UNKNOWN: Final = """
    SELECT count(*) FROM bill_outcome o
    WHERE o.profile = :profile AND o.response_code = :code AND o.status = 'unknown'
      AND NOT EXISTS (SELECT 1 FROM bill_outcome s
                      WHERE s.profile = o.profile AND s.reference = o.reference AND s.strength > o.strength)
"""


def breaks_in(
    connection: Connection, profile: str, states: Iterable[BreakState], kinds: Iterable[str] | None = None
) -> list[Break]:
    """A profile's breaks in some states, of some kinds or all, oldest first."""
    where = [recon_break.c.profile == profile, recon_break.c.state.in_(list(states))]
    if kinds is not None:
        where.append(recon_break.c.kind.in_(list(kinds)))
    return _breaks(connection, *where)


def find_break(connection: Connection, profile: str, break_id: int) -> Break | None:
    """A profile's break of that number, which nobody else resolves until this transaction ends.

    The rule may: another profile that shares the billing source hears that the money was given back.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        held = select(recon_break.c.break_id).where(recon_break.c.break_id == break_id)
        connection.execute(held.with_for_update())
    found = _breaks(connection, recon_break.c.profile == profile, recon_break.c.break_id == break_id)
    return found[0] if found else None


def explain_break(connection: Connection, profile: str, found: Break, note: Note, why: str) -> None:
    """A person knows the cause; the break waits for what mends it."""
    values = {"state": BreakState.EXPLAINED, "explained_by": note.actor, "explained_at": note.at, "explanation": why}
    connection.execute(update(recon_break).where(recon_break.c.break_id == found.break_id).values(**values))
    add_decision(connection, profile, "break", f"{found.kind} {found.subject}", note)


def resolve_break(
    connection: Connection, profile: str, found: Break, note: Note, why: str, booked: int | None = None
) -> None:
    """A person is done with it.

    Args:
        booked: Of a difference of amounts: what of it stays in the books.
    """
    values = {
        "state": BreakState.RESOLVED, "closed_by": note.actor, "closed_at": note.at, "closed_reason": why,
        "booked": booked,
    }  # fmt: skip
    connection.execute(update(recon_break).where(recon_break.c.break_id == found.break_id).values(**values))
    add_decision(connection, profile, "break", f"{found.kind} {found.subject}", note)


def bill_breaks_by_kind(connection: Connection, profile: str) -> dict[str, int]:
    """How many breaks about DOKU's charges for bills are not resolved, by kind."""
    of_bill = select(bill_attempt.c.reference).where(
        bill_attempt.c.profile == recon_break.c.profile, bill_attempt.c.reference == recon_break.c.invoice_number
    )
    where = (
        recon_break.c.profile == profile, recon_break.c.state.in_(UNRESOLVED),
        recon_break.c.kind.in_([BreakKind.MISSING_CHARGE, BreakKind.AMOUNT_CHANGED]) | of_bill.exists(),
    )  # fmt: skip
    columns = (recon_break.c.kind, func.count())
    rows = connection.execute(select(*columns).where(*where).group_by(recon_break.c.kind).order_by(recon_break.c.kind))
    return {str(kind): int(count) for kind, count in rows}


def difference_of(connection: Connection, batch_ids: list[int]) -> tuple[int, int]:
    """Breaks over amounts of paid attempts of these batches that count in the books, and their sum (smallest units)."""
    row = connection.execute(_of_batches(_DIFFERENCE), {"batches": batch_ids}).one()
    return int(row.breaks), int(row.amount)


def has_difference(connection: Connection, found: Break) -> bool:
    """Whether an amount is what a break is about, which stays in the books or leaves them when it is resolved."""
    if found.kind is BreakKind.AMOUNT_DIFFERS:
        return True
    return connection.execute(text(dedent(_COUNTS)), {"break_id": found.break_id}).first() is not None


def break_states_of(connection: Connection, batch_ids: list[int]) -> dict[str, int]:
    """How many breaks about attempts of these batches there are, by state."""
    rows = connection.execute(_of_batches(_STATES), {"batches": batch_ids})
    return {row.state: int(row.breaks) for row in rows}


def still_unknown(connection: Connection, profile: str, code: str) -> int:
    """How many attempts, of batches and of bills, are unknown for nothing but a code."""
    key = {"profile": profile, "code": code}
    return sum(int(connection.scalar(text(dedent(one)), key) or 0) for one in (_STILL_UNKNOWN, _BILLS_STILL_UNKNOWN))


def _of_batches(statement: str) -> TextClause:
    return text(dedent(statement)).bindparams(bindparam("batches", expanding=True))


def _breaks(connection: Connection, *conditions: object) -> list[Break]:
    names = Break.__dataclass_fields__
    statement = select(*(recon_break.c[name] for name in names)).where(*conditions)  # type: ignore[arg-type]
    return [
        Break(**{**row, "kind": BreakKind(row["kind"]), "state": BreakState(row["state"])})
        for row in connection.execute(statement.order_by(recon_break.c.break_id)).mappings()
    ]
