"""DOKU's JSON API: signed questions, verified answers, named errors.

Every question may be put again: a GET changes nothing, and of a POST with the same Request-Id and body DOKU carries out
one [IDEM, certain]. So an answer that got lost is asked for again, and the 409 that then comes has the first answer's
body.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Literal, Self
from urllib.parse import quote, urlsplit
from uuid import uuid4

import httpx

from include.doku.api_errors import Refusal, error_in, is_in_work, read_refusal, too_large, unsigned
from include.doku.signature import Key, Signed, read_timestamp, sign_get, sign_request, timestamp, verify_response
from include.domain.connection import ConnectionSettings
from include.domain.errors import ApiAnswerUnreadable, ApiRefused, ApiUnreachable, ConfigError
from include.schemas.http_settings import HttpSettings

CONN_TYPE: Final = "doku"
HOSTS: Final[Mapping[str, str]] = {"sandbox": "api-sandbox.doku.com", "production": "api.doku.com"}
"""DOKU's own hosts, by environment [PHP, WOO, TOK2, certain]."""

NOTIFY_PATH: Final = "/batch-upload/v1/notify"
"""Third party, of one reading of DOKU's batch page."""

STATUS_PATH: Final = "/orders/v1/status/"
"""Certain: CHK, WOO."""

TOKENS_PATH: Final = "/tokenization/v2/get-token"
"""Certain: TOK2; what is asked and answered there is not published."""

LONGEST_REQUEST_ID: Final = 128
MAX_ANSWER_BYTES: Final = 4_000_000
_OK: Final = range(200, 300)
_REPLAY: Final = 409
_REFUSED: Final = 400
_PARTS: Final = 3
"""The whole of an answer may take so many times as long as each part of it."""
_LATER: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_PATH: Final = re.compile(r"(?:/[!\"$-.0->@-~]+)+")
"""Printable ASCII, no empty part, no query, no fragment."""
_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 30.0

Verify = Literal["required", "if_signed", "never"]


@dataclass(frozen=True)
class ApiSettings:
    """Where DOKU's API is, who asks, and how patiently; the key is never shown.

    Attributes:
        base_url: Scheme, host and port, without a path.
        timeout: Seconds for connecting and for each part of an answer.
    """

    conn_id: str
    base_url: str
    client_id: str
    key: Key
    timeout: float = 15.0
    tries: int = 3
    per_second: float = 5.0
    verify: Verify = "required"
    clock_tolerance: timedelta = timedelta(seconds=60)

    @classmethod
    def from_connection(
        cls, connection: ConnectionSettings, settings: HttpSettings | None = None, environment: str | None = None
    ) -> "ApiSettings":
        """Read a connection of type `doku`.

        Args:
            connection: Host (or a whole URL; its scheme else in `schema`, https by default), port, Client-Id as login,
                secret key as password.
            settings: The profile's; None: the defaults.
            environment: Of the profile; a host of DOKU's other environment is refused.

        Raises:
            ConfigError: Another connection type, something is missing, a host of the other environment, or DOKU's own
                host without TLS.
        """
        settings = settings or HttpSettings()
        return cls(
            conn_id=connection.conn_id,
            base_url=_base_url(connection, environment),
            client_id=_client_id(connection),
            key=Key(_given(connection, "password", "the secret key")),
            timeout=settings.timeout_seconds,
            tries=settings.tries,
            per_second=settings.requests_per_second,
            verify=settings.verify_answers,
            clock_tolerance=timedelta(seconds=settings.clock_tolerance_seconds),
        )

    @property
    def host(self) -> str:
        """For messages."""
        return urlsplit(self.base_url).netloc


@dataclass(frozen=True)
class ApiAnswer:
    """What DOKU answered to a question that it took.

    Attributes:
        body: The JSON of it; None where it is empty.
        replay: It is the first answer to this request id, given again.
    """

    http_status: int
    body: Any
    request_id: str
    replay: bool = False


@dataclass
class Bucket:
    """A token bucket: at most `per_second` calls a second over time, and as many at once; for several threads."""

    per_second: float
    wait: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    _free_at: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def take(self) -> None:
        """Wait for a place."""
        with self._lock:
            now, apart = self.monotonic(), 1 / self.per_second
            self._free_at = max(self._free_at, now - max(1.0, apart)) + apart
            pause = self._free_at - now
        if pause > 0:
            self.wait(pause)


class DokuApi:
    """DOKU's API for one merchant account; for several threads. Close it, or use it as a context manager.

    Args:
        settings: Where, who, how patiently.
        clock: The present moment, with a timezone; requests are signed with it.
        wait: Waits for some seconds.
        transport: In place of the network.
    """

    def __init__(
        self,
        settings: ApiSettings,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        wait: Callable[[float], None] = time.sleep,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.settings = settings
        self._clock, self._wait = clock, wait
        self._bucket = Bucket(settings.per_second, wait)
        self._skew: timedelta | None = None
        self._client = httpx.Client(
            base_url=settings.base_url, timeout=settings.timeout, follow_redirects=False, transport=transport
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    # --- the calls --------------------

    def notify_batch(self, file_name: str, request_id: str) -> ApiAnswer:
        """Tell DOKU that a batch file is there. Errors as `post`."""
        return self.post(NOTIFY_PATH, {"file_name": file_name}, request_id)

    def status(self, reference: str) -> ApiAnswer:
        """Ask what became of a transaction.

        Args:
            reference: Its invoice number, or the Request-Id that it was asked for with [CHK, certain].

        Raises:
            ApiRefused: With http_status 404 where DOKU knows no such transaction; else as `post`.
        """
        return self._call("GET", STATUS_PATH + quote(reference, safe=""), None, None)

    def get_tokens(self, customer_id: str, request_id: str) -> ApiAnswer:
        """Ask for all active tokens of a customer. Where they stand in the answer is configuration. Errors as `post`.

        The field `customer.id` is certain of the older version of this call, and inferred of this one.
        """
        return self.post(TOKENS_PATH, {"customer": {"id": customer_id}}, request_id)

    def post(self, path: str, body: Mapping[str, Any], request_id: str) -> ApiAnswer:
        """Ask DOKU to do something, once for each request id.

        Args:
            path: With a slash at its start; no query.
            body: What is asked, as JSON.
            request_id: At most 128 characters; the same for the same thing, however often it is asked for.

        Raises:
            ApiUnreachable: No answer, or DOKU is out of order. It may have been done: ask again with the same id.
            ApiUnauthorised: Client-Id, key or clock.
            ApiRefused: DOKU said no.
            ApiAnswerUnsigned, ApiAnswerUnreadable: There is an answer, and it cannot be believed or read.
        """
        if not 0 < len(request_id) <= LONGEST_REQUEST_ID or not request_id.isascii():
            raise ValueError(f"a request id has 1 to {LONGEST_REQUEST_ID} characters of ASCII")
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return self._call("POST", path, content, request_id)

    @property
    def clock_problem(self) -> str | None:
        """That DOKU's clock and ours are too far apart, in words, as the last answer showed it; None: they agree."""
        return self._skew_words(self._skew)

    # --- one question --------------------

    def _call(self, method: str, path: str, body: bytes | None, request_id: str | None) -> ApiAnswer:
        if not _PATH.fullmatch(path):
            raise ConfigError(
                "path", "", f"{path!r} is no path of DOKU's API; it begins with one slash and has no query"
            )
        for nth in range(1, self.settings.tries + 1):
            last = nth == self.settings.tries
            self._bucket.take()
            try:
                # A status changes: an id of its own each time, lest DOKU gives the first answer again.
                return self._ask(method, path, body, request_id or str(uuid4()))
            except ApiUnreachable as caught:
                if last:
                    raise
                pause = _pause(nth, caught.after_seconds)
            except ApiRefused as caught:
                if last or not caught.in_work or nth == 1:
                    raise
                pause = _pause(nth)  # our own earlier try is still being worked on
            self._wait(pause)
        raise AssertionError("tries is at least 1")

    def _ask(self, method: str, path: str, body: bytes | None, request_id: str) -> ApiAnswer:
        signed = Signed(self.settings.client_id, request_id, timestamp(self._clock()), path)
        key = self.settings.key
        headers = {
            "Client-Id": signed.client_id,
            "Request-Id": signed.request_id,
            "Request-Timestamp": signed.timestamp,
            "Signature": sign_get(key, signed) if body is None else sign_request(key, signed, body),
            "Accept": "application/json",
        }
        if body is not None:
            headers["Content-Type"] = "application/json"
        what = f"{method} {path} at {self.settings.host}"
        response, content = self._send(what, method, path, headers, body)
        skew = self._note_skew(response.headers)
        status = response.status_code
        self._refuse_forged(what, signed, response, content)
        if status == _REPLAY:
            return self._first_answer(what, request_id, content, skew)
        if status not in _OK:
            later = _seconds(response.headers.get("Retry-After"))
            raise self._no(what, status, read_refusal(content), skew, later=later, retryable=status in _LATER)
        return ApiAnswer(status, _parsed(what, status, content), request_id)

    def _first_answer(self, what: str, request_id: str, content: bytes, skew: timedelta | None) -> ApiAnswer:
        """409: the first answer to this request id, given again; or that the id is in use."""
        if is_in_work(content):
            raise self._no(what, _REPLAY, read_refusal(content), skew, in_work=True)
        parsed = _parsed(what, _REPLAY, content)
        found = error_in(parsed)
        if found is not None:  # the first answer was a no, or that DOKU was out of order: nobody knows what it did
            broken = found.status is not None and found.status in _LATER
            # Where the body does not tell the first status, 400 stands for it: the request itself was refused.
            raise self._no(what, found.status or _REFUSED, found, skew, retryable=broken)
        return ApiAnswer(_REPLAY, parsed, request_id, replay=True)

    def _send(
        self, what: str, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[httpx.Response, bytes]:
        until = time.monotonic() + _PARTS * self.settings.timeout
        try:
            with self._client.stream(method, path, headers=dict(headers), content=body) as response:
                content = b""
                for chunk in response.iter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER_BYTES:
                        raise too_large(what, response.status_code, MAX_ANSWER_BYTES)
                    if time.monotonic() > until:
                        raise httpx.ReadTimeout("it comes in drops")
                return response, content
        except (httpx.TransportError, httpx.DecodingError) as caught:
            raise ApiUnreachable(
                f"DOKU's API did not answer: {what} ({caught.__class__.__name__}). Whether it did what it was asked "
                f"is not known; asked again, it does it once. Check connection {self.settings.conn_id} and whether "
                "this machine reaches that address; then the task may be run again."
            ) from None

    def _refuse_forged(self, what: str, signed: Signed, response: httpx.Response, content: bytes) -> None:
        given = response.headers.get("Signature")
        if self.settings.verify == "never":
            return
        if given is None:
            # A plain no may come from something in front of DOKU, and is believed as what it is: a no. The first
            # answer given again is more than that.
            if self.settings.verify == "required" and response.status_code in (*_OK, _REPLAY):
                raise unsigned(what, response.status_code, "carries no signature", self.settings.conn_id)
            return
        of_answer = Signed(
            signed.client_id, signed.request_id, response.headers.get("Response-Timestamp", ""), signed.target
        )
        if not verify_response(self.settings.key, of_answer, content, given):
            raise unsigned(what, response.status_code, "has a wrong signature", self.settings.conn_id)

    def _no(
        self, what: str, status: int, said: Refusal, skew: timedelta | None, **terms: Any
    ) -> ApiUnreachable | ApiRefused:
        hidden, clock = (self.settings.key.secret,), self._skew_words(skew)
        return said.as_error(what, status, conn_id=self.settings.conn_id, hidden=hidden, clock=clock, **terms)

    # --- clocks --------------------

    def _note_skew(self, headers: httpx.Headers) -> timedelta | None:
        theirs = read_timestamp(headers.get("Response-Timestamp", ""))
        if theirs is None:
            with suppress(ValueError, TypeError):
                theirs = parsedate_to_datetime(headers.get("Date", ""))
        self._skew = self._clock() - theirs if theirs is not None and theirs.tzinfo is not None else None
        return self._skew

    def _skew_words(self, skew: timedelta | None) -> str | None:
        if skew is None or abs(skew) <= self.settings.clock_tolerance:
            return None
        seconds = round(abs(skew).total_seconds())
        side = "ahead of" if skew > timedelta(0) else "behind"
        return (
            f"This machine's clock is {seconds:,} seconds {side} DOKU's, and DOKU checks the time of requests: set the "
            "clock (NTP)."
        )


def _pause(nth: int, asked: float | None = None) -> float:
    """Seconds before the next try: 1, 2, 4, ..., or as DOKU asks, at most half a minute."""
    return min(asked if asked is not None else _PAUSE_SECONDS * 2 ** (nth - 1), _LONGEST_PAUSE_SECONDS)


def _parsed(what: str, status: int, content: bytes) -> Any:
    if not content.strip():
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise ApiAnswerUnreadable(
            f"DOKU's API answered {what} with {status} and {len(content)} bytes that are no JSON. Check the host of "
            "the connection: it may be a proxy's page, or another server.",
            status,
        ) from None


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; its form with a date is not taken."""
    return float(text) if text is not None and text.isascii() and text.isdigit() else None


def _given(connection: ConnectionSettings, name: str, what: str) -> str:
    value = getattr(connection, name)
    if not value or not str(value).strip():
        raise ConfigError(f"connection {connection.conn_id}", name, f"missing; put {what} there")
    return str(value).strip()


def _client_id(connection: ConnectionSettings) -> str:
    found = _given(connection, "login", "DOKU's Client-Id (MCH-... or BRN-...)")
    if not found.isascii() or not found.isprintable():
        raise ConfigError(f"connection {connection.conn_id}", "login", "is no Client-Id; take it from DOKU's dashboard")
    return found


def _base_url(connection: ConnectionSettings, environment: str | None) -> str:
    name = f"connection {connection.conn_id}"
    if connection.conn_type != CONN_TYPE:
        raise ConfigError(name, "conn_type", f"is {connection.conn_type!r}; DOKU's API needs a connection of type doku")
    written = _given(connection, "host", f"DOKU's host, as {HOSTS['sandbox']},")
    parts = urlsplit(written if "://" in written else f"{connection.schema or 'https'}://{written}")
    try:
        port = parts.port or connection.port
    except ValueError:
        raise ConfigError(name, "host", "its port is no number") from None
    host = (parts.hostname or "").rstrip(".").lower()
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query or parts.path.strip("/"):
        raise ConfigError(name, "host", "is not a host or an address as https://host, without a path")
    other = {theirs: which for which, theirs in HOSTS.items() if which != environment}
    if environment is not None and host in other:
        raise ConfigError(
            name, "host", f"is DOKU's {other[host]}, but the profile is of the {environment}; use {HOSTS[environment]}"
        )
    if parts.scheme == "http" and (host == "doku.com" or host.endswith(".doku.com")):
        raise ConfigError(name, "schema", "is http, but DOKU's own hosts are asked over https only")
    bracketed = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{bracketed}:{port}" if port else f"{parts.scheme}://{bracketed}"
