"""The settings of the HTTP side."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any, Final

WIB: Final = timezone(timedelta(hours=7))
FIELDS: Final = Path(__file__).with_name("fields.toml")
KINDS: Final = ("payment", "registration", "card_update", "report_ready", "amount")

DIALECTS: Final = ("json", "onecheckout")
HASHES: Final = ("sha1", "sha256", "hmac-sha1", "hmac-sha256")


@dataclass(frozen=True)
class HttpConfig:
    """What DOKU and the merchant agreed on, and how this DOKU works; paths that DOKU does not publish are assumed.

    Attributes:
        port: 0 takes a free one.
        host: None: where the SFTP server listens.
        public_url: As customers and merchants reach it; None: where it listens.
        listen: False: no socket; `Web.handle` and an own `post` do instead.
        client_id, secret: Of the JSON interface; no secret: a random one, kept in `root/keys`.
        mall_id, shared_key, chain_merchant: Of the older form interface; no key: a random one.
        dialect: In which notifications are sent: json or onecheckout.
        words: Hash of WORDS: sha1, sha256, hmac-sha1, hmac-sha256.
        words_with_bill: Whether BILLNUMBER is among what WORDS of a scheduled charge is made of.
        payment_time_field: PAYMENTDATETIME or PAYMENTDATEANDTIME.
        notify_urls: The merchant's address per kind (`KINDS`); kinds without one are not sent.
        notify_timeout: Seconds to wait for the merchant's answer.
        retry_seconds: When a notification that was not taken is tried again, counted from the original.
        retry_request_id: same or new: whether a retry carries the Request-Id of the original.
        retry_stamp: new or same: whether a retry carries a timestamp of its own.
        code_width: Of response codes in JSON: 2 or 4 characters.
        timestamp_window: Seconds that a request's timestamp may be off; None: any.
        fields: TOML file with the names of JSON fields.
        start_at: The simulated clock's first moment; None: the real time, until `advance_to` is called.
        charge_at: Local time of scheduled charges.
        charge_spread_seconds: Charges of a day are spread over so many seconds after it, by the seed.
        same_day: Whether a bill that is registered on a due day, before its hour, is charged that very day.
        charge_retry_days: Days after the due day on which a failed charge is tried again; of DOKU's own accord.
        amount_timeout: Seconds to wait for the answer to an amount question.
        amount_asks, amount_ask_seconds: How often it is asked, and how long between.
        no_amount: skip or decline: what happens to a bill of varying amount without an answer.
        amount_supply: ask or push: whether the merchant is asked, or sends amounts by an update.
        registrations_succeed: Share of the customers who begin to register that succeed.
        registrations_abandoned: Share that never come back from the checkout page.
        complete_seconds: Shortest and longest time that a customer takes on the checkout page.
        tell_first_payment: onecheckout: whether the payment that a card is registered by, and that is then voided, is
            told as well (STATUSTYPE P).
        link_seconds: How long a checkout link is good for.
        tokens: seeded: customers nobody told us about have tokens by the seed; none: they have none.
        status_wait: Seconds after a charge for which a status question is answered PENDING.
        status_knows: truth: what a report or notification did not know is answered by what happened; never: TIMEOUT.
        status_ids: What a scheduled charge can also be asked by, beside its reference: the last try of that day.
        register_pattern: Names of files that register bills, picked up from the inbound folder.
        register_layout: Layout of a file that registers bills; None: such files are not taken.
        register_sealed: Whether it comes in an envelope.
        paths: JSON paths by name: register, update, cancel, card_update.
        post: In place of HTTP: (address, headers, body, timeout) to (status, body); raises OSError.
    """

    port: int = 0
    host: str | None = None
    public_url: str | None = None
    listen: bool = True
    client_id: str = "MCH-0001-SIMULATED"
    secret: str | None = None
    mall_id: str = "10000042"
    shared_key: str | None = None
    chain_merchant: str = "NA"
    dialect: str = "json"
    words: str = "sha1"
    words_with_bill: bool = True
    payment_time_field: str = "PAYMENTDATETIME"
    notify_urls: Mapping[str, str] = field(default_factory=dict)
    notify_timeout: float = 10.0
    retry_seconds: tuple[float, ...] = (1800.0, 21600.0, 43200.0)
    retry_request_id: str = "same"
    retry_stamp: str = "new"
    code_width: int = 2
    timestamp_window: float | None = None
    fields: Path = FIELDS
    start_at: datetime | None = None
    charge_at: time = time(6, 0)
    charge_spread_seconds: int = 3600
    same_day: bool = False
    charge_retry_days: tuple[int, ...] = ()
    amount_timeout: float = 5.0
    amount_asks: int = 2
    amount_ask_seconds: float = 3600.0
    no_amount: str = "skip"
    amount_supply: str = "ask"
    registrations_succeed: float = 0.9
    registrations_abandoned: float = 0.05
    complete_seconds: tuple[float, float] = (60.0, 1800.0)
    tell_first_payment: bool = False
    link_seconds: float = 86400.0
    tokens: str = "seeded"
    status_wait: float = 0.0
    status_knows: str = "truth"
    status_ids: tuple[str, ...] = (
        "{billing_number}-{day:%Y%m%d}",
        "{billing_number}{day:%Y%m%d}",
        "{billing_number}/{day:%Y-%m-%d}",
        "{billing_number}",
    )
    register_pattern: str = "REG*.TXT"
    register_layout: Path | None = None
    register_sealed: bool = True
    paths: Mapping[str, str] = field(
        default_factory=lambda: {
            "register": "/recurring/v1/registration",
            "update": "/recurring/v1/update",
            "cancel": "/recurring/v1/cancel",
            "card_update": "/recurring/v1/card-update",
        }
    )
    post: Any = None

    def __post_init__(self) -> None:
        for name, allowed in (
            ("dialect", DIALECTS),
            ("words", HASHES),
            ("retry_request_id", ("same", "new")),
            ("retry_stamp", ("same", "new")),
            ("no_amount", ("skip", "decline")),
            ("amount_supply", ("ask", "push")),
            ("tokens", ("seeded", "none")),
            ("status_knows", ("truth", "never")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if unknown := sorted(set(self.notify_urls) - set(KINDS)):
            raise ValueError(f"there is no kind of notification {unknown[0]!r}")


def http_config(path: Path | None, **settings: Any) -> HttpConfig:
    """Settings from a TOML file whose keys are those of `HttpConfig`; `settings` go before it.

    Raises:
        ValueError: A key that does not exist, or a value that is not allowed.
    """
    given = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
    for name in ("fields", "register_layout"):
        if name in given and path:
            given[name] = path.parent / given[name]
    for name, value in given.items():
        if isinstance(value, list):
            given[name] = tuple(value)
    if "paths" in given:
        given["paths"] = {**HttpConfig().paths, **given["paths"]}
    try:
        return HttpConfig(**{**given, **settings})
    except TypeError as error:
        raise ValueError(str(error)) from None


class Fields:
    """The names of JSON fields, by section and meaning: dotted paths."""

    def __init__(self, path: Path) -> None:
        self._sections: dict[str, dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8"))

    def read(self, section: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The values of a section that `body` has, by meaning."""
        found = {}
        for meaning, path in self._sections[section].items():
            value: Any = body
            for part in path.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
            if value is not None:
                found[meaning] = value
        return found

    def write(self, section: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """A JSON object with the values at their places; None is left out."""
        made: dict[str, Any] = {}
        for meaning, path in self._sections[section].items():
            if values.get(meaning) is None:
                continue
            place = made
            *parents, name = path.split(".")
            for parent in parents:
                place = place.setdefault(parent, {})
            place[name] = values[meaning]
        return made

    def name(self, section: str, meaning: str) -> str:
        return self._sections[section][meaning]


def zulu(moment: float) -> str:
    """Seconds since the epoch as DOKU writes time: `2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")  # noqa: UP017


def local_day(moment: float) -> date:
    """The day in Jakarta."""
    return datetime.fromtimestamp(moment, WIB).date()
