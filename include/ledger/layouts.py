"""The layouts that files were written and read in, kept whole by the digest of their text (promise 3)."""

from datetime import datetime

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.errors import LedgerError
from include.ledger.tables import layout


def keep_layout(connection: Connection, *, digest: str, name: str, kind: str, text: str, at: datetime) -> None:
    """Keep a layout's text, once."""
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {"digest": digest, "name": name, "kind": kind, "text": text, "stored_at": at}
    connection.execute(insert_for(layout).values(values).on_conflict_do_nothing())


def layout_text(connection: Connection, digest: str) -> tuple[str, str]:
    """Name and text of a kept layout. LedgerError when it is not there."""
    found = connection.execute(select(layout.c.name, layout.c.text).where(layout.c.digest == digest)).one_or_none()
    if found is None:
        raise LedgerError(f"The ledger holds no layout with digest {digest}; it was altered by hand. Run `verify`.")
    return found.name, found.text
