"""A ledger in which nothing is kept: everything happens in one transaction, which is undone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from sqlalchemy import Connection

from include.ledger import work_tables
from include.ledger.store import Ledger, Workspace, errors_named


@dataclass(frozen=True)
class RehearsedLedger(Ledger):
    """A ledger whose every transaction is a part of the one that is undone in the end."""

    connection: Connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A part of the transaction; undone by itself when it fails."""
        with errors_named(), self.connection.begin_nested():
            yield self.connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Sees what was written before."""
        with errors_named():
            yield self.connection

    @contextmanager
    def workspace(self) -> Iterator[Workspace]:
        """Temporary tables of the same transaction; one workspace in a rehearsal."""
        with errors_named():
            work_tables.work.create_all(self.connection, checkfirst=False)
            yield RehearsedWorkspace(self.connection)


@dataclass(frozen=True)
class RehearsedWorkspace(Workspace):
    """A workspace inside the transaction that is undone."""

    @contextmanager
    def stage(self) -> Iterator[Connection]:
        """A part of the transaction."""
        with errors_named(), self.connection.begin_nested():
            yield self.connection

    write = stage


@contextmanager
def rehearsed(ledger: Ledger) -> Iterator[RehearsedLedger]:
    """The ledger, rehearsed; a rehearsal in a rehearsal is undone by itself."""
    if isinstance(ledger, RehearsedLedger):
        nested = ledger.connection.begin_nested()
        try:
            yield ledger
        finally:
            nested.rollback()
        return
    known = {one.name: getattr(ledger, one.name) for one in fields(ledger)}
    with errors_named(), ledger.engine.connect().execution_options(doku_write=True) as connection:
        transaction = connection.begin()
        try:
            yield RehearsedLedger(**known, connection=connection)
        finally:
            transaction.rollback()
