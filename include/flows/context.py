"""What every flow is given: a profile, two databases, DOKU's server, a place for files and a clock."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property

from sqlalchemy import Engine

from include.doku.api import DokuApi
from include.doku.keys import DatedKey, PrivateKey, PublicKey, choose_key, load_private_key, load_public_key
from include.doku.sftp import SftpServer
from include.doku.words import WordsAccount
from include.domain.calendar import AttemptDays, Calendar, local_date
from include.domain.errors import ConfigError, KeyFileError
from include.flows.artefacts import Artefacts
from include.ledger.store import Ledger
from include.schemas.calendars import calendar_of, holidays_of
from include.schemas.envelope import PublicKeyEntry
from include.schemas.layout import Layout, load_layout
from include.schemas.profile import Profile


@dataclass(frozen=True)
class ReportKey:
    """The merchant's private key: PEM text, and the password that it is encrypted with, if it is."""

    text: str = field(repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class OneCheckout:
    """DOKU's older interface: who we are there, and where customers' browsers post to."""

    account: WordsAccount
    base_url: str


def _no_onecheckout() -> OneCheckout:
    raise ConfigError("the profile", "connections.onecheckout", "missing, and this needs DOKU's older interface")


def _no_api() -> DokuApi:
    raise ConfigError("the profile", "connections.doku", "missing, and this needs DOKU's HTTP API; add it")


def _no_step(name: str) -> None:
    """Outside the crash sweep steps pass unnoticed."""


@dataclass(frozen=True)
class FlowContext:
    """The things that a flow works with; who calls it looks them up.

    Attributes:
        billing: The merchant's billing database; opened when first asked for.
        remote: Opens a session at DOKU's SFTP server.
        api: DOKU's HTTP API; opened when first asked for. ConfigError: the profile names none.
        onecheckout: DOKU's older interface. ConfigError: the profile names none.
        report_key: The merchant's private key from a connection, or None.
        clock: The present moment, with a timezone.
        wait: Waits for some seconds.
        rehearsing: Nothing is kept (`include.flows.rehearsal`); the merchant is told nothing.
        step: Told before and after each effect that others can see; the crash sweep kills the process there.
    """

    profile: Profile
    ledger: Ledger
    billing: Callable[[], Engine]
    remote: Callable[[], AbstractContextManager[SftpServer]]
    artefacts: Artefacts
    clock: Callable[[], datetime]
    report_key: Callable[[], ReportKey | None] = lambda: None
    api: Callable[[], DokuApi] = _no_api
    onecheckout: Callable[[], OneCheckout] = _no_onecheckout
    wait: Callable[[float], None] = time.sleep
    rehearsing: bool = False
    step: Callable[[str], None] = _no_step

    def __post_init__(self) -> None:
        """A profile of the other environment is refused before anything is done."""
        self.ledger.refuse_environment(self.profile.name, self.profile.environment)

    @property
    def today(self) -> date:
        """The merchant's calendar day now."""
        return local_date(self.clock(), self.profile.zone)

    @cached_property
    def calendar(self) -> Calendar:
        """On which days, and until when, DOKU is asked to charge. ConfigError: it cannot be used."""
        return calendar_of(self.profile, self._years())

    @cached_property
    def attempt_days(self) -> AttemptDays:
        """On which days a charge may be tried again. ConfigError as `calendar`."""
        retry = self.profile.retry
        return retry.attempt_days(frozenset() if retry.on_holidays else holidays_of(self.profile, self._years()))

    def _years(self) -> list[int]:
        """The years that a decision of today may fall into, and a pay day before it."""
        until = self.today + timedelta(days=self.profile.billing.late_window_days + 31)
        return list(range((self.today - timedelta(days=31)).year, until.year + 1))

    def batch_layout(self) -> Layout:
        """The layout that new batch files are written in."""
        return self._layout(self.profile.batch.layout, "batch", "batch.layout")

    def report_layout(self) -> Layout:
        """The layout that reports are read in."""
        return self._layout(self.profile.report.layout, "report", "report.layout")

    def registration_layout(self, name: str) -> Layout:
        """The layout that files which register bills are written in."""
        return self._layout(name, "register", "recurring.bulk.layout")

    def public_key(self, on: date, entries: Sequence[PublicKeyEntry] = ()) -> PublicKey:
        """DOKU's public key for a day. KeyFileError: none is valid, or its file cannot be used.

        Args:
            entries: Keys to choose from; by default those of `[batch]`.
        """
        entries = entries or self.profile.batch.public_keys
        chosen = choose_key([DatedKey(key.valid_from, key.valid_until, key.file) for key in entries], on)
        return load_public_key(self._key_bytes(chosen.source, "batch.public_keys"), chosen.source)

    def private_key(self) -> PrivateKey:
        """The merchant's private key for sealed reports. KeyFileError: none is configured, or it cannot be used."""
        kept = self.report_key()
        if kept is not None:
            origin = f"connection {self.profile.connections.report_key}"
            return load_private_key(kept.text.encode("ascii", "replace"), origin, kept.password)
        if self.profile.report.private_key_file is None:
            raise KeyFileError(
                f"The report is sealed, but profile {self.profile.name} has no key to open it. "
                "Set connections.report_key or report.private_key_file."
            )
        name = self.profile.report.private_key_file
        return load_private_key(self._key_bytes(name, "report.private_key_file"), name)

    def _key_bytes(self, name: str, key: str) -> bytes:
        path = self.profile.path_of(name)
        try:
            return path.read_bytes()
        except OSError as caught:
            raise KeyFileError(
                f"{self.profile.file}: {key}: the key file {path} cannot be read ({caught.__class__.__name__}). "
                "Put the file there or correct the path."
            ) from None

    def _layout(self, name: str, kind: str, key: str) -> Layout:
        path = self.profile.layout_path(name)
        if not path.exists():
            reason = f"there is no layout {name!r}, neither beside the profile (layouts/) nor among the shipped ones"
            raise ConfigError(str(self.profile.file), key, reason)
        layout = load_layout(path)
        if layout.kind != kind:
            raise ConfigError(str(self.profile.file), key, f"layout {name!r} is for a {layout.kind}, not for a {kind}")
        return layout
