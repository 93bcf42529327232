"""Rows of the merchant's view of bills that cannot be used: shown until they are mended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from include.ledger.bill_tables import rejected_bill


@dataclass(frozen=True)
class RejectedBill:
    """Such a row; no value of it but its billing number."""

    row_key: str
    reasons: str
    words: str
    first_seen_at: datetime


def keep_rejected(connection: Connection, profile: str, rows: Sequence[tuple[str, str, str]], now: datetime) -> None:
    """Keep the rows of one reading, each (key, reasons, words); `drop_mended` ends the reading."""
    if not rows:
        return
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    seen = {"first_seen_at": now, "last_seen_at": now}
    values = [
        {"profile": profile, "row_key": key, "reasons": reasons, "words": words, **seen}
        for key, reasons, words in {row[0]: row for row in rows}.values()
    ]
    statement = insert_for(rejected_bill).values(values)
    again = {name: statement.excluded[name] for name in ("reasons", "words", "last_seen_at")}
    connection.execute(statement.on_conflict_do_update(index_elements=["profile", "row_key"], set_=again))


def drop_mended(connection: Connection, profile: str, now: datetime) -> int:
    """Forget the rows that the reading of that moment did not find; how many there were."""
    where = (rejected_bill.c.profile == profile, rejected_bill.c.last_seen_at < now)
    return connection.execute(delete(rejected_bill).where(*where)).rowcount


def rejected_bills(connection: Connection, profile: str) -> list[RejectedBill]:
    """The rows that cannot be used now."""
    columns = [rejected_bill.c[name] for name in RejectedBill.__dataclass_fields__]
    statement = select(*columns).where(rejected_bill.c.profile == profile).order_by(rejected_bill.c.row_key)
    return [RejectedBill(*row) for row in connection.execute(statement)]
