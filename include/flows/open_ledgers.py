"""Ledgers that stay open, for a process that answers requests: connections looked up once a minute, databases pooled.

A ledger that does not answer is not asked again for a moment, so that requests do not queue up behind it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Final

from sqlalchemy import Connection, Engine
from upath import UPath

from include.billing.engine import billing_engine
from include.doku.sftp import SftpServer
from include.domain.connection import ConnectionSettings
from include.domain.errors import DokuError, LedgerUnreachable, RemoteRefused
from include.flows.artefacts import Artefacts
from include.flows.context import FlowContext
from include.ledger.store import Ledger, prompt_engine
from include.schemas.profile import Profile

LOOK_UP_SECONDS: Final = 60.0
"""A changed connection (a new key) is known after so long."""

HEAD_SECONDS: Final = 20.0
"""So often a ledger is asked whether it is at head still."""

PAUSE_SECONDS: Final = 1.0
"""How long a ledger that failed is left alone."""

CONNECTIONS: Final = 8
"""At most so many to each ledger, in each process."""


@dataclass(frozen=True)
class _Known:
    settings: ConnectionSettings
    at: float


@dataclass(frozen=True)
class _Opened:
    """A ledger that answered, or why it did not."""

    settings: ConnectionSettings
    ledger: Ledger | None
    problem: DokuError | None
    until: float


def _no_server() -> AbstractContextManager[SftpServer]:
    raise RemoteRefused("Whoever takes notifications has no session at DOKU's SFTP server.")


class OpenLedgers:
    """The ledgers of this process, by connection; safe to use from several threads.

    Args:
        look_up: Gives the connection of an id; ConfigError when there is none.
        clock: Seconds that only grow.
    """

    def __init__(
        self, look_up: Callable[[str], ConnectionSettings], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._opened: dict[str, _Opened] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._guard = threading.Lock()

    def connection(self, conn_id: str) -> ConnectionSettings:
        """The connection of that id, as it was at most a minute ago. ConfigError when there is none."""
        known = self._known.get(conn_id)
        if known is None or self._clock() - known.at > LOOK_UP_SECONDS:
            known = _Known(self._look_up(conn_id), self._clock())
            self._known[conn_id] = known
        return known.settings

    def ledger_of(self, profile: Profile) -> Ledger:
        """The profile's ledger, at head.

        Raises:
            ConfigError: No such connection.
            LedgerError: It is not at head, of the other environment, or does not answer.
        """
        conn_id = profile.connections.ledger
        settings = self.connection(conn_id)
        opened = self._opened.get(conn_id)
        if opened is None or opened.settings != settings or self._clock() > opened.until:
            opened = self._open(conn_id, settings)
        if opened.ledger is None:
            raise opened.problem or LedgerUnreachable("The ledger does not answer.")
        opened.ledger.refuse_environment(profile.name, profile.environment)
        return opened.ledger

    @contextmanager
    def one_statement(self, profile: Profile) -> Iterator[Connection]:
        """A connection for one statement that is kept at once. LedgerError, ConfigError: as `ledger_of`.

        SQLite has no autocommit of its own here: there it is a transaction.
        """
        ledger = self.ledger_of(profile)
        if ledger.engine.dialect.name == "postgresql":
            ledger = replace(ledger, engine=ledger.engine.execution_options(isolation_level="AUTOCOMMIT"))
        with ledger.write() as connection:
            yield connection

    @contextmanager
    def context(self, profile: Profile, clock: Callable[[], datetime]) -> Iterator[FlowContext]:
        """A flow's context for a profile, with the two databases and nothing else.

        Raises:
            ConfigError, LedgerError: As `ledger_of`.
        """

        @cache
        def billing() -> Engine:
            return billing_engine(self.connection(profile.connections.billing))

        try:
            yield FlowContext(
                profile=profile,
                ledger=self.ledger_of(profile),
                billing=billing,
                remote=_no_server,
                artefacts=Artefacts(UPath("memory://")),
                clock=clock,
            )
        finally:
            if billing.cache_info().currsize:
                billing().dispose()

    def close(self) -> None:
        """Close the databases."""
        for opened in self._opened.values():
            if opened.ledger is not None:
                opened.ledger.engine.dispose()
        self._opened.clear()

    def _open(self, conn_id: str, settings: ConnectionSettings) -> _Opened:
        """Open it, or ask it anew; one thread at a time, and the others do not wait for long."""
        with self._guard:
            lock = self._locks.setdefault(conn_id, threading.Lock())
        if not lock.acquire(timeout=PAUSE_SECONDS):
            raise LedgerUnreachable("The ledger takes its time to answer.")
        try:
            opened = self._opened.get(conn_id)
            if opened is not None and opened.settings == settings and self._clock() <= opened.until:
                return opened
            self._opened[conn_id] = self._opened_anew(opened, settings)
            return self._opened[conn_id]
        finally:
            lock.release()

    def _opened_anew(self, before: _Opened | None, settings: ConnectionSettings) -> _Opened:
        engine = before.ledger.engine if before and before.ledger and before.settings == settings else None
        try:
            engine = engine or prompt_engine(settings, CONNECTIONS)
            return _Opened(settings, Ledger.open(engine), None, self._clock() + HEAD_SECONDS)
        except DokuError as caught:
            if engine is not None:
                engine.dispose()
            return _Opened(settings, None, caught, self._clock() + PAUSE_SECONDS)
