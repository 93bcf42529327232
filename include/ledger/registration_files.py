"""Files that register bills in bulk: which bills each holds, and how far its delivery has come."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, exists, func, insert, select, true, update

from include.domain.errors import LedgerError
from include.domain.states import RegistrationFileState
from include.ledger.bill_tables import bill, registration_file, registration_line
from include.ledger.bills import Bill, Key

UNDER_WAY: Final = (
    RegistrationFileState.SEALED, RegistrationFileState.RENAMING, RegistrationFileState.UNKNOWN,
)  # fmt: skip
"""Nobody knows yet how it ends: its bills are asked for in no other way meanwhile."""


@dataclass(frozen=True)
class RegistrationFile:
    """A file that registers bills; see the table."""

    file_id: int
    profile: str
    remote_folder: str
    file_name: str
    business_date: date
    sequence: int
    layout_digest: str
    currency: str
    line_count: int
    total_amount: int
    state: RegistrationFileState
    artefact: str
    plaintext_digest: str
    envelope_digest: str
    envelope_size: int
    delivery_try: str | None
    words: str | None
    file_removed_at: datetime | None


_COLUMNS: Final = [registration_file.c[name] for name in RegistrationFile.__dataclass_fields__]


def in_a_file() -> ColumnElement[bool]:
    """Of a row of `bill`: a file that is under way holds it."""
    joined = registration_line.join(registration_file, registration_line.c.file_id == registration_file.c.file_id)
    return exists(
        select(true()).select_from(joined).where(
            registration_line.c.billing_source == bill.c.billing_source,
            registration_line.c.billing_number == bill.c.billing_number,
            registration_file.c.state.in_(UNDER_WAY),
        )
    )  # fmt: skip


def next_sequence(connection: Connection, profile: str, business_date: date) -> int:
    """The number of the profile's next file of that day, from 1."""
    where = (registration_file.c.profile == profile, registration_file.c.business_date == business_date)
    last = select(func.coalesce(func.max(registration_file.c.sequence), 0)).where(*where)
    return int(connection.scalar(last) or 0) + 1


def keep_file(connection: Connection, values: Mapping[str, Any], bills: Collection[Bill]) -> int:
    """Keep a sealed file with its lines, in their order; its id."""
    made = connection.execute(insert(registration_file).values(values).returning(registration_file.c.file_id))
    file_id = int(made.scalar_one())
    lines = [
        {
            "file_id": file_id, "line_no": number, "billing_source": one.billing_source,
            "billing_number": one.billing_number, "terms_digest": one.terms_digest,
        }
        for number, one in enumerate(bills, start=1)
    ]  # fmt: skip
    connection.execute(insert(registration_line), lines)
    return file_id


def find_file(connection: Connection, file_id: int) -> RegistrationFile:
    """The file of that id."""
    return _file(connection.execute(select(*_COLUMNS).where(registration_file.c.file_id == file_id)).mappings().one())


def file_named(connection: Connection, profile: str, file_name: str) -> RegistrationFile:
    """A profile's file of that name. LedgerError: there is none."""
    where = (registration_file.c.profile == profile, registration_file.c.file_name == file_name)
    row = connection.execute(select(*_COLUMNS).where(*where)).mappings().one_or_none()
    if row is None:
        raise LedgerError(
            f"Profile {profile} has no registration file {file_name}. "
            f"`python -m include.cli bills --profile {profile} --files` lists those that there are."
        )
    return _file(row)


def files_in(connection: Connection, profile: str, states: Collection[RegistrationFileState]) -> list[RegistrationFile]:
    """A profile's files in some states, oldest first."""
    where = (registration_file.c.profile == profile, registration_file.c.state.in_(states))
    statement = select(*_COLUMNS).where(*where).order_by(registration_file.c.file_id)
    return [_file(row) for row in connection.execute(statement).mappings()]


def lines_of(connection: Connection, file_id: int) -> list[tuple[Key, str]]:
    """The bills of a file, each with the digest of the terms that it has there."""
    table = registration_line.c
    statement = select(table.billing_source, table.billing_number, table.terms_digest).where(table.file_id == file_id)
    return [(Key(row[0], row[1]), row[2]) for row in connection.execute(statement.order_by(table.line_no))]


def move(
    connection: Connection,
    file_id: int,
    state: RegistrationFileState,
    origins: Collection[RegistrationFileState],
    *conditions: ColumnElement[bool],
    **columns: Any,
) -> bool:
    """Move a file from one of some states to another. False: it is in none of them, or a condition does not hold."""
    where = (registration_file.c.file_id == file_id, registration_file.c.state.in_(origins), *conditions)
    done = connection.execute(update(registration_file).where(*where).values(state=state, **columns))
    return done.rowcount == 1


def of_try(mine: str) -> ColumnElement[bool]:
    """It is still that try's turn."""
    return registration_file.c.delivery_try == mine


def _file(row: RowMapping) -> RegistrationFile:
    return RegistrationFile(**{**row, "state": RegistrationFileState(row["state"])})
