"""What a request has to be to be taken as DOKU's notification: headers, size, type, signature, time.

Nothing is stored here and nothing is looked up but the profile's connection. A refusal is a reason, and never carries
what was sent.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from include.doku import words
from include.doku.signature import Key, Signed, read_timestamp, verify_notification
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from include.domain.refusals import Refusal, Refused
from include.domain.states import NotificationKind, NotificationState
from include.flows.onecheckout_account import account_of
from include.ledger.inbox import Arrived
from include.schemas.notification_settings import NotificationSettings
from include.schemas.profile import Profile

Dialect = Literal["json", "onecheckout"]
LookUp = Callable[[str], ConnectionSettings]

MOST_HEADER_BYTES: Final = 16_384
_MOST_IN_A_HEADER: Final = 256
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"
_ONCE: Final = frozenset(
    {
        *("client-id", "request-id", "request-timestamp", "signature", "digest"),
        *("content-type", "content-length", "content-encoding", "transfer-encoding", "host"),
    }
)
_BY_STATUS_TYPE: Final = {"G": NotificationKind.REGISTRATION, "T": NotificationKind.CARD_UPDATE}
_PRINTED: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Received:
    """A request, read whole.

    Attributes:
        path: As it arrived, undecoded.
        headers: By lower-case name, as `headers_once` gives them.
        at: When.
    """

    kind: NotificationKind
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    at: datetime


def dialect_of(profile: Profile, kind: NotificationKind) -> Dialect | None:
    """The interface in which DOKU tells a profile of that; None: it does not, as the profile has no use for it.

    That a report is ready is told in JSON, whichever interface bills have: it belongs to Batch Upload.
    """
    if not profile.notifications.enabled:
        return None
    if kind is NotificationKind.REPORT_READY:
        return "json" if profile.sends_batches else None
    return profile.recurring.dialect if profile.has_recurring else None


def headers_once(raw: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name.

    Raises:
        Refused: They are too large, or one that matters is given twice: the two could be read differently.
    """
    if sum(len(name) + len(value) for name, value in raw) > MOST_HEADER_BYTES:
        raise Refused(Refusal.HEADERS)
    found: dict[str, str] = {}
    for name_bytes, value in raw:
        name = name_bytes.decode("latin-1").lower()
        if name in found and name in _ONCE:
            raise Refused(Refusal.HEADERS)
        found[name] = value.decode("latin-1").strip()
    return found


def refuse_before_reading(headers: Mapping[str, str], dialect: Dialect, settings: NotificationSettings) -> None:
    """What can be told from the headers alone.

    Raises:
        Refused: Another type of content, compressed, or announced as too large.
    """
    media, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.replace(" ", "").replace('"', "").lower()
    if media.strip().lower() != (_FORM if dialect == "onecheckout" else _JSON):
        raise Refused(Refusal.CONTENT_TYPE)
    if charset not in ("", "charset=utf-8") or headers.get("content-encoding", "identity") != "identity":
        raise Refused(Refusal.CONTENT_TYPE)
    length = headers.get("content-length")
    if length is not None and "transfer-encoding" in headers:  # which of the two says where the content ends?
        raise Refused(Refusal.HEADERS)
    if length is not None and (not length.isascii() or not length.isdigit()):
        raise Refused(Refusal.HEADERS)
    if length is not None and (len(length) > len(str(settings.max_bytes)) or int(length) > settings.max_bytes):
        raise Refused(Refusal.TOO_LARGE)


def check(profile: Profile, dialect: Dialect, received: Received, look_up: LookUp) -> Arrived:
    """Verify a request; what the inbox then keeps of it.

    Raises:
        Refused: It is not DOKU's, too old, or from the future.
        ConfigError: The profile's connection is missing or holds no key.
    """
    if dialect == "onecheckout":
        return _checked_form(profile, received, look_up)
    return _checked_json(profile, received, look_up)


def _checked_json(profile: Profile, received: Received, look_up: LookUp) -> Arrived:
    signed = Signed(
        client_id=_header(received, "client-id"),
        request_id=_header(received, "request-id", most=128),
        timestamp=_header(received, "request-timestamp", most=40),
        target=profile.notifications.target(profile.name, received.kind, received.path),
    )
    signature = _header(received, "signature")
    sent_at = read_timestamp(signed.timestamp)
    if sent_at is None:
        raise Refused(Refusal.HEADERS)
    connection = look_up(profile.connections.doku)
    client_id, key = _client(connection)
    ours = signed.client_id == client_id
    if not verify_notification(key, signed, received.body, signature) or not ours:
        raise Refused(Refusal.SIGNATURE)
    _refuse_by_time(profile.notifications, sent_at, received.at)
    kept = {
        "Client-Id": signed.client_id, "Request-Id": signed.request_id, "Request-Timestamp": signed.timestamp,
        "Request-Target": signed.target, "Signature": signature,
    }  # fmt: skip
    return _arrived(profile, received, headers=json.dumps(kept), request_id=signed.request_id, sent_at=sent_at)


def _checked_form(profile: Profile, received: Received, look_up: LookUp) -> Arrived:
    try:
        fields = words.read_form(received.body)
    except ValueError:
        raise Refused(Refusal.FORM) from None
    if any("\0" in text for pair in fields.items() for text in pair):
        raise Refused(Refusal.FORM)
    account = account_of(profile, look_up)
    if not words.is_signed(fields, account, question=received.kind is NotificationKind.AMOUNT):
        raise Refused(Refusal.SIGNATURE)
    return replace(_arrived(profile, received), kind=_kind_of(fields, received.kind))


def _kind_of(fields: Mapping[str, str], path: NotificationKind) -> NotificationKind:
    """What a form is, which may be sent to one address whatever it is; only a question has a path of its own."""
    if path is NotificationKind.AMOUNT:
        return path
    return _BY_STATUS_TYPE.get(fields.get("STATUSTYPE", "").upper(), NotificationKind.PAYMENT)


def _arrived(
    profile: Profile,
    received: Received,
    *,
    headers: str = "{}",
    request_id: str | None = None,
    sent_at: datetime | None = None,
) -> Arrived:
    question = received.kind is NotificationKind.AMOUNT
    return Arrived(
        profile=profile.name,
        kind=received.kind,
        content_digest=hashlib.sha256(received.body).hexdigest(),
        body=received.body,
        received_at=received.at,
        content_type=received.headers.get("content-type", "")[:100],
        headers=headers,
        request_id=request_id,
        sent_at=sent_at,
        state=NotificationState.DONE if question else NotificationState.RECEIVED,
        result="A question; it is answered at once, or not at all." if question else None,
    )


def _header(received: Received, name: str, most: int = _MOST_IN_A_HEADER) -> str:
    value = received.headers.get(name, "")
    if len(value) > most or not _PRINTED.fullmatch(value):
        raise Refused(Refusal.HEADERS)
    return value


def _client(connection: ConnectionSettings) -> tuple[str, Key]:
    where = f"connection {connection.conn_id}"
    if not connection.login:
        raise ConfigError(where, "login", "is empty; put DOKU's Client-Id there")
    if not connection.password:
        raise ConfigError(where, "password", "is empty; put the secret key there, or anybody could sign")
    return connection.login, Key(connection.password)


def _refuse_by_time(settings: NotificationSettings, sent_at: datetime, now: datetime) -> None:
    if settings.max_age_hours is not False and now - sent_at > timedelta(hours=settings.max_age_hours):
        raise Refused(Refusal.TOO_OLD)
    if sent_at - now > timedelta(minutes=settings.max_skew_minutes):
        raise Refused(Refusal.TOO_NEW)
