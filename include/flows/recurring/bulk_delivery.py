"""Delivering files that register bills: the three endings of a batch file (delivered, refused, unknown), never twice.

The same order as `include.flows.deliver`, shorter by what only money needs (claims told to the merchant, approval,
cut-off): whose try it is stands in the ledger; the bytes go to a temporary name and are proved there; a manifest is
kept; the ledger says `renaming`; one plain rename; the ledger says `delivered`, and with it that its bills are asked
for. A file that has not left and of which a bill has changed is withdrawn: the next one has what is wanted now.
"""

import secrets
from contextlib import suppress
from fnmatch import fnmatch
from typing import Final

from include.doku.sftp import SftpServer, remote_path
from include.domain.bill_life import BillEventKind
from include.domain.errors import (
    DeliveryRefused,
    DeliveryUnknown,
    DokuError,
    NotAllowed,
    RemoteError,
    RemoteRefused,
)
from include.domain.states import BillState
from include.domain.states import RegistrationFileState as State
from include.flows.context import FlowContext
from include.flows.deliver import There
from include.flows.manifests import keep_registration_manifest
from include.flows.people import refuse_nobody
from include.flows.propose import Asked, confirmation, decide
from include.ledger.bills import REGISTER, BillEvent, find_bill, happen, lock_bills
from include.ledger.events import Note, add_decision
from include.ledger.registration_files import (
    UNDER_WAY,
    RegistrationFile,
    file_named,
    files_in,
    find_file,
    lines_of,
    move,
    of_try,
)
from include.schemas.bulk_settings import BulkSettings

_PATIENCE_SECONDS: Final = 5


def deliver_files(context: FlowContext) -> list[str]:
    """Deliver every file that is not delivered yet; the names of those that are now.

    Raises:
        DokuError: Of the first file that was not; the others were tried all the same.
    """
    with context.ledger.read() as connection:
        waiting = files_in(connection, context.profile.name, UNDER_WAY)
    delivered, problem = [], None
    for one in waiting:
        try:
            deliver_file(context, one.file_id)
            delivered.append(one.file_name)
        except DokuError as caught:
            problem = problem or caught
    if problem is not None:
        raise problem
    return delivered


def deliver_file(context: FlowContext, file_id: int) -> None:
    """Deliver a sealed file, or find out how an earlier try ended.

    Raises:
        RemoteError, RemoteRefused, HostKeyError: Nothing became visible; may be tried again.
        DeliveryRefused: Another content has that name at the server, or the server does not rename.
        DeliveryUnknown: Nobody can say yet; it is not sent again.
        ArtefactError: The kept file is missing or altered.
    """
    one = _patiently(context, _file(context, file_id))
    if one.state in (State.DELIVERED, State.WITHDRAWN):
        return
    with context.remote() as server:
        if one.state is State.SEALED:
            _send(context, server, one)
        else:
            _resolve(context, server, one)


def look(context: FlowContext, server: SftpServer, one: RegistrationFile) -> There:
    """What the server shows of the file: in the upload folder, or in DOKU's archive folder."""
    settings = _settings(context)
    for folder in (settings.folder, settings.archive_folder):
        listed = server.stat(remote_path(folder, one.file_name)) if folder else None
        if folder is None or listed is None:
            continue
        if listed.size != one.envelope_size:
            return There.OTHER
        try:
            digest, _ = server.digest(remote_path(folder, one.file_name))
        except RemoteRefused:  # not readable for us, or taken away while we looked: the size must do
            return There.SAME
        return There.SAME if digest == one.envelope_digest else There.OTHER
    return There.ABSENT


def _send(context: FlowContext, server: SftpServer, one: RegistrationFile) -> None:
    mine, settings = secrets.token_hex(8), _settings(context)
    context.step("bulk: before the try is recorded")
    with context.ledger.write() as connection:
        if not move(connection, one.file_id, State.SEALED, [State.SEALED], delivery_try=mine):
            raise _taken_over(one)
    found = look(context, server, one)
    if found is There.OTHER:
        raise DeliveryRefused(_taken(settings, one))
    if found is There.SAME:  # a ledger restored from a backup finds what it forgot
        _delivered(context, one, [State.SEALED], "found at the server")
        return
    _remove_leftovers(server, settings, one)
    if _is_stale(context, one):
        return
    temporary = remote_path(settings.folder, _temporary_name(settings, one, mine))
    try:
        chunks = context.artefacts.read_proved(one.artefact, one.envelope_digest)
        context.step("bulk: before the first byte")
        size = server.write(temporary, chunks)
        context.step("bulk: written")
        if size != one.envelope_size or server.digest(temporary)[0] != one.envelope_digest:
            raise RemoteError(
                f"{temporary} does not read back as it was sent. It was not renamed; it may be sent again."
            )
        context.step("bulk: before the manifest is kept")
        keep_registration_manifest(context, one)
        context.step("bulk: manifest kept")
        with context.ledger.write() as connection:
            if not move(connection, one.file_id, State.RENAMING, [State.SEALED], of_try(mine)):
                raise _taken_over(one)
    except DokuError as caught:
        with suppress(RemoteError, RemoteRefused):
            server.remove(temporary)
        if isinstance(caught, (RemoteError, RemoteRefused)) and _file(context, one.file_id).delivery_try != mine:
            raise _taken_over(one) from None  # which removed this try's file: the server's answer says nothing
        raise
    context.step("bulk: promise committed")
    _rename(context, server, one, temporary)


def _is_stale(context: FlowContext, one: RegistrationFile) -> bool:
    """Whether the merchant wants something else of one of its bills by now; then the file is withdrawn."""
    with context.ledger.write() as connection:
        lock_bills(connection, context.profile.billing_source)
        for key, terms in lines_of(connection, one.file_id):
            now = find_bill(connection, key)
            if now is None or (now.state, now.terms_digest) != (BillState.WANTED, terms):
                words = f"bill {key.billing_number} has changed before it left"
                return move(connection, one.file_id, State.WITHDRAWN, [State.SEALED], words=words)
    return False


def _rename(context: FlowContext, server: SftpServer, one: RegistrationFile, temporary: str) -> None:
    settings = _settings(context)
    try:
        server.rename(temporary, remote_path(settings.folder, one.file_name))
        context.step("bulk: renamed")
    except RemoteRefused as refusal:
        _after_refusal(context, server, one, temporary, refusal)
        return
    except RemoteError as caught:
        raise _unknown(context, one, caught.message) from None
    _delivered(context, one, [State.RENAMING, State.UNKNOWN], "the server confirmed the rename")


def _after_refusal(
    context: FlowContext, server: SftpServer, one: RegistrationFile, temporary: str, refusal: RemoteRefused
) -> None:
    """The server answered no: it did not rename, as long as the temporary file is still there to show it."""
    found = look(context, server, one)
    if found is There.SAME:
        _delivered(context, one, [State.RENAMING, State.UNKNOWN], There.SAME)
        return
    if server.stat(temporary) is None:
        raise _unknown(context, one, f"{refusal.message} But the temporary file is gone too.")
    with suppress(RemoteError, RemoteRefused):
        server.remove(temporary)
    with context.ledger.write() as connection:
        move(connection, one.file_id, State.SEALED, [State.RENAMING, State.UNKNOWN], words=refusal.message)
    if found is There.OTHER:
        raise DeliveryRefused(_taken(_settings(context), one))
    raise DeliveryRefused(
        f"The server did not give {one.file_name} its final name, and no such file is there, so nothing was sent. "
        f"{refusal.message} Ask DOKU whether this user may rename there."
    )


def _resolve(context: FlowContext, server: SftpServer, one: RegistrationFile) -> None:
    """An earlier try may have renamed: only looking helps."""
    found = look(context, server, one)
    if found is There.SAME:
        _delivered(context, one, [State.RENAMING, State.UNKNOWN], There.SAME)
        return
    why = "the file is not there now" if found is There.ABSENT else _taken(_settings(context), one)
    raise _unknown(context, one, f"an earlier try broke off while renaming, and {why}")


def _delivered(context: FlowContext, one: RegistrationFile, origins: list[State], proof: str) -> None:
    """The file is at DOKU: its bills are asked for, with the terms that stand in it."""
    now = context.clock()
    context.step("bulk: before it is recorded")
    with context.ledger.write() as connection:
        lock_bills(connection, context.profile.billing_source)
        if not move(connection, one.file_id, State.DELIVERED, origins, words=proof, delivered_at=now):
            return  # another try, or a person, was first
        for key, terms in lines_of(connection, one.file_id):
            details = {"asked_by": "bulk", "terms": terms, "file": one.file_name}
            event = BillEvent(BillEventKind.ASKED, now, REGISTER, details, matter={"file": one.file_name})
            happen(connection, key, event, checkout_url=None, request_id=None)
    context.step("bulk: delivered")


def _unknown(context: FlowContext, one: RegistrationFile, why: str) -> DeliveryUnknown:
    with context.ledger.write() as connection:
        move(connection, one.file_id, State.UNKNOWN, [State.RENAMING, State.UNKNOWN], words=why)
    return DeliveryUnknown(
        f"Nobody can say yet whether registration file {one.file_name} was delivered: {why}. It is not sent again. Run "
        "again to look at the server once more; or ask DOKU, and say it with registration_arrived or "
        "registration_never_arrived."
    )


def registration_arrived(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """DOKU says that they have a registration file whose delivery was unknown: its bills are asked for."""
    refuse_nobody(by, why)
    one = _unknown_file(context, file_name)
    with context.ledger.write() as connection:
        note = Note(context.clock(), by, None, {"why": why})
        add_decision(connection, context.profile.name, "arrived", file_name, note)
    _delivered(context, one, [State.UNKNOWN], f"DOKU has it, says {by}: {why}")
    return f"{file_name} is delivered, on {by}'s word. Notifications say what becomes of its {one.line_count} bills."


def registration_never_arrived(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """DOKU says that they never got a registration file: its bills go into the next one.

    Refused when the server shows the file, whatever anybody says. Where the profile asks for four eyes
    (`decisions.four_eyes`) it is only proposed, until another person confirms it.
    """
    asked = Asked("registration_never_arrived", file_name, {"file_name": file_name}, by, why)
    return decide(context, asked, registration_never_arrived_now)


def registration_never_arrived_now(
    context: FlowContext, *, file_name: str, by: str, why: str, confirmed_by: str | None = None
) -> str:
    """Take DOKU's word that a registration file never came, without asking for a second person."""
    one = _unknown_file(context, file_name)
    with context.remote() as server:
        _remove_leftovers(server, _settings(context), one)  # so that a try that hangs cannot make it appear afterwards
        there = look(context, server, one)
    if there is not There.ABSENT:
        raise NotAllowed(f"The server shows {file_name} ({there}): it did arrive. The next run records that.")
    with context.ledger.write() as connection:
        if not move(
            connection, one.file_id, State.WITHDRAWN, [State.UNKNOWN], words=f"never arrived, says {by}: {why}"
        ):
            raise NotAllowed(f"{file_name} became something else meanwhile; nothing was changed.")
        note = Note(context.clock(), by, None, {"why": why} | confirmation(confirmed_by))
        add_decision(connection, context.profile.name, "never_arrived", file_name, note)
    return f"{file_name} is withdrawn, on {by}'s word: its {one.line_count} bills go into the next file."


def _unknown_file(context: FlowContext, file_name: str) -> RegistrationFile:
    with context.ledger.read() as connection:
        one = file_named(connection, context.profile.name, file_name)
    if one.state is not State.UNKNOWN:
        raise NotAllowed(
            f"{file_name} is {one.state}, not unknown. A word about it is only asked for once a run has looked at the "
            "server and could not say."
        )
    return one


def _remove_leftovers(server: SftpServer, settings: BulkSettings, one: RegistrationFile) -> None:
    """Temporary files of tries that broke off; without its file such a try cannot rename any more."""
    pattern = _temporary_name(settings, one, "*")
    for listed in [listed for listed in server.list(settings.folder) if fnmatch(listed.name, pattern)]:
        with suppress(RemoteRefused):
            server.remove(remote_path(settings.folder, listed.name))


def _taken(settings: BulkSettings, one: RegistrationFile) -> str:
    return (
        f"{settings.folder} holds a {one.file_name} with another content than ours ({one.envelope_digest}). Nothing "
        "was overwritten. Find out who wrote it: another ledger, or an earlier one, may be at work on the same DOKU "
        "account."
    )


def _taken_over(one: RegistrationFile) -> RemoteError:
    return RemoteError(
        f"Another try took over the delivery of {one.file_name}; this one leaves it alone. Run again, it finds out how "
        "that ended."
    )


def _patiently(context: FlowContext, one: RegistrationFile) -> RegistrationFile:
    """The file once another try that is just renaming it has gone on, or after a moment as it is."""
    for _ in range(_PATIENCE_SECONDS):
        if one.state is not State.RENAMING:
            break
        context.wait(1.0)
        one = _file(context, one.file_id)
    return one


def _file(context: FlowContext, file_id: int) -> RegistrationFile:
    with context.ledger.read() as connection:
        return find_file(connection, file_id)


def _settings(context: FlowContext) -> BulkSettings:
    return context.profile.recurring.bulk or BulkSettings()


def _temporary_name(settings: BulkSettings, one: RegistrationFile, mine: str) -> str:
    return settings.temporary_name.format(digest=f"{one.envelope_digest[:16]}.{mine}")
