"""The sealed trail: a profile's events form a hash chain, so that a changed or a missing one shows.

Each event's hash covers its own columns and the hash of the event before. The chain's head goes into every manifest
that is kept beside a file, so that a cut-off end shows too.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from include.ledger.store import lock
from include.ledger.tables import event, event_head

GENESIS: Final = "0" * 64
_HASHED: Final = (
    "profile", "seq", "kind", "subject", "batch_id", "batch_event_no", "state", "at", "run_id", "actor", "details",
    "previous_hash",
)  # fmt: skip


def lock_chain(connection: Connection, profile: str) -> None:
    """One writer of a profile's events at a time, until the transaction ends. Taken before any row of a batch."""
    lock(connection, f"events:{profile}")


def append(connection: Connection, profile: str, values: dict[str, Any]) -> None:
    """Append an event; the caller holds the chain's lock.

    Args:
        values: All columns but profile, seq, previous_hash and hash.
    """
    seq, previous = head(connection, profile)
    row = {**values, "profile": profile, "seq": seq + 1, "previous_hash": previous}
    sealed = hash_of(row)
    connection.execute(event.insert().values({**row, "hash": sealed}))
    if seq:
        where = event_head.c.profile == profile
        connection.execute(event_head.update().where(where).values(seq=seq + 1, hash=sealed))
    else:
        connection.execute(event_head.insert().values(profile=profile, seq=seq + 1, hash=sealed))


def head(connection: Connection, profile: str) -> tuple[int, str]:
    """Number and hash of a profile's last event; (0, GENESIS) before the first."""
    last = select(event_head.c.seq, event_head.c.hash).where(event_head.c.profile == profile)
    found = connection.execute(last).one_or_none()
    return (int(found.seq), str(found.hash)) if found else (0, GENESIS)


def hash_at(connection: Connection, profile: str, seq: int) -> str | None:
    """Hash of a profile's event of that number; GENESIS before the first, None when there is no such event."""
    if seq == 0:
        return GENESIS
    return connection.scalar(select(event.c.hash).where(event.c.profile == profile, event.c.seq == seq))


def hash_of(row: dict[str, Any]) -> str:
    """SHA-256 (hex) over an event's columns, in a form that does not depend on the database."""
    return hashlib.sha256(json.dumps([_plain(row.get(name)) for name in _HASHED]).encode()).hexdigest()


def broken_links(connection: Connection, profile: str) -> Iterator[str]:
    """What is wrong with a profile's chain, a sentence each: a changed event, a missing one."""
    expected_seq, previous = 1, GENESIS
    rows = connection.execute(select(event).where(event.c.profile == profile).order_by(event.c.seq)).mappings()
    for row in rows:
        name = f"event {row['seq']} of {profile} ({row['kind']} {row['subject']})"
        if row["seq"] != expected_seq:
            yield f"{name}: {row['seq'] - expected_seq} events before it are missing."
        elif row["previous_hash"] != previous:
            yield f"{name}: does not follow the event before it; one of the two was altered."
        if hash_of(dict(row)) != row["hash"]:
            yield f"{name}: was altered after it was written."
        expected_seq, previous = row["seq"] + 1, row["hash"]
    noted, _ = head(connection, profile)
    if head(connection, profile) != (expected_seq - 1, previous):
        yield f"The last events of {profile} are missing: {expected_seq - 1} are there, {noted} were written."


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
