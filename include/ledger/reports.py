"""DOKU's reports in the ledger: which were seen, fetched, taken in, and how far they came."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.errors import LedgerError
from include.domain.states import ReportState
from include.ledger.tables import batch, report_batch, report_file, report_sighting


@dataclass(frozen=True)
class Sighting:
    """A report as DOKU's server lists it.

    Attributes:
        size: Bytes.
        modified: The server's modification time, seconds since 1970.
    """

    folder: str
    file_name: str
    size: int
    modified: int


@dataclass(frozen=True)
class Report:
    """A report that was fetched. `content_digest` is the SHA-256 of its bytes as they came, in hex."""

    report_id: int
    profile: str
    file_name: str
    content_digest: str
    size: int
    artefact: str
    layout_digest: str | None
    state: ReportState
    line_count: int | None
    total_amount: int | None
    refused_reason: str | None


CLOSE_SECONDS: Final = 5
"""A file fetched within so many seconds of its own time may have been replaced within that second since."""


def is_known(connection: Connection, profile: str, seen: Sighting) -> bool:
    """Whether a listed file was fetched before: same folder, name, size and time, and not right after that time.

    Servers give whole seconds, so a file that was fetched in the second in which it was written might be another one by
    now, of the same size. It is fetched once more; by its content it is known or new. (Not so where the clocks of the
    two differ by more than `CLOSE_SECONDS`: then nothing can be said.)
    """
    found = connection.execute(select(report_sighting.c.seen_at).where(*_of(profile, seen))).first()
    return found is not None and not _is_close(seen, found.seen_at)


def written_back(connection: Connection, profile: str, seen: Sighting) -> str | None:
    """SHA-256 (hex) of the report that a listed file was when it was fetched, if that report is done with."""
    statement = (
        select(report_file.c.content_digest)
        .join(report_sighting, report_sighting.c.report_id == report_file.c.report_id)
        .where(*_of(profile, seen), report_file.c.state == ReportState.WRITTEN_BACK)
    )
    return connection.scalar(statement)


def _of(profile: str, seen: Sighting) -> list[ColumnElement[bool]]:
    facts = {"profile": profile, **asdict(seen)}
    return [report_sighting.c[name] == value for name, value in facts.items()]


def _is_close(seen: Sighting, at: datetime) -> bool:
    return abs(at.timestamp() - seen.modified) <= CLOSE_SECONDS


def record_report(
    connection: Connection, profile: str, seen: Sighting, *, digest: str, artefact: str, at: datetime
) -> tuple[int, bool]:
    """Note a fetched report; one whose content was fetched before stays the one it was.

    Args:
        at: When its fetching began.

    Returns:
        Its id, and whether its content is new.
    """
    insert_for = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    values = {
        "profile": profile,
        "file_name": seen.file_name,
        "content_digest": digest,
        "size": seen.size,
        "artefact": artefact,
        "state": ReportState.FETCHED,
        "fetched_at": at,
    }
    # Not the row count: psycopg's is lost once the id that came with the insert has been read.
    inserted = insert_for(report_file).values(values).on_conflict_do_nothing().returning(report_file.c.report_id)
    new = connection.execute(inserted).one_or_none() is not None
    where = (report_file.c.profile == profile, report_file.c.content_digest == digest)
    report_id = connection.execute(select(report_file.c.report_id).where(*where)).scalar_one()
    sighting = {"profile": profile, **asdict(seen), "report_id": report_id, "seen_at": at}
    connection.execute(insert_for(report_sighting).values(sighting).on_conflict_do_nothing())
    if not is_known(connection, profile, seen):
        values = {"report_id": report_id, "seen_at": at}
        connection.execute(update(report_sighting).where(*_of(profile, seen)).values(**values))
    return report_id, new


def find_report(connection: Connection, report_id: int, *, for_update: bool = False) -> Report:
    """The report of that id. LedgerError when there is none."""
    statement = select(report_file).where(report_file.c.report_id == report_id)
    if for_update and connection.dialect.name == "postgresql":
        statement = statement.with_for_update()
    found = connection.execute(statement).mappings().one_or_none()
    if found is None:
        raise LedgerError(f"The ledger knows no report {report_id}.")
    return _report(found)


def reports_like(connection: Connection, profile: str, file_name: str, digest: str) -> list[Report]:
    """A profile's reports of a file name, and the one of a content (SHA-256, hex); oldest first."""
    same = or_(report_file.c.file_name == file_name, report_file.c.content_digest == digest)
    statement = select(report_file).where(report_file.c.profile == profile, same).order_by(report_file.c.report_id)
    return [_report(row) for row in connection.execute(statement).mappings()]


def reports_in(connection: Connection, profile: str, *states: ReportState) -> list[Report]:
    """A profile's reports in some states, oldest first."""
    where = (report_file.c.profile == profile, report_file.c.state.in_(states))
    statement = select(report_file).where(*where).order_by(report_file.c.report_id)
    return [_report(row) for row in connection.execute(statement).mappings()]


def reports_named(connection: Connection, profile: str, file_name: str) -> list[Report]:
    """A profile's reports that were first seen under a name, oldest first."""
    where = (report_file.c.profile == profile, report_file.c.file_name == file_name)
    statement = select(report_file).where(*where).order_by(report_file.c.report_id)
    return [_report(row) for row in connection.execute(statement).mappings()]


def all_reports(connection: Connection, profile: str) -> list[Report]:
    """All reports of a profile, oldest first."""
    statement = select(report_file).where(report_file.c.profile == profile).order_by(report_file.c.report_id)
    return [_report(row) for row in connection.execute(statement).mappings()]


def advance_report(connection: Connection, report_id: int, state: ReportState, **columns: object) -> None:
    """Move a report to a state and set columns with it."""
    where = report_file.c.report_id == report_id
    connection.execute(update(report_file).where(where).values(state=state, **columns))


def last_reading(connection: Connection, report_id: int) -> tuple[int, bool]:
    """How many times a report was read, and whether all that it declined is decided on since."""
    query = select(report_file.c.readings, report_file.c.planned_at).where(report_file.c.report_id == report_id)
    found = connection.execute(query).one()
    return found.readings, found.planned_at is not None


def note_read_again(connection: Connection, report_id: int) -> None:
    """A report means something else by now: it is judged, planned for and told anew."""
    anew = {"readings": report_file.c.readings + 1, "planned_at": None, "judged_at": None}
    advance_report(connection, report_id, ReportState.INGESTED, **anew)


def note_planned(connection: Connection, report_id: int, reading: int, at: datetime) -> None:
    """All that a report declined is decided on, unless it was read again since that reading."""
    where = (report_file.c.report_id == report_id, report_file.c.readings == reading)
    connection.execute(update(report_file).where(*where).values(planned_at=at))


def note_written_back(connection: Connection, report_id: int, reading: int, at: datetime) -> bool:
    """The merchant was told of a report as it was read then; False: it was read again since, and is to be told anew.

    Another copy of this task may have noted it before: then that holds.
    """
    where = (report_file.c.report_id == report_id, report_file.c.readings == reading)
    values = {"state": ReportState.WRITTEN_BACK, "written_back_at": at}
    return connection.execute(update(report_file).where(*where).values(**values)).rowcount == 1


def reopen_refused(connection: Connection, profile: str, file_name: str) -> list[Report]:
    """Let refused reports of a name be read again; those that were refused."""
    where = (
        report_file.c.profile == profile,
        report_file.c.file_name == file_name,
        report_file.c.state == ReportState.REFUSED,
    )
    refused = [_report(row) for row in connection.execute(select(report_file).where(*where)).mappings()]
    for report in refused:
        advance_report(connection, report.report_id, ReportState.FETCHED, refused_reason=None)
    return refused


def reports_on(connection: Connection, batch_id: int) -> list[tuple[str, str]]:
    """Name and artefact of the reports of its profile that speak of a batch."""
    statement = (
        select(report_file.c.file_name, report_file.c.artefact)
        .join(report_batch, report_batch.c.report_id == report_file.c.report_id)
        .join(batch, batch.c.batch_id == report_batch.c.batch_id)
        .where(batch.c.batch_id == batch_id, batch.c.profile == report_file.c.profile)
    )
    return [(row.file_name, row.artefact) for row in connection.execute(statement)]


def batches_of_report(connection: Connection, report_id: int) -> list[int]:
    """The batches that a report speaks of."""
    return list(connection.scalars(select(report_batch.c.batch_id).where(report_batch.c.report_id == report_id)))


def _report(row: RowMapping) -> Report:
    values: dict[str, Any] = {name: row[name] for name in Report.__dataclass_fields__}
    return Report(**{**values, "state": ReportState(values["state"])})
