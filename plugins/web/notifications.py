"""DOKU's notifications: one FastAPI app that is mounted in Airflow, or runs alone (`python -m plugins.web.alone`).

It needs no login: the signature is the login. What it does for a request is little: read so much and no longer, verify,
store, answer. It imports no Airflow, keeps no notification in memory, and an error is a sentence that repeats nothing.

    POST /doku/notifications/<profile>/<kind>    kind: payment, registration, card_update, report_ready, amount
    GET  /doku/notifications/health              200 while every ledger that is needed answers, else 503
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from starlette.requests import ClientDisconnect

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError, DokuError
from include.domain.refusals import SENTENCE, STATUS, Refusal, Refused
from include.domain.states import NotificationKind
from include.domain.whereabouts import where_it_happened
from include.flows.notification_check import Dialect, Received, dialect_of, headers_once, refuse_before_reading
from include.flows.open_ledgers import CONNECTIONS, OpenLedgers
from include.flows.profile_files import ProfileFiles
from include.flows.take_notification import answer, keep_refusals, take
from include.schemas.profile import Profile
from plugins.web.refusals import FLUSH_SECONDS, RefusalCounter

log = logging.getLogger(__name__)

PREFIX: Final = "/doku/notifications"
MOST_AT_ONCE: Final = 256
"""So many requests may be under way in this process; further ones are told to come again."""

STORE_SECONDS: Final = 8.0
"""How long verifying and storing may take in all; then DOKU is told to send it again."""

HEALTH_SECONDS: Final = 5.0
"""A health answer is that old at most."""

_AGAIN_SECONDS: Final = 30
_SAY_SECONDS: Final = 60.0
_TYPES: Final = {"json": "application/json", "onecheckout": "text/plain; charset=utf-8"}
_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
# Letters, digits and little else: nothing that could be read in two ways survives, and nothing has to be decoded.
_PATH: Final = re.compile(
    rb"(?P<before>(?:/[A-Za-z0-9_\-]+)*)/doku/notifications/"
    rb"(?:(?P<health>health)|(?P<profile>[a-z][a-z0-9_]{0,39})/(?P<kind>[a-z_]{1,20}))"
)

Scope = MutableMapping[str, Any]
LookUp = Callable[[str], ConnectionSettings]


def make_app(
    look_up: LookUp, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), flush_seconds: float = FLUSH_SECONDS
) -> FastAPI:
    """The app.

    Args:
        look_up: Gives the connection of an id; ConfigError when there is none.
        now: The present moment, with a timezone.
        flush_seconds: How long counts of refused requests may wait in memory.
    """
    door = Door(look_up, now, flush_seconds)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:  # noqa: ARG001 - the form of a lifespan
        yield
        await asyncio.to_thread(door.close)

    app = FastAPI(
        title="DOKU notifications", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        lifespan=lifespan,
    )  # fmt: skip
    app.state.door = door
    # Not by routes: every request comes to one place, so that each is answered in our words and counted.
    app.router.default = door
    return app


@dataclass
class _Asked:
    """Whom a request is for, as far as it is known; that is what it is counted under."""

    profile: str = ""
    kind: str = ""
    dialect: Dialect = "json"
    read: bool = field(default=False)


class Door:
    """Answers every request; see `make_app` for the arguments."""

    def __init__(self, look_up: LookUp, now: Callable[[], datetime], flush_seconds: float) -> None:
        self._now = now
        self._profiles = ProfileFiles()
        self._ledgers = OpenLedgers(look_up)
        self._refusals = RefusalCounter(
            lambda counts: keep_refusals(self._open_profiles(), self._ledgers, counts), flush_seconds
        )
        # DOKU waits a second for an amount: such questions do not stand in one line with what is only stored.
        self._storing = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="doku-inbox")
        self._answering = ThreadPoolExecutor(CONNECTIONS // 2, thread_name_prefix="doku-amount")
        self._under_way = 0
        self._health: tuple[float, bool] | None = None
        self._said: dict[str, float] = {}

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        response = await self._respond(Request(scope, receive))
        await response(scope, receive, send)

    def close(self) -> None:
        """Keep what was counted, and close the ledgers."""
        self._refusals.flush()
        self._storing.shutdown()
        self._answering.shutdown()
        self._ledgers.close()

    async def _respond(self, request: Request) -> Response:
        asked = _Asked()
        self._under_way += 1
        try:
            return await self._served(request, asked)
        except Refused as caught:
            reason = caught.reason
        except ClientDisconnect:
            reason = Refusal.BROKEN_OFF
        except ConfigError as caught:
            reason = Refusal.NOT_SET_UP
            self._say(caught.message)
        except DokuError as caught:
            reason = Refusal.LEDGER
            self._say(caught.message)
        except Exception as caught:  # noqa: BLE001 - all of them: their text may hold values
            reason = Refusal.MISTAKE
            self._say("Unexpected {} at {}".format(*where_it_happened(caught)))
        finally:
            self._under_way -= 1
        self._refusals.count(asked.profile, asked.kind, reason, self._now())
        return _refusal(reason, asked)

    async def _served(self, request: Request, asked: _Asked) -> Response:
        if self._under_way > MOST_AT_ONCE:
            raise Refused(Refusal.BUSY)
        match = _PATH.fullmatch(_raw_path(request.scope))
        if match is None or request.scope.get("query_string") or not _fits(match["before"], request.scope):
            raise Refused(Refusal.PATH)
        if match["health"]:
            return await self._health_answer(request)
        profile, kind = self._wanted(match["profile"].decode(), match["kind"].decode(), asked)
        if request.method != "POST":
            raise Refused(Refusal.METHOD)
        settings = profile.notifications
        headers = headers_once(request.scope["headers"])
        refuse_before_reading(headers, asked.dialect, settings)
        body = await _read(request, settings.max_bytes, settings.read_seconds)
        asked.read = True
        if headers.get("content-length", str(len(body))) != str(len(body)):
            raise Refused(Refusal.HEADERS)
        received = Received(kind, _raw_path(request.scope).decode("ascii"), headers, body, self._now())
        if kind is NotificationKind.AMOUNT:
            return await self._answer(profile, asked.dialect, received)
        stored = self._storing.submit(take, profile, asked.dialect, received, self._ledgers)
        return _answer(200, await _in_time(stored, STORE_SECONDS, Refusal.LEDGER), asked.dialect)

    def _wanted(self, name: str, kind_name: str, asked: _Asked) -> tuple[Profile, NotificationKind]:
        """Whom and what the path names. Refused, ConfigError: no such profile or kind, or its file is broken."""
        known = kind_name in set(NotificationKind)
        try:
            profile = self._profiles.named(name)
        except ConfigError:
            asked.profile = name  # its file is there: so the keys stay bounded
            raise
        dialect = dialect_of(profile, NotificationKind(kind_name)) if profile and known else None
        if profile is None or dialect is None:
            raise Refused(Refusal.PATH)
        asked.profile, asked.kind, asked.dialect = name, kind_name, dialect
        return profile, NotificationKind(kind_name)

    async def _answer(self, profile: Profile, dialect: Dialect, received: Received) -> Response:
        found = self._answering.submit(answer, profile, dialect, received, self._ledgers, self._now)
        content = await _in_time(found, profile.notifications.amount_seconds, Refusal.NO_AMOUNT)
        return _answer(200, content, dialect)

    async def _health_answer(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            raise Refused(Refusal.METHOD)
        if self._health is None or time.monotonic() - self._health[0] > HEALTH_SECONDS:
            self._health = (time.monotonic(), self._health[1] if self._health else False)
            looked = self._storing.submit(self._is_ready)
            self._health = (time.monotonic(), await _in_time(looked, STORE_SECONDS, Refusal.LEDGER))
        ready = self._health[1]
        content = json.dumps({"status": "ready" if ready else "not ready"}).encode()
        return _answer(200 if ready else 503, content, "json")

    def _is_ready(self) -> bool:
        profiles = self._open_profiles()
        if not profiles:  # DOKU would be answered 404, and give up
            self._say("No profile takes notifications here. Look at DOKU_PROFILES_DIR, and at [notifications] in them.")
            return False
        try:
            for profile in profiles:
                self._ledgers.ledger_of(profile)
        except DokuError as caught:
            self._say(caught.message)
            return False
        return True

    def _open_profiles(self) -> list[Profile]:
        return [one for one in self._profiles.usable() if one.notifications.enabled]

    def _say(self, sentence: str) -> None:
        """Into the log, each sentence once a minute at most."""
        now = time.monotonic()
        if now - self._said.get(sentence, -_SAY_SECONDS) < _SAY_SECONDS:
            return
        self._said = {one: at for one, at in self._said.items() if now - at < _SAY_SECONDS} | {sentence: now}
        log.error("%s", sentence)


def _raw_path(scope: Scope) -> bytes:
    raw: bytes = scope.get("raw_path") or str(scope["path"]).encode("utf-8", "replace")
    return raw


def _fits(before: bytes, scope: Scope) -> bool:
    """Whether what stands before our prefix is where Airflow itself is served, and nothing else."""
    root = str(scope.get("root_path", "")).removesuffix(PREFIX).rstrip("/")
    return before.decode("ascii") in ("", root)


async def _read(request: Request, most: int, seconds: float) -> bytes:
    """The body. Refused: more than `most` bytes, whatever was announced, or not there in time."""
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > most:
                    raise Refused(Refusal.TOO_LARGE)
                chunks.append(chunk)
    except TimeoutError:
        raise Refused(Refusal.TOO_SLOW) from None
    return b"".join(chunks)


async def _in_time(future: "Future[Any]", seconds: float, late: Refusal) -> Any:
    """What a thread comes to. Refused, as `late`: not in time; a thread at work ends by itself, what waits is left."""
    waited = asyncio.wrap_future(future)
    done, _ = await asyncio.wait((waited,), timeout=seconds)
    if done:
        return waited.result()
    waited.add_done_callback(lambda one: one.cancelled() or one.exception())
    future.cancel()  # else what DOKU sends again would pile up behind a ledger that hangs
    raise Refused(late)


def _refusal(reason: Refusal, asked: _Asked) -> Response:
    content = b"STOP" if asked.dialect == "onecheckout" else json.dumps({"message": SENTENCE[reason]}).encode()
    response = _answer(STATUS[reason], content, asked.dialect)
    if STATUS[reason] == STATUS[Refusal.METHOD]:
        response.headers["Allow"] = "POST" if asked.kind else "GET"
    if STATUS[reason] == STATUS[Refusal.BUSY]:
        response.headers["Retry-After"] = str(_AGAIN_SECONDS)
    if not asked.read:
        response.headers["Connection"] = "close"  # what was not read is not waited for
    return response


def _answer(status: int, content: bytes, dialect: Dialect) -> Response:
    return Response(content, status, media_type=_TYPES[dialect], headers=dict(_HEADERS))
