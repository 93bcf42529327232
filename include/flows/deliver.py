"""Delivery: three endings (delivered, refused, unknown), and never the same file twice (promise 4).

The order is what makes it safe:
1. the claims are written to the billing database, so that no other ledger can claim them;
2. the ledger says `delivering`, and whose try it is;
3. the bytes go to a temporary name that DOKU does not pick up, and are proved there;
4. the ledger says `renaming`, if it is still this try's turn: from here on nobody else ever renames;
5. one plain rename, which refuses an existing name;
6. the ledger says `delivered`.
A try that finds traces of an earlier one looks at the server before it does anything.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from typing import Final

from sqlalchemy import Connection

from include.doku.sftp import SftpServer, remote_path
from include.domain.errors import (
    DeliveryRefused,
    DeliveryUnknown,
    DokuError,
    Held,
    LedgerError,
    RemoteError,
    RemoteRefused,
)
from include.domain.file_names import FileNameTemplate, stem_of
from include.domain.states import BatchState
from include.flows.approve import refuse_unless_approved
from include.flows.context import FlowContext
from include.flows.look_again import is_stale, look_again
from include.flows.manifests import keep_batch_manifest, refuse_if_it_left
from include.flows.seal import render_and_seal
from include.flows.tell_merchant import tell_claims
from include.flows.withdraw import withdraw_batch
from include.ledger import tables
from include.ledger.batches import Batch, find_batch, must_not_leave
from include.ledger.chain import lock_chain
from include.ledger.events import Note, enter
from include.ledger.holds import holds_on_batch, lock_holds

_GONE: Final = (BatchState.DELIVERED, BatchState.RECONCILED)
_ACTOR: Final = "deliver"
_PATIENCE_SECONDS: Final = 5
_SAFE: Final = "The task may be run again: it looks at the server first."
_TAKEABLE: Final = tables.batch.c.state.in_([BatchState.SEALED, BatchState.DELIVERING])


class There(StrEnum):
    """What the server shows of a batch file: our content, another one, nothing, or a report that answers it."""

    SAME = "same content"
    OTHER = "other content"
    ABSENT = "absent"
    ANSWERED = "answered by a report"


@dataclass(frozen=True)
class Look:
    """What a look at the server found; `digest` is the SHA-256 (hex) of the content there, if it could be read."""

    there: There
    digest: str | None


@dataclass(frozen=True)
class Delivery:
    """How a delivery ended; an ending that is not delivered or withdrawn is an error."""

    batch_id: int
    file_name: str
    state: BatchState
    count: int
    total: int


def deliver(context: FlowContext, batch_id: int, run_id: int) -> Delivery:
    """Deliver a sealed batch, or find out how an earlier try ended.

    Returns:
        Delivered; or withdrawn, because its execute date's cut-off is over and nothing had become visible.

    Raises:
        RemoteError, RemoteRefused, HostKeyError: Nothing became visible; may be tried again once mended.
        DeliveryRefused: Another content has that name at the server.
        DeliveryUnknown: Nobody can say yet; it is not sent again.
        ApprovalMissing, ApprovalRefused, Held: A person has to decide, or has decided; nothing was sent.
        ArtefactError: The kept envelope is missing or altered.
        BillingError: The claims cannot be written.
    """
    batch = _patiently(context, _batch(context, batch_id), BatchState.DELIVERING)
    if batch.state is BatchState.CLAIMED and batch.withdrawn_count:  # cut short when it went back to be sealed anew
        render_and_seal(context, batch_id, run_id)
        batch = _batch(context, batch_id)
    if batch.state is BatchState.CLAIMED:
        raise LedgerError(f"Batch {batch.file_name} is not sealed yet. Run render_and_seal for it first.")
    if batch.state in (*_GONE, BatchState.WITHDRAWN):
        return _ended(batch)
    if batch.state in (BatchState.SEALED, BatchState.DELIVERING) and _too_late(context, batch):
        with context.remote() as server:  # a restored ledger may have forgotten that it sent this very file
            return _send(context, server, batch, run_id)
    if batch.state in (BatchState.RENAMING, BatchState.UNKNOWN):
        with context.remote() as server:
            return _resolve(context, server, batch, run_id)
    if batch.state is BatchState.SEALED and is_stale(context, batch):
        look_again(context, batch, run_id)
        render_and_seal(context, batch_id, run_id)  # anew, if something was withdrawn
        batch = _batch(context, batch_id)
        if batch.state is BatchState.WITHDRAWN:
            return _ended(batch)
    refuse_unless_approved(context, batch.run_id)
    with context.ledger.read() as connection:
        _refuse_if_held(connection, batch)
    context.step("deliver: before the claims are told")
    tell_claims(context, batch)
    context.step("deliver: claims told")
    with context.remote() as server:
        return _send(context, server, batch, run_id)


def find_out(context: FlowContext, batch_id: int) -> BatchState:
    """Whether a batch whose delivery nobody could judge is at the server, by looking only: nothing is sent or removed.

    Returns:
        Its state now: delivered, if the server shows our content or a report on it; else what it was.

    Raises:
        RemoteError, RemoteRefused, HostKeyError: The server cannot be asked.
    """
    batch = _batch(context, batch_id)
    if batch.state not in (BatchState.RENAMING, BatchState.UNKNOWN):
        return batch.state
    with context.remote() as server:
        found = look(context, server, batch)
    if found.there in (There.SAME, There.ANSWERED):
        return _delivered(context, batch, None, found).state
    return batch.state


def _send(context: FlowContext, server: SftpServer, batch: Batch, run_id: int) -> Delivery:
    mine = secrets.token_hex(8)
    if not _take_over(context, batch, mine, run_id):
        return deliver(context, batch.batch_id, run_id)  # another try is further: find out how it ends
    context.step("deliver: intent committed")
    found = look(context, server, batch)
    if found.there is There.OTHER or (found.there is There.SAME and found.digest is None):
        raise _name_taken(context, batch, mine, run_id, found)
    if found.there is not There.ABSENT:  # a ledger restored from a backup finds what it forgot
        _promise_to_rename(context, batch, mine, run_id, {"found": found.there})
        return _delivered(context, batch, run_id, found)
    refuse_if_it_left(context, batch)
    remove_leftovers(context, server, batch, mine)
    if _too_late(context, batch):
        return _withdraw(context, batch, run_id)
    settings = context.profile.batch
    final = remote_path(settings.folder, batch.file_name)
    if settings.delivery == "direct":
        # No byte of an altered envelope may become visible, and it is known to be altered only at its end.
        for _ in context.artefacts.read_proved(batch.artefact or "", batch.envelope_digest or ""):
            pass
        _promise_to_rename(context, batch, mine, run_id, {"final": final, "direct": True})
        return _place(context, server, batch, run_id, lambda: _write(context, server, batch, final))
    temporary = remote_path(
        settings.temporary_folder or settings.folder, _temporary_name(settings.temporary_name, batch, mine)
    )
    try:
        _write_and_prove(context, server, batch, temporary)
        context.step("deliver: temporary file proved")
        if _too_late(context, batch):
            server.remove(temporary)
            return _withdraw(context, batch, run_id)
        _promise_to_rename(context, batch, mine, run_id, {"temporary": temporary, "final": final})
    except DokuError as caught:
        with suppress(RemoteError, RemoteRefused):
            server.remove(temporary)
        if isinstance(caught, (RemoteError, RemoteRefused)) and _batch(context, batch.batch_id).delivery_try != mine:
            raise _taken_over(batch) from None  # which removed this try's file: the server's answer says nothing
        raise
    return _place(context, server, batch, run_id, lambda: _rename(server, temporary, final))


def _rename(server: SftpServer, temporary: str, final: str) -> None:
    """Rename; a refusal counts only while the temporary file is still there to show that nothing was renamed."""
    try:
        server.rename(temporary, final)
    except RemoteRefused as refusal:
        if server.stat(temporary) is None:
            raise RemoteError(f"{refusal.message} But the temporary file is gone too.") from None
        with suppress(RemoteError, RemoteRefused):
            server.remove(temporary)
        raise


def _take_over(context: FlowContext, batch: Batch, mine: str, run_id: int) -> bool:
    """Make this try the one that may rename. An older try that is still at it will find that it may not."""
    context.step("deliver: before the intent")
    note = Note(context.clock(), _ACTOR, run_id, {"try": mine, "digest": batch.envelope_digest})
    # Not if it was looked at again and sealed anew meanwhile: then this envelope holds attempts that are withdrawn.
    same = tables.batch.c.envelope_digest == batch.envelope_digest
    last = tables.batch.c.delivery_try.is_not_distinct_from(batch.delivery_try)  # nor from one that has just begun
    with context.ledger.write() as connection:
        return enter(connection, batch.batch_id, BatchState.DELIVERING, note, _TAKEABLE, same, last, delivery_try=mine)


def _promise_to_rename(context: FlowContext, batch: Batch, mine: str, run_id: int, details: dict[str, object]) -> None:
    """The last thing before the file may become visible. Only one try ever gets here at a time."""
    context.step("deliver: before the manifest is kept")
    manifest = keep_batch_manifest(context, batch)
    context.step("deliver: manifest kept")
    traced = {"try": mine, "manifest": manifest.artefact, "manifest_sha256": manifest.digest, **details}
    with context.ledger.write() as connection:
        lock_holds(connection, batch.billing_source)  # a hold that is just being placed counts
        _refuse_if_held(connection, batch)
        still_mine = (tables.batch.c.delivery_try == mine, tables.batch.c.state == BatchState.DELIVERING)
        lock_chain(connection, batch.profile)  # a report that is just being taken in counts too
        kept = 0 if "found" in details else must_not_leave(connection, batch.batch_id)
        target = BatchState.SEALED if kept else BatchState.RENAMING
        note = Note(context.clock(), _ACTOR, run_id, {"must_not_leave": kept} if kept else traced)
        if not enter(connection, batch.batch_id, target, note, *still_mine):
            raise _taken_over(batch)
    if kept:
        raise RemoteError(
            f"{kept} charges of {batch.file_name} turned out to be paid by an earlier attempt, or to be on a card that "
            "may never be charged again, just before it left. Nothing was sent. Run again, it is sealed anew without "
            "them."
        )
    context.step("deliver: promise committed")


def _taken_over(batch: Batch) -> RemoteError:
    return RemoteError(
        f"Another try took over the delivery of {batch.file_name}; this one leaves it alone. "
        "Run again, it finds out how that ended."
    )


def _place(
    context: FlowContext, server: SftpServer, batch: Batch, run_id: int, make_visible: Callable[[], object]
) -> Delivery:
    try:
        make_visible()
        context.step("deliver: renamed")
    except RemoteRefused as caught:
        return _after_refusal(context, server, batch, run_id, caught)
    except RemoteError as caught:
        return _unknown(context, batch, run_id, caught.message)
    return _delivered(context, batch, run_id, Look(There.SAME, batch.envelope_digest))


def _after_refusal(
    context: FlowContext, server: SftpServer, batch: Batch, run_id: int, refusal: RemoteRefused
) -> Delivery:
    """The server answered no: it did not rename. Usually because the name exists."""
    found = look(context, server, batch)
    if found.there in (There.SAME, There.ANSWERED):
        return _delivered(context, batch, run_id, found)
    if found.there is There.OTHER and context.profile.batch.delivery == "direct":
        return _unknown(context, batch, run_id, f"a part of the file is visible under its name; {refusal.message}")
    _back_to_sealed(context, batch, run_id, refusal.message)
    if found.there is There.OTHER:
        raise DeliveryRefused(_taken(context, batch, found))
    raise DeliveryRefused(
        f"The server did not give {batch.file_name} its final name, and no such file is there, so nothing was sent. "
        f"{refusal.message} Ask DOKU whether this user may rename there (profile: batch.delivery), "
        "then clear this task."
    )


def _resolve(context: FlowContext, server: SftpServer, batch: Batch, run_id: int) -> Delivery:
    """An earlier try may have renamed: only looking helps."""
    batch = _patiently(context, batch, BatchState.RENAMING)
    if batch.state not in (BatchState.RENAMING, BatchState.UNKNOWN):
        return deliver(context, batch.batch_id, run_id)
    found = look(context, server, batch)
    if found.there in (There.SAME, There.ANSWERED):
        return _delivered(context, batch, run_id, found)
    why = "the file is not there now" if found.there is There.ABSENT else _taken(context, batch, found)
    return _unknown(context, batch, run_id, f"an earlier try broke off while renaming, and {why}")


def _name_taken(context: FlowContext, batch: Batch, mine: str, run_id: int, found: Look) -> DeliveryRefused:
    """Before any rename of ours the name is there with another content."""
    note = Note(context.clock(), _ACTOR, run_id, {"why": "another content has the name", "found": found.digest})
    with context.ledger.write() as connection:
        mine_still = (tables.batch.c.delivery_try == mine, tables.batch.c.state == BatchState.DELIVERING)
        enter(connection, batch.batch_id, BatchState.SEALED, note, *mine_still)
    return DeliveryRefused(_taken(context, batch, found))


def _taken(context: FlowContext, batch: Batch, found: Look) -> str:
    return (
        f"{context.profile.batch.folder} holds a {batch.file_name} with another content "
        f"(SHA-256 {found.digest or 'unread'}) than ours ({batch.envelope_digest}). Nothing was overwritten. "
        "Find out who wrote it: another ledger, or an earlier one, may be at work on the same DOKU account."
    )


def look(context: FlowContext, server: SftpServer, batch: Batch) -> Look:
    """What the server shows of a batch file: in the upload folder, in DOKU's archive folder, or by a report on it."""
    settings = context.profile.batch
    for folder in (settings.folder, settings.archive_folder):
        listed = server.stat(remote_path(folder, batch.file_name)) if folder else None
        if folder is None or listed is None:
            continue
        if listed.size != batch.envelope_size:
            return Look(There.OTHER, None)
        try:
            digest, _ = server.digest(remote_path(folder, batch.file_name))
        except RemoteRefused:  # not readable for us, or taken away while we looked: the size must do
            return Look(There.SAME, None)
        return Look(There.SAME if digest == batch.envelope_digest else There.OTHER, digest)
    return Look(There.ANSWERED if _has_report(context, server, batch) else There.ABSENT, None)


def _has_report(context: FlowContext, server: SftpServer, batch: Batch) -> bool:
    settings = context.profile.report
    template = FileNameTemplate(settings.file_name)
    for listed in server.list(settings.folder):
        facts = template.parse(listed.name) or {}
        if batch.file_name == facts.get("batch_name") or stem_of(batch.file_name) == facts.get("batch_stem"):
            return True
    return False


def _write_and_prove(context: FlowContext, server: SftpServer, batch: Batch, temporary: str) -> None:
    _write(context, server, batch, temporary)
    if context.profile.batch.read_back:
        digest, _ = server.digest(temporary)
        if digest != batch.envelope_digest:
            raise RemoteError(
                f"{temporary} reads back as {digest}, not as {batch.envelope_digest}. It was not renamed. {_SAFE}"
            )


def _write(context: FlowContext, server: SftpServer, batch: Batch, path: str) -> None:
    chunks = context.artefacts.read_proved(batch.artefact or "", batch.envelope_digest or "")
    context.step("deliver: before the first byte")
    size = server.write(path, _stepping(context, chunks))
    context.step("deliver: written")
    if size != batch.envelope_size:
        raise RemoteError(f"{path} has {size} bytes at the server, {batch.envelope_size} were sent. {_SAFE}")


def _stepping(context: FlowContext, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        context.step("deliver: a part is written")


def remove_leftovers(context: FlowContext, server: SftpServer, batch: Batch, mine: str | None = None) -> None:
    """Temporary files of tries that broke off; without its file a try that only hangs cannot rename any more.

    Args:
        mine: The try that cleans up; it never touches what a later try wrote. None: nobody delivers the batch now.

    Raises:
        RemoteError: A later try took over.
    """
    settings = context.profile.batch
    if settings.delivery == "direct":
        return
    folder = settings.temporary_folder or settings.folder
    pattern = _temporary_name(settings.temporary_name, batch, "*")
    found = [listed for listed in server.list(folder) if fnmatch(listed.name, pattern)]
    # A later try writes only after it took over: if this one is still the last, none of the files is a later one's.
    if found and mine is not None and _batch(context, batch.batch_id).delivery_try != mine:
        raise _taken_over(batch)
    for listed in found:
        context.step("deliver: before a leftover is removed")
        with suppress(RemoteRefused):
            server.remove(remote_path(folder, listed.name))
        context.step("deliver: leftover removed")


def _delivered(context: FlowContext, batch: Batch, run_id: int | None, found: Look) -> Delivery:
    context.step("deliver: before it is recorded")
    now = context.clock()
    note = Note(now, _ACTOR, run_id, {"proof": found.there, "digest": found.digest})
    with context.ledger.write() as connection:
        gone = tables.batch.c.state.in_([BatchState.RENAMING, BatchState.UNKNOWN])
        enter(connection, batch.batch_id, BatchState.DELIVERED, note, gone, delivered_at=now)
    context.step("deliver: committed")
    return _ended(_batch(context, batch.batch_id))


def _unknown(context: FlowContext, batch: Batch, run_id: int, why: str) -> Delivery:
    context.step("deliver: before unknown is recorded")
    with context.ledger.write() as connection:
        renaming = tables.batch.c.state == BatchState.RENAMING
        note = Note(context.clock(), _ACTOR, run_id, {"why": why})
        enter(connection, batch.batch_id, BatchState.UNKNOWN, note, renaming)
        current = find_batch(connection, batch.batch_id)
    context.step("deliver: unknown recorded")
    if current.state in _GONE:  # another try saw it arrive meanwhile
        return _ended(current)
    raise DeliveryUnknown(
        f"Nobody can say yet whether {batch.file_name} was delivered: {why} It is not sent again. "
        "Clear this task to look at the server once more; a report on it, or DOKU's support, settles it as well."
    )


def _back_to_sealed(context: FlowContext, batch: Batch, run_id: int, why: str) -> None:
    """The only try that could rename was told no, even if another one has called it unknown meanwhile."""
    with context.ledger.write() as connection:
        renaming = tables.batch.c.state.in_([BatchState.RENAMING, BatchState.UNKNOWN])
        enter(
            connection, batch.batch_id, BatchState.SEALED, Note(context.clock(), _ACTOR, run_id, {"why": why}), renaming
        )


def _too_late(context: FlowContext, batch: Batch) -> bool:
    return context.clock() >= context.calendar.cutoff_of(batch.execute_date)


def _withdraw(context: FlowContext, batch: Batch, run_id: int) -> Delivery:
    """The execute date's cut-off is over and nothing became visible: its charges are free for a new batch."""
    withdraw_batch(context, batch.batch_id, run_id, f"not delivered before the cut-off of {batch.execute_date}")
    return _ended(_batch(context, batch.batch_id))


def _refuse_if_held(connection: Connection, batch: Batch) -> None:
    holds = holds_on_batch(connection, batch)
    if holds:
        raise Held(
            f"{batch.file_name} was not sent: {'; '.join(one.words for one in holds)}. Lift the hold "
            "(`python -m include.cli lift ...`) and clear this task, or withdraw the batch (`... withdraw ...`)."
        )


def _patiently(context: FlowContext, batch: Batch, state: BatchState) -> Batch:
    """The batch once another try that is still at it has gone on from that state, or after a moment as it is."""
    for _ in range(_PATIENCE_SECONDS):
        if batch.state is not state:
            break
        context.wait(1.0)
        batch = _batch(context, batch.batch_id)
    return batch


def _batch(context: FlowContext, batch_id: int) -> Batch:
    with context.ledger.read() as connection:
        return find_batch(connection, batch_id)


def _ended(batch: Batch) -> Delivery:
    return Delivery(batch.batch_id, batch.file_name, batch.state, batch.line_count, batch.total_amount)


def _temporary_name(template: str, batch: Batch, mine: str) -> str:
    return template.format(digest=f"{(batch.envelope_digest or '')[:16]}.{mine}")
