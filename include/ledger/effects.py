"""What a decision left behind in the ledger, for showing it before it is made."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from include.ledger.tables import attempt, batch, event, recon_break


@dataclass(frozen=True)
class Happened:
    """An event: of a batch the state that it entered."""

    kind: str
    subject: str
    state: str | None
    batch_id: int | None


def last_event(connection: Connection, profile: str) -> int:
    """The number of a profile's last event; 0 without one."""
    return int(
        connection.scalar(select(func.coalesce(func.max(event.c.seq), 0)).where(event.c.profile == profile)) or 0
    )


def events_after(connection: Connection, profile: str, seq: int) -> list[Happened]:
    """A profile's events after one, in order."""
    columns = [event.c[name] for name in Happened.__dataclass_fields__]
    where = (event.c.profile == profile, event.c.seq > seq)
    return [Happened(*row) for row in connection.execute(select(*columns).where(*where).order_by(event.c.seq))]


def break_counts(connection: Connection, profile: str) -> Counter[tuple[str, str]]:
    """How many breaks a profile has, by kind and state."""
    columns = (recon_break.c.kind, recon_break.c.state)
    statement = select(*columns, func.count()).where(recon_break.c.profile == profile).group_by(*columns)
    return Counter({(kind, state): int(count) for kind, state, count in connection.execute(statement)})


def batches_about(connection: Connection, profile: str, names: list[str]) -> dict[int, str]:
    """File name by id of the batches that are named, or that hold an attempt that is."""
    held = select(attempt.c.batch_id).where(attempt.c.invoice_number.in_(names))
    where = (batch.c.profile == profile, batch.c.file_name.in_(names) | batch.c.batch_id.in_(held))
    return {
        int(row.batch_id): row.file_name
        for row in connection.execute(select(batch.c.batch_id, batch.c.file_name).where(*where))
    }


def done_before(connection: Connection, profile: str, request: str) -> bool:
    """Whether what was asked for under this name was done before."""
    return recorded(connection, profile, "request", request)


def recorded(connection: Connection, profile: str, kind: str, subject: str) -> bool:
    """Whether a profile's trail has an event of this kind about this subject."""
    where = (event.c.profile == profile, event.c.kind == kind, event.c.subject == subject[:250])
    return connection.execute(select(event.c.seq).where(*where)).first() is not None
