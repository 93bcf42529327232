"""What the merchant's `doku_charge_outcomes` has to be told of bills."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Connection, Date, bindparam, select, text, update

from include.ledger.bill_tables import bill_testimony, bill_told
from include.ledger.types import UtcDateTime

# The strongest outcome of a transaction is the one it has. One that belongs to another charge by now never was of this.
_TOLD: Final = """
    SELECT t.charge_id, t.attempt_no, t.reference, c.billing_source, c.profile, c.currency,
           c.expected_on AS execute_date,
           CASE WHEN {own} THEN coalesce(a.amount, c.amount, 0) ELSE 0 END AS amount,
           CASE WHEN {own} THEN o.status ELSE 'withdrawn' END AS status,
           CASE WHEN {own} THEN o.response_code END AS response_code,
           CASE WHEN {own} THEN coalesce(o.response_message, o.proof)
                ELSE 'the transaction is of another charge: '
                     || coalesce(a.billing_number || '/' || CAST(a.expected_on AS VARCHAR(10)), 'none')
           END AS response_message,
           CASE WHEN {own} THEN o.approval_code END AS approval_code,
           o.decided_at{more}
    FROM bill_told t
    JOIN bill_charge c ON c.profile = t.profile AND c.charge_id = t.charge_id
    LEFT JOIN bill_attempt a ON a.profile = t.profile AND a.reference = t.reference
    LEFT JOIN bill_outcome o ON o.profile = t.profile AND o.reference = t.reference
      AND NOT EXISTS (SELECT 1 FROM bill_outcome s
                      WHERE s.profile = o.profile AND s.reference = o.reference AND s.strength > o.strength)
    WHERE t.profile = :profile
"""
# The day alone is no charge: another bill may have it too.
_OWN: Final = "c.billing_number = a.billing_number AND c.expected_on = a.expected_on"
_UNTOLD: Final = " AND t.told_at IS NULL"
_PAGE: Final = " ORDER BY t.charge_id, t.attempt_no LIMIT :rows"
_AGAIN: Final = " AND t.charge_id BETWEEN :first AND :last"

Row = Mapping[str, Any]


def untold_charges(connection: Connection, profile: str, rows: int = 5_000) -> list[Row]:
    """A page of rows that say something else than the merchant was told, each as it is now (smallest units)."""
    return _rows(connection, _PAGE, profile=profile, rows=rows)


def note_charges_told(connection: Connection, profile: str, page: Sequence[Row], now: datetime) -> None:
    """The merchant was told so. A row that says something else by now, or that another told meanwhile, is told again.

    Args:
        connection: In a writing transaction with `lock_charges`.
        page: What was told.
    """
    first, last = page[0]["charge_id"], page[-1]["charge_id"]
    as_now = {_key(row): row for row in _rows(connection, _AGAIN, profile=profile, first=first, last=last)}
    told = [
        {
            "of_charge": row["charge_id"],
            "of_number": row["attempt_no"],
            "at": now if as_now.get(_key(row)) == row else None,
        }
        for row in page
    ]
    t = bill_told.c
    where = (t.profile == profile, t.charge_id == bindparam("of_charge"), t.attempt_no == bindparam("of_number"))
    connection.execute(update(bill_told).where(*where).values(told_at=bindparam("at")), told)


def all_told(connection: Connection, profile: str) -> list[Row]:
    """All rows of a profile as the merchant should have them, with `told_at`: null where they do not yet."""
    statement = text(dedent(_TOLD.format(own=_OWN, more=", t.told_at"))).columns(
        execute_date=Date, decided_at=UtcDateTime, told_at=UtcDateTime
    )
    return [dict(row) for row in connection.execute(statement, {"profile": profile}).mappings()]


def _rows(connection: Connection, which: str, **terms: Any) -> list[Row]:
    told = dedent(_TOLD.format(own=_OWN, more=""))
    statement = text(told + _UNTOLD + which).columns(execute_date=Date, decided_at=UtcDateTime)
    return [dict(row) for row in connection.execute(statement, terms).mappings()]


def _key(row: Row) -> tuple[str, int]:
    return row["charge_id"], row["attempt_no"]


def oldest_untold(connection: Connection, profile: str) -> datetime | None:
    """Since when the oldest row waits for the merchant to be told; None: none does."""
    t, s = bill_told.c, bill_testimony.c
    said = select(s.kept_at).join(bill_told, (t.profile == s.profile) & (t.reference == s.reference))
    where = (t.profile == profile, t.told_at.is_(None))
    found: datetime | None = connection.scalar(said.where(*where).order_by(s.kept_at).limit(1))
    return found
