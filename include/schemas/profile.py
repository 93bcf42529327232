"""The profile: all settings of one merchant account at DOKU, read from one TOML file.

What DOKU tells a merchant only at onboarding is held here and in the layouts, never in code. A field whose default is
an assumption says so in its description; `docs/onboarding.md` lists them all.
"""

import os
import re
from datetime import date, time
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PrivateAttr, field_validator, model_validator

from include.domain.due_charge_columns import COLUMNS
from include.domain.errors import ConfigError
from include.domain.file_names import FileNameTemplate
from include.domain.money import CURRENCY_EXPONENT, MAX_AMOUNT
from include.schemas.codes import CodeEntry
from include.schemas.delivery_names import Folder, TemporaryName, refuse_what_is_picked_up
from include.schemas.envelope import EnvelopeSpec, PublicKeyEntry
from include.schemas.housekeeping_settings import Housekeeping
from include.schemas.http_settings import HttpSettings
from include.schemas.notification_settings import NotificationSettings
from include.schemas.recurring_settings import RecurringSettings
from include.schemas.retry_settings import CalendarSettings, Retry
from include.schemas.strict import StrictModel
from include.schemas.token_settings import TokenSettings

SHIPPED_CONFIG: Final = Path(__file__).resolve().parent.parent / "config"
"""The configuration that comes with the package: example profiles, layouts, response codes."""

PROFILES_DIR_VARIABLE: Final = "DOKU_PROFILES_DIR"

ProfileName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.\-]{1,200}$")]
SqlName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$")]
MailAddress = Annotated[str, Field(pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+$")]
Minutes = Annotated[float, Field(gt=0, le=7 * 24 * 60)]
Hours = Annotated[float, Field(gt=0, le=31 * 24)]
Days = Annotated[float, Field(gt=0, le=366)]
Off = Literal[False]


_Part = TypeVar("_Part")


def _given(value: _Part | None, key: str, what: str) -> _Part:
    if value is None:
        raise ConfigError("the profile", key, f"missing, and this needs {what}; add it to the profile")
    return value


class Connections(StrictModel):
    """Ids of the Airflow connections that the profile uses; no secret is ever in a profile."""

    billing: ConnectionId = Field(description="The merchant's billing database")
    ledger: ConnectionId = Field(default="doku_ledger", description="Our own database")
    sftp_or_none: ConnectionId | None = Field(
        default=None, alias="sftp", description="DOKU's SFTP server; extra.host_key pins its key (two pins: a list)"
    )
    doku_or_none: ConnectionId | None = Field(
        default=None,
        alias="doku",
        description="DOKU's HTTP API: login is the Client-Id, password the secret key",
    )
    onecheckout_or_none: ConnectionId | None = Field(
        default=None,
        alias="onecheckout",
        description="DOKU's older interface: login is the MALLID, password the shared key; extra.words is sha1 (else "
        "sha256, hmac-sha1, hmac-sha256), extra.chain_merchant is NA if left out",
    )
    report_key: ConnectionId | None = Field(
        default=None, description="Connection whose extra.private_key is the merchant's private key for sealed reports"
    )

    @property
    def sftp(self) -> str:
        """DOKU's SFTP server. ConfigError: the profile names none."""
        return _given(self.sftp_or_none, "connections.sftp", "DOKU's SFTP server")

    @property
    def doku(self) -> str:
        """DOKU's HTTP API. ConfigError: the profile names none."""
        return _given(self.doku_or_none, "connections.doku", "DOKU's HTTP API")

    @property
    def onecheckout(self) -> str:
        """DOKU's older, form-encoded interface. ConfigError: the profile names none."""
        return _given(self.onecheckout_or_none, "connections.onecheckout", "DOKU's older interface")


class Schedule(StrictModel):
    """When the DAGs run (cron, in the profile's timezone) and how long a run waits."""

    submit: str = Field(default="0 6 * * *", description="Empty: only by hand")
    reconcile: str = Field(
        default="*/15 * * * *", description="Also woken by submit, as a hint; empty: only so and by hand"
    )
    tokens: str = Field(default="0 3 * * *", description="Only with [tokens]; empty: only by hand")
    report_wait_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = 10
    report_poll_seconds: Annotated[float, Field(gt=0, le=3600)] = 30
    report_stable_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=10, description="A report is taken when two looks this far apart show the same size and time"
    )


class Billing(StrictModel):
    """How to read the merchant's view and write their table."""

    view: SqlName = "doku_due_charges"
    outcomes: SqlName = "doku_charge_outcomes"
    token_customers: SqlName = Field(
        default="doku_token_customers", description="View of the customers whose tokens are asked for"
    )
    tokens: SqlName = Field(default="doku_tokens", description="Table that their tokens are written to")
    bills: SqlName = Field(default="doku_bills", description="View of the bills that DOKU shall charge; [recurring]")
    bill_status: SqlName = Field(
        default="doku_bill_status", description="Table that what became of the bills is written to; [recurring]"
    )
    late_window_days: Annotated[int, Field(ge=0, le=3650)] = Field(
        default=30, description="Charges due longer ago than this are held and shown, not sent"
    )
    look_again_minutes: Annotated[float, Field(ge=0)] = Field(
        default=15, description="A batch that was claimed longer ago is compared with the view again before it leaves"
    )
    chunk_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
    columns: dict[str, SqlName] = Field(
        default_factory=dict, description="canonical name -> name in the merchant's view, where they differ"
    )

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: dict[str, str]) -> dict[str, str]:
        unknown = sorted(set(columns) - set(COLUMNS))
        if unknown:
            raise ValueError(f"no such column of a due charge: {', '.join(unknown)}")
        return columns


class Limits(StrictModel):
    """Fixed limits; amounts in major units of the profile's currency."""

    currencies: tuple[str, ...] = ("IDR",)
    max_amount_per_charge: Annotated[int, Field(gt=0, le=MAX_AMOUNT)] = 50_000_000
    max_rows_per_batch: Annotated[int, Field(gt=0, le=10_000_000)] = Field(
        default=10_000, description="Assumed: DOKU publishes no limit"
    )
    max_amount_per_batch: Annotated[int, Field(gt=0)] = Field(
        default=50_000_000_000, description="Assumed: DOKU publishes no limit"
    )

    max_days_ahead: Annotated[int, Field(ge=0, le=366)] = Field(
        default=1, description="A business date further ahead of today is refused: it is more likely a typing error"
    )

    @field_validator("currencies")
    @classmethod
    def _known_currencies(cls, currencies: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(currencies) - set(CURRENCY_EXPONENT))
        if unknown or not currencies:
            raise ValueError(f"unknown currencies {unknown}; known: {', '.join(CURRENCY_EXPONENT)}")
        return currencies

    @model_validator(mode="after")
    def _a_charge_fits_a_batch(self) -> Self:
        if self.max_amount_per_charge > self.max_amount_per_batch:
            raise ValueError("max_amount_per_charge is above max_amount_per_batch: such a charge would fit no batch")
        return self


class Quarantine(StrictModel):
    """What ends a charge's quarantine."""

    release: Literal["when_mended", "by_person"] = Field(
        default="when_mended",
        description="when_mended: the next run that finds nothing wrong with it; by_person: only a person's release",
    )


class Brakes(StrictModel):
    """When a run stops before delivery and asks a person. Amounts in major units; None: this brake is off."""

    max_count: Annotated[int, Field(gt=0)] | None = Field(default=100_000, description="Most charges of a run")
    max_total: Annotated[int, Field(gt=0)] | None = Field(default=100_000_000_000, description="Most of a run in all")
    max_single: Annotated[int, Field(gt=0)] | None = Field(default=None, description="Most of one charge")
    max_quarantined_share: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=0.2, description="Most of the listed rows that may be quarantined, as a share"
    )
    max_per_customer: Annotated[int, Field(gt=0)] | None = Field(
        default=5, description="Most charges of one customer in a run"
    )
    unusual_factor: Annotated[float, Field(gt=1)] | None = Field(
        default=3.0, description="Count or total so many times above or below the median of earlier runs"
    )
    history_runs: Annotated[int, Field(ge=3, le=365)] = Field(
        default=30, description="How many earlier runs are looked at"
    )
    history_least: Annotated[int, Field(ge=2, le=365)] = Field(
        default=5, description="With fewer earlier runs than this only the fixed limits apply"
    )
    key_expires_within_days: Annotated[int, Field(ge=0, le=365)] | None = Field(
        default=7, description="DOKU's public key ends within so many days and no newer one is there"
    )
    max_setup_declines: Annotated[int, Field(ge=0)] | None = Field(
        default=0, description="Most charges that wait for the merchant's own set-up (class merchant_setup)"
    )
    four_eyes: bool = Field(default=False, description="Whoever started a run by hand may not approve it")


class Decisions(StrictModel):
    """What people decide about money."""

    four_eyes: bool = Field(
        default=False,
        description="Settling an attempt, closing or cancelling a charge, ending a bill, and DOKU's word that it never "
        "got or refused a file take a second person, who confirms it",
    )


class Token(StrictModel):
    """The shape of a token: opaque text (DOKU shows 32 hex characters and `TOK_..::..` forms)."""

    pattern: str = Field(
        default=r"[A-Za-z0-9_.:\-]{8,128}", description="Regular expression of a whole token; inferred"
    )

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as caught:
            raise ValueError(f"not a regular expression: {caught}") from None
        return pattern


class BatchSettings(StrictModel):
    """How batch files look, are named, sealed and delivered."""

    layout: str = Field(default="assumed-batch", description="Name of a layout file")
    file_name: str = Field(
        default="TKN_{merchant}_{business_date:yyyyMMdd}_{sequence:04}.TXT",
        description="Assumed, except for TKN at the start and .TXT at the end",
    )
    folder: Folder = Field(default="/inbound", description="DOKU's folder for uploads; given at onboarding")
    archive_folder: Folder | None = Field(
        default=None, description="Where DOKU moves files that it has taken, if it does"
    )
    delivery: Literal["rename", "direct"] = Field(
        default="rename", description="direct: the server allows no rename; an interrupted upload is then unknown"
    )
    temporary_folder: Folder | None = Field(default=None, description="None: the upload folder itself")
    temporary_name: TemporaryName = Field(default=".{digest}.part", description="Must not match DOKU's pick-up pattern")
    pickup_pattern: str = Field(default="TKN*.TXT", description="What DOKU picks up; inferred from the names it shows")
    read_back: bool = Field(default=True, description="Read the temporary file back and compare; False: size only")
    cutoff: time = Field(
        default=time(21, 0), description="Local time after which DOKU charges a file tomorrow; assumed"
    )
    envelope: EnvelopeSpec = Field(default_factory=EnvelopeSpec)
    public_keys: tuple[PublicKeyEntry, ...] = Field(min_length=1)

    @field_validator("file_name")
    @classmethod
    def _file_name(cls, text: str) -> str:
        FileNameTemplate(text)
        return text

    @model_validator(mode="after")
    def _temporary_is_not_picked_up(self) -> Self:
        if self.temporary_folder in (None, self.folder):
            refuse_what_is_picked_up(self.temporary_name, self.pickup_pattern)
        return self


class ReportSettings(StrictModel):
    """How reports look, are named and are read."""

    layout: str = "assumed-report"
    file_name: str = Field(default="RPT_{batch_stem}.TXT", description="Assumed; only suggests the batch")
    pattern: str = Field(default="RPT_*.TXT", description="Names taken as reports in the folder; assumed")
    folder: Folder = Field(default="/outbound", description="DOKU's folder for reports; given at onboarding")
    sealed: Literal["yes", "no", "detect"] = Field(
        default="detect", description="Not published; detect looks at the file"
    )
    envelope: EnvelopeSpec = Field(default_factory=EnvelopeSpec)
    private_key_file: str | None = Field(default=None, description="PEM file; or connections.report_key")
    max_bytes: Annotated[int, Field(gt=0)] = Field(default=4_000_000_000, description="A larger report is refused")
    delete_after: bool = Field(default=False, description="Delete the report at DOKU's server once it is written back")

    @field_validator("file_name")
    @classmethod
    def _file_name(cls, text: str) -> str:
        FileNameTemplate(text)
        return text


class Watch(StrictModel):
    """By when each stage is expected, and who is told when it is late. false: that is not watched."""

    notify: tuple[ConnectionId, ...] = Field(
        default=(), description="Connections that every alert goes to: of type smtp, http (a webhook) or slackwebhook"
    )
    notify_urgent: tuple[ConnectionId, ...] = Field(default=(), description="Also told once a matter is urgent")
    notify_critical: tuple[ConnectionId, ...] = Field(default=(), description="Also told once a matter is critical")
    mail_to: tuple[MailAddress, ...] = Field(default=(), description="Addresses for connections of type smtp")
    runbooks: str = Field(default="docs/runbooks/", description="What stands before a runbook's name in an alert")
    urgent_after_minutes: Minutes = Field(default=60, description="Late for so long: urgent")
    critical_after_minutes: Minutes = Field(default=240, description="Late for so long: critical")
    urgent_after_days: Days = Field(default=7, description="The same for what takes its time: keys, quarantine, breaks")
    critical_after_days: Days = Field(default=21, description="The same, critical")
    started_minutes: Minutes | Off = Field(
        default=60, description="After schedule.submit: a run is recorded, if charges are due"
    )
    claimed_minutes: Minutes | Off = Field(default=60, description="After a run began: it has claimed")
    sent_minutes: Minutes | Off = Field(default=180, description="After its claim: a batch is delivered")
    before_cutoff_minutes: Minutes = Field(
        default=60, description="A batch is expected to be delivered by then at last"
    )
    unknown_minutes: Minutes | Off = Field(
        default=30, description="After a delivery became unknown: the server, a report or a person has settled it"
    )
    acknowledged_minutes: Minutes | Off = Field(
        default=120, description="After delivery: DOKU took the file away (only with batch.archive_folder); assumed"
    )
    reported_hours: Hours | Off = Field(
        default=15, description="After the cut-off of the execute date: a report on the batch was taken in; assumed"
    )
    reconciled_hours: Hours | Off = Field(
        default=24, description="The same: each attempt of the batch is answered; assumed"
    )
    taken_in_minutes: Minutes | Off = Field(
        default=60, description="After a report was first seen at the server: it is fetched and taken in"
    )
    written_back_minutes: Minutes | Off = Field(
        default=60, description="After a report was taken in, or a batch withdrawn: the merchant's table says so"
    )
    tokens_hours: Hours | Off = Field(
        default=6, description="After schedule.tokens: a run of it has come to its end; only with [tokens]"
    )
    server_minutes: Minutes | Off = Field(default=60, description="How long DOKU's server may not answer")
    quarantine_days: Days | Off = Field(default=3, description="How long a charge may be quarantined")
    unknown_days: Days | Off = Field(
        default=3, description="How long the outcome of an attempt may be unknown: a code of class check_first"
    )
    breaks_days: Days | Off = Field(
        default=3, description="How long a break may be open, or explained and not resolved"
    )
    key_days: Days | Off = Field(
        default=30, description="Before the last of DOKU's public keys ends: a newer one is there"
    )
    host_key_until: date | None = Field(
        default=None,
        description="Last day of the pinned host key, once DOKU has announced one; key_days before it you are told",
    )
    airflow_minutes: Minutes | Off = Field(
        default=60, description="How long doku_watchdog may be silent, once it has looked"
    )
    outside_minutes: Minutes | Off = Field(
        default=False,
        description="How long the watchdog outside Airflow (watch) may be silent; set it once it is installed",
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.critical_after_minutes < self.urgent_after_minutes or self.critical_after_days < self.urgent_after_days:
            raise ValueError("critical_after_... is before urgent_after_...: a matter is urgent first")
        if self.reported_hours and self.reconciled_hours and self.reconciled_hours < self.reported_hours:
            raise ValueError("reconciled_hours is less than reported_hours: a report comes first")
        return self


class Profile(StrictModel):
    """All settings of one merchant account at DOKU."""

    name: ProfileName = Field(description="Must be the file's own name; part of the DAG ids")
    title: str
    environment: Literal["sandbox", "production"]
    merchant: Annotated[str, Field(pattern=r"^[A-Za-z0-9\-]{1,30}$")] = Field(
        description="The merchant's code in file names and header lines; given at onboarding"
    )
    billing_source: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,39}$")] = Field(
        description="Id of the billing database; never changes; profiles that share the database share it"
    )
    timezone: str = "Asia/Jakarta"
    connections: Connections
    schedule: Schedule = Field(default_factory=Schedule)
    billing: Billing = Field(default_factory=Billing)
    limits: Limits = Field(default_factory=Limits)
    token: Token = Field(default_factory=Token)
    quarantine: Quarantine = Field(default_factory=Quarantine)
    brakes: Brakes = Field(default_factory=Brakes)
    decisions: Decisions = Field(default_factory=Decisions)
    retry: Retry = Field(default_factory=Retry)
    calendar: CalendarSettings = Field(default_factory=CalendarSettings)
    watch: Watch = Field(default_factory=Watch)
    housekeeping: Housekeeping = Field(default_factory=Housekeeping)
    batch_or_none: BatchSettings | None = Field(
        default=None, alias="batch", description="Batch Upload: the merchant sends batch files"
    )
    report: ReportSettings = Field(default_factory=ReportSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    notifications: NotificationSettings = Field(default_factory=NotificationSettings)
    recurring_or_none: RecurringSettings | None = Field(
        default=None, alias="recurring", description="Recurring: DOKU charges bills on its own schedule"
    )
    tokens_or_none: TokenSettings | None = Field(
        default=None, alias="tokens", description="DOKU is asked for customers' tokens"
    )
    codes: tuple[CodeEntry, ...] = ()

    _directory: Path = PrivateAttr(default=SHIPPED_CONFIG / "profiles")

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no such timezone: {zone!r}") from None
        return zone

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.sends_batches and not self.has_recurring:
            raise ValueError("there is neither [batch] nor [recurring]: such a profile does nothing")
        if self.sends_batches and self.connections.sftp_or_none is None:
            raise ValueError("[batch] needs connections.sftp")
        bulk = self.recurring_or_none and self.recurring_or_none.bulk
        if bulk and self.connections.sftp_or_none is None:
            raise ValueError("[recurring.bulk] needs connections.sftp")
        if bulk and not bulk.public_keys and bulk.sealed and not self.sends_batches:
            raise ValueError("[recurring.bulk] needs public_keys: there is no [batch] to take them from")
        if self.http.calls and self.connections.doku_or_none is None:
            raise ValueError(f"http.{self.http.calls[0]} needs connections.doku")
        if self.has_tokens and self.connections.doku_or_none is None:
            raise ValueError("[tokens] needs connections.doku")
        return self

    @property
    def sends_batches(self) -> bool:
        """Whether the merchant sends batch files (Batch Upload)."""
        return self.batch_or_none is not None

    @property
    def has_recurring(self) -> bool:
        """Whether DOKU charges bills on its own schedule (Recurring)."""
        return self.recurring_or_none is not None

    @property
    def has_tokens(self) -> bool:
        """Whether DOKU is asked for customers' tokens."""
        return self.tokens_or_none is not None

    @property
    def batch(self) -> BatchSettings:
        """Settings of Batch Upload. ConfigError: the profile has none."""
        return _given(self.batch_or_none, "batch", "Batch Upload")

    @property
    def recurring(self) -> RecurringSettings:
        """Settings of Recurring. ConfigError: the profile has none."""
        return _given(self.recurring_or_none, "recurring", "Recurring")

    @property
    def tokens(self) -> TokenSettings:
        """How DOKU is asked for tokens. ConfigError: the profile does not say."""
        return _given(self.tokens_or_none, "tokens", "the settings of tokens")

    def beside(self, path: Path) -> Self:
        """The same profile, with its files (keys, layouts) looked for beside that file."""
        self._directory = path.resolve().parent
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The profile's timezone: business dates and cut-offs are in it."""
        return ZoneInfo(self.timezone)

    @property
    def remote_folder(self) -> str:
        """Where batch files go, as one key: a name is unique in it across profiles."""
        return f"{self.connections.sftp}:{self.batch.folder.rstrip('/') or '/'}"

    @property
    def file(self) -> Path:
        """The profile's own file."""
        return self._directory / f"{self.name}.toml"

    def path_of(self, relative: str) -> Path:
        """A file named in the profile, relative to the profile's folder."""
        return self._directory / relative

    def layout_path(self, name: str) -> Path:
        """A layout's file: beside the profiles (`layouts/`) first, else one that is shipped."""
        own = self._directory / "layouts" / f"{name}.toml"
        return own if own.exists() else SHIPPED_CONFIG / "layouts" / f"{name}.toml"

    def dialect_path(self, name: str) -> Path:
        """A dialect's file: beside the profiles (`dialects/`) first, else one that is shipped."""
        own = self._directory / "dialects" / f"{name}.toml"
        return own if own.exists() else SHIPPED_CONFIG / "dialects" / f"{name}.toml"

    def calendar_path(self, year: int) -> Path | None:
        """The file of a year's holidays: beside the profiles (`calendars/`) first, else a shipped one, else none."""
        name = f"{self.calendar.country}-{year}.toml"
        places = (self._directory / "calendars" / name, SHIPPED_CONFIG / "calendars" / name)
        return next((place for place in places if place.exists()), None)


def rules_path(directory: Path) -> Path:
    """`retry_rules.toml` in a folder `rules` beside the profiles, or the one that is shipped."""
    own = directory / "rules" / "retry_rules.toml"
    return own if own.exists() else SHIPPED_CONFIG / "retry_rules.toml"


def profiles_dir() -> Path:
    """The folder of profiles: `DOKU_PROFILES_DIR`, or the one that is shipped."""
    return Path(os.environ.get(PROFILES_DIR_VARIABLE) or SHIPPED_CONFIG / "profiles")


def profile_files(directory: Path | None = None) -> list[Path]:
    """The profile files of a folder, by name. ConfigError when there is no such folder."""
    directory = directory or profiles_dir()
    if not directory.is_dir():
        raise ConfigError(str(directory), "", f"no such folder; set {PROFILES_DIR_VARIABLE} to the folder of profiles")
    return sorted(directory.glob("*.toml"))


def load_profile(path: Path) -> Profile:
    """Read one profile.

    Raises:
        ConfigError: With file, key and reason; also when `name` is not the file's own name.
    """
    profile = Profile.from_toml_file(path)
    if profile.name != path.stem:
        raise ConfigError(
            str(path), "name", f"is {profile.name!r}, but the file is called {path.name}; make them equal"
        )
    return profile.beside(path)


def load_profile_named(name: str) -> Profile:
    """Read the profile of that name from the folder of profiles. ConfigError when there is none."""
    path = profiles_dir() / f"{name}.toml"
    if not path.exists():
        known = ", ".join(file.stem for file in profile_files()) or "none"
        raise ConfigError(str(path), "", f"no such profile; profiles there: {known}")
    return load_profile(path)
