"""Matters that no ledger can keep: that the ledger itself is silent, or that a profile cannot be read.

What people were told of such a matter is kept as small files in the artefact store, so that it too is told once for
each level and channel. If that store fails as well, it is told at each look: rather too often than never.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, TypeVar

from include.domain.alert_text import Notice
from include.domain.errors import ArtefactError, DokuError
from include.domain.watch import Kind, Ladders, Level, Matter, channels_of
from include.flows.artefacts import Artefacts
from include.flows.watch_tell import Send

_T = TypeVar("_T")

_OUTSIDE_OF_LEDGERS: Final = (Kind.LEDGER_SILENT, Kind.PROFILE_BROKEN)


@dataclass(frozen=True)
class Teller:
    """Who is told, and how.

    Attributes:
        by_level: Connections by the level from which on they are told.
        runbooks: What stands before a runbook's name.
    """

    profile: str
    zone: str
    by_level: Mapping[Level, Sequence[str]]
    ladders: Ladders
    runbooks: str
    send: Send


def tell_without_ledger(store: Artefacts, teller: Teller, matter: Matter, now: datetime) -> tuple[int, list[str]]:
    """Tell people of a matter that no ledger can keep, if they were not told of its level yet.

    Returns:
        How many notices were sent; what kept others from being sent, in words.
    """
    folder = _folder(teller.profile)
    marks = _marks(store, folder)
    since = _since(store, marks, matter.kind) or now
    matter = replace(matter, late_since=since)
    level = teller.ladders.level(matter, now)
    told, problems = 0, []
    for channel in channels_of(level, teller.by_level):
        if any(mark.startswith(f"{folder}/{matter.kind}.{int(level)}.{channel}.") for mark in marks):
            continue
        problem = _send(teller, channel, matter, level)
        problems += [problem] if problem else []
        told += problem is None
        if problem is None:
            _mark(store, folder, f"{matter.kind}.{int(level)}.{channel}", f"{since.isoformat()}\n{matter.words}")
    return told, problems


def tell_it_is_over(
    store: Artefacts, teller: Teller, now: datetime, *, but: Kind | None = None
) -> tuple[int, list[str]]:
    """Tell those who were told of such a matter that it is over, and forget it.

    Args:
        but: The kind that is not over.
    """
    folder = _folder(teller.profile)
    marks = _marks(store, folder)
    told, problems = 0, []
    for kind in _OUTSIDE_OF_LEDGERS:
        mine = [mark for mark in marks if mark.startswith(f"{folder}/{kind}.")] if kind is not but else []
        channels = sorted({match[1] for mark in mine if (match := _MARK.search(mark))})
        since = _since(store, mine, kind) or now
        for channel in channels:
            matter = Matter(kind, _SUBJECTS[kind], since, _words(store, mine), "", "")
            problem = _send(teller, channel, matter, Level.OVER)
            if problem:
                problems.append(problem)
                continue
            told += 1
            for mark in mine:
                if f".{channel}." in mark:
                    store.discard(mark)
    return told, problems


_MARK: Final = re.compile(r"/\w+\.[123]\.(.+)\.[0-9a-f]{8}$")
_SUBJECTS: Final = {Kind.LEDGER_SILENT: "ledger", Kind.PROFILE_BROKEN: "profile"}


def _folder(profile: str) -> str:
    return f"watch/{re.sub(r'[^A-Za-z0-9_-]', '_', profile)}"


def _marks(store: Artefacts, folder: str) -> list[str]:
    return _or([], lambda: store.names(folder))


def _mark(store: Artefacts, folder: str, name: str, text: str) -> None:
    _or(None, lambda: store.keep(folder, name, [text.encode("utf-8")]))


def _since(store: Artefacts, marks: Sequence[str], kind: Kind) -> datetime | None:
    """When the matter began, by the earliest mark of it."""
    texts = [_text(store, mark) for mark in marks if f"/{kind}." in mark]
    found = [datetime.fromisoformat(text.partition("\n")[0]) for text in texts if text]
    return min(found, default=None)


def _words(store: Artefacts, marks: Sequence[str]) -> str:
    return next((text.partition("\n")[2] for mark in marks if (text := _text(store, mark))), "")


def _text(store: Artefacts, mark: str) -> str:
    return _or(b"", lambda: b"".join(store.read(mark))).decode("utf-8")


def _or(instead: _T, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except (ArtefactError, OSError):
        return instead


def _send(teller: Teller, channel: str, matter: Matter, level: Level) -> str | None:
    notice = Notice(
        key=f"{teller.profile}-{matter.kind}-{matter.late_since:%Y%m%d%H%M%S}-{int(level)}",
        profile=teller.profile,
        kind=matter.kind,
        subject=matter.subject,
        level=level,
        words=matter.words,
        action=matter.action,
        runbook=f"{teller.runbooks}{matter.runbook}",
        late_since=matter.late_since,
        zone=teller.zone,
    )
    try:
        teller.send(channel, notice)
    except DokuError as caught:
        return caught.message
    return None
