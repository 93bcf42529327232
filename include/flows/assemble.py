"""Putting a flow's context together from connections; the caller says how a connection is looked up."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import cache
from threading import Lock

from sqlalchemy import Engine

from include.billing.engine import billing_engine
from include.doku.api import ApiSettings, DokuApi
from include.doku.sftp import SftpServer, SftpSettings, connect
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from include.flows.artefacts import Artefacts, StoragePath
from include.flows.context import FlowContext, OneCheckout, ReportKey
from include.flows.onecheckout_account import account_of, base_url_of
from include.ledger.store import Ledger, ledger_engine
from include.schemas.profile import Profile

LookUp = Callable[[str], ConnectionSettings]
"""Gives the connection of an id; ConfigError when there is none."""


class _Once:
    """DOKU's API, opened when it is first asked for, by one of several threads; closed if it was opened."""

    def __init__(self, make: Callable[[], DokuApi]) -> None:
        self._make, self._lock = make, Lock()
        self._made: DokuApi | None = None

    def __call__(self) -> DokuApi:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def close(self) -> None:
        """Close its connections."""
        if self._made is not None:
            self._made.close()


@contextmanager
def flow_context(
    profile: Profile,
    look_up: LookUp,
    artefacts: StoragePath,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[FlowContext]:
    """A context whose databases are closed at the end.

    Raises:
        ConfigError: A connection is missing or is of the wrong kind.
        LedgerError: The ledger is not at head, or of the other environment.
    """

    @cache
    def billing() -> Engine:
        return billing_engine(look_up(profile.connections.billing))

    def remote() -> AbstractContextManager[SftpServer]:
        return connect(SftpSettings.from_connection(look_up(profile.connections.sftp)))

    def open_api() -> DokuApi:
        connection = look_up(profile.connections.doku)
        return DokuApi(ApiSettings.from_connection(connection, profile.http, profile.environment), clock)

    def onecheckout() -> OneCheckout:
        return OneCheckout(account_of(profile, look_up), base_url_of(profile, look_up))

    def report_key() -> ReportKey | None:
        conn_id = profile.connections.report_key
        if conn_id is None:
            return None
        connection = look_up(conn_id)
        text = connection.extra.get("private_key")
        if not text:
            reason = "missing; put the PEM text of the key there"
            raise ConfigError(f"connection {conn_id}", "extra.private_key", reason)
        return ReportKey(str(text), connection.password)

    api = _Once(open_api)
    engine = ledger_engine(look_up(profile.connections.ledger))
    try:
        yield FlowContext(
            profile=profile,
            ledger=Ledger.open(engine),
            billing=billing,
            remote=remote,
            artefacts=Artefacts(artefacts),
            clock=clock,
            report_key=report_key,
            api=api,
            onecheckout=onecheckout,
        )
    finally:
        engine.dispose()
        if billing.cache_info().currsize:
            billing().dispose()
        api.close()
