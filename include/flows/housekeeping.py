"""Housekeeping: what is over is kept no longer than the profile says; what is open is never touched.

The trail says first what will be removed, with its digests; then it is removed; then the ledger notes that it is gone.
Killed anywhere, the next run goes on. `verify` takes a file for removed only if the trail says so. Kept files that
nothing in the ledger refers to go as well (`include.flows.orphans`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from include.domain.errors import ArtefactError
from include.flows.context import FlowContext
from include.flows.orphans import Orphan, content_of, find_orphans, is_still_one
from include.ledger.events import Note, add_decision
from include.ledger.housekeeping import (
    OldFile,
    OldTokens,
    batches_with_tokens,
    count_other_tokens,
    count_raw_notifications,
    note_removed,
    old_files,
    remove_other_tokens,
    remove_raw_notifications,
    remove_tokens,
)

_FILES_OF_AN_EVENT: Final = 200
_ACTOR: Final = "housekeeping"


@dataclass(frozen=True)
class Tidied:
    """What was removed, or would be.

    Attributes:
        files: Envelopes, reports and files that registered bills.
        batches: Batches whose attempts' tokens go.
        tokens: Other tokens: of bills that are over, and lost ones.
        notifications: Raw notifications.
        orphans: Kept files that nothing in the ledger refers to.
        staying: Such files that stay all the same, each with its reason.
    """

    files: tuple[OldFile, ...]
    batches: tuple[OldTokens, ...]
    tokens: int
    notifications: int
    orphans: tuple[Orphan, ...]
    staying: tuple[Orphan, ...]

    def lines(self) -> Iterator[str]:
        """For a person."""
        yield f"{len(self.files):,} kept files"
        yield f"{sum(one.count for one in self.batches):,} tokens of attempts, of {len(self.batches):,} batches"
        yield f"{self.tokens:,} tokens of bills that are over, or lost"
        yield f"{self.notifications:,} raw notifications"
        yield f"{len(self.orphans):,} kept files that nothing in the ledger refers to"
        yield from (f"{one.artefact}: {one.words}" for one in self.orphans)

    def stays(self) -> Iterator[str]:
        """What nothing refers to and nobody may remove, for a person."""
        return (f"{one.artefact}: {one.words}" for one in self.staying)


def what_is_old(context: FlowContext) -> Tidied:
    """What `tidy` would remove now; nothing is changed.

    Raises:
        ArtefactError: The store cannot be listed or read.
    """
    keep, profile = context.profile.housekeeping, context.profile.name
    tokens, raw = _before(context, keep.tokens_days), _before(context, keep.notifications_days)
    orphans, staying = find_orphans(context)
    with context.ledger.read() as connection:
        return Tidied(
            *_old_of_batches(context, connection),
            count_other_tokens(connection, profile, tokens) if tokens else 0,
            count_raw_notifications(connection, profile, raw) if raw else 0,
            orphans,
            staying,
        )


def tidy(context: FlowContext, by: str = _ACTOR) -> Tidied:
    """Remove what the profile keeps no longer. Safe to repeat, by two at once, and after a kill.

    Args:
        by: Who asked for it; it is kept in the trail.

    Raises:
        ArtefactError: The store removes nothing, or cannot be listed; what was removed before stays removed.
    """
    with context.ledger.read() as connection:
        files, batches = _old_of_batches(context, connection)
    for at in range(0, len(files), _FILES_OF_AN_EVENT):
        _remove_files(context, list(files[at : at + _FILES_OF_AN_EVENT]), by)
    for one in batches:
        context.step("tidy: tokens of a batch")
        with context.ledger.write() as connection:
            _note(context, connection, one.file_name, by, {"tokens_of": one.file_name, "count": one.count})
            remove_tokens(connection, one.batch_id, context.clock())
        context.step("tidy: tokens of a batch gone")
    rest = _remove_rest(context, by)
    orphans, staying = find_orphans(context)
    gone = tuple(one for one in orphans if _remove_orphan(context, one, by))
    return Tidied(files, batches, *rest, gone, staying)


def _old_of_batches(context: FlowContext, connection: Connection) -> tuple[tuple[OldFile, ...], tuple[OldTokens, ...]]:
    keep, profile = context.profile.housekeeping, context.profile.name
    files, tokens = _before(context, keep.files_days), _before(context, keep.tokens_days)
    return (
        tuple(old_files(connection, profile, files)) if files else (),
        tuple(batches_with_tokens(connection, profile, tokens)) if tokens else (),
    )


def _remove_files(context: FlowContext, files: list[OldFile], by: str) -> None:
    subject = f"{len(files)} kept files"
    with context.ledger.write() as connection:
        _note(context, connection, subject, by, {"removed": {one.artefact: one.digest for one in files}})
    for one in files:
        context.step("tidy: file")
        context.artefacts.remove(one.artefact)
        context.step("tidy: file gone")
    with context.ledger.write() as connection:
        note_removed(connection, files, context.clock())


def _remove_orphan(context: FlowContext, one: Orphan, by: str) -> bool:
    """Whether it is gone: not if it is named by now, or another copy of this task removed it."""
    try:
        digest, _ = content_of(context, one.artefact)
    except ArtefactError:
        return False
    context.step("tidy: orphan")
    with context.ledger.write() as connection:
        if not is_still_one(context, connection, one):
            return False
        _note(context, connection, "an orphan", by, {"orphan": one.artefact, "sha256": digest, "why": one.words})
    context.artefacts.remove(one.artefact)
    context.step("tidy: orphan gone")
    return True


def _remove_rest(context: FlowContext, by: str) -> tuple[int, int]:
    """Tokens of bills and lost ones, raw notifications: how many of each."""
    keep, profile = context.profile.housekeeping, context.profile.name
    tokens, raw = _before(context, keep.tokens_days), _before(context, keep.notifications_days)
    with context.ledger.write() as connection:
        gone = (
            remove_other_tokens(connection, profile, tokens) if tokens else 0,
            remove_raw_notifications(connection, profile, raw) if raw else 0,
        )
        if any(gone):
            _note(context, connection, "tokens, notifications", by, {"tokens": gone[0], "notifications": gone[1]})
    return gone


def _note(context: FlowContext, connection: Connection, subject: str, by: str, details: dict[str, object]) -> None:
    note = Note(context.clock(), by, details=details)
    add_decision(connection, context.profile.name, "housekeeping", subject, note)


def _before(context: FlowContext, days: int | None) -> datetime | None:
    return None if days is None else context.clock() - timedelta(days=days)
