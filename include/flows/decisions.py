"""What people decide: holds, releases from quarantine, cancellations, withdrawals. Each carries who, when and why."""

from include.domain.errors import NotAllowed
from include.domain.states import BEFORE_LEAVING, BatchState
from include.flows.context import FlowContext
from include.flows.deliver import There, look, remove_leftovers
from include.flows.people import refuse_nobody
from include.flows.propose import Asked, confirmation, decide
from include.flows.tell_merchant import tell_withdrawal
from include.flows.withdraw import withdraw_batch
from include.ledger import tables
from include.ledger.batches import Batch, find_batch, find_batch_named, withdraw_attempts
from include.ledger.claims import lock_claims
from include.ledger.closures import CANCELLED, close_charge, last_listing, live_attempt
from include.ledger.events import Note, add_decision, enter
from include.ledger.holds import SCOPES, lift_hold, place_hold
from include.ledger.matching import lock_matching
from include.ledger.quarantine import release_matter
from include.ledger.reports import reopen_refused


def hold(context: FlowContext, *, scope: str, subject: str, by: str, why: str) -> str:
    """Hold a charge, a customer, a batch (by its file name) or the whole profile, from now on; says what that does."""
    refuse_nobody(by, why)
    _refuse_unknown_subject(context, scope, subject)
    with context.ledger.write() as connection:
        placed = place_hold(
            connection,
            billing_source=context.profile.billing_source,
            profile=context.profile.name,
            scope=scope,
            subject=subject,
            note=_note(context, by, why),
            reason=why,
        )
    done = f"{scope} {subject} is held" if placed else f"{scope} {subject} was held already"
    return f"{done}: nothing of it is claimed or sent until it is lifted. A batch that has left is not called back."


def lift(context: FlowContext, *, scope: str, subject: str, by: str, why: str) -> str:
    """End a hold; what it held goes on with the next run, or when its delivery is cleared."""
    refuse_nobody(by, why)
    with context.ledger.write() as connection:
        lifted = lift_hold(
            connection,
            billing_source=context.profile.billing_source,
            profile=context.profile.name,
            scope=scope,
            subject=subject,
            note=_note(context, by, why),
            reason=why,
        )
    if not lifted:
        raise NotAllowed(
            f"There is no hold on {scope} {subject}. "
            f"`python -m include.cli holds --profile {context.profile.name}` lists those there are."
        )
    return f"{scope} {subject} is held no longer."


def release(context: FlowContext, *, charge_id: str, by: str, why: str) -> str:
    """Release a charge from quarantine: the next run checks it again, it is not waved through."""
    refuse_nobody(by, why)
    with context.ledger.write() as connection:
        released = release_matter(
            connection,
            billing_source=context.profile.billing_source,
            profile=context.profile.name,
            charge_id=charge_id,
            note=_note(context, by, why),
            why=why,
        )
    if not released:
        raise NotAllowed(
            f"Charge {charge_id} is not in quarantine. "
            f"`python -m include.cli quarantine --profile {context.profile.name}` lists those that are."
        )
    return f"Charge {charge_id} is released: the next run checks it again and sends it if nothing is wrong with it."


def cancel(context: FlowContext, *, charge_id: str, by: str, why: str) -> str:
    """Close a charge: no attempt is made any more. Refused while an attempt of it may still be charged.

    Where the profile asks for four eyes (`decisions.four_eyes`) it is only proposed, until another person confirms it.
    """
    return decide(context, Asked("cancel", charge_id, {"charge_id": charge_id}, by, why), cancel_now)


def cancel_now(context: FlowContext, *, charge_id: str, by: str, why: str, confirmed_by: str | None = None) -> str:
    """Cancel without asking for a second person."""
    source = context.profile.billing_source
    with context.ledger.write() as connection:
        lock_claims(connection, source)
        live = live_attempt(connection, source, charge_id)
        if live is not None:
            raise NotAllowed(
                f"Charge {charge_id} has a live attempt ({live}): DOKU may charge it, whatever is decided here. "
                "Wait for its report, or withdraw its batch if that has not left."
            )
        closed = close_charge(
            connection,
            billing_source=source,
            profile=context.profile.name,
            charge_id=charge_id,
            reason=CANCELLED,
            listing=last_listing(connection, source, context.profile.name, charge_id),
            note=_note(context, by, why, confirmed_by),
            words=why,
        )
    return (
        f"Charge {charge_id} is cancelled: no further attempt is made."
        if closed
        else f"Charge {charge_id} was closed already."
    )


def withdraw(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """Withdraw a batch that has not left: its charges are free for the next run."""
    refuse_nobody(by, why)
    with context.ledger.read() as connection:
        batch = find_batch_named(connection, context.profile.name, file_name)
    if batch.state not in BEFORE_LEAVING or not withdraw_batch(context, batch.batch_id, None, f"{by}: {why}", actor=by):
        raise NotAllowed(
            f"{file_name} is {batch.state}: it may be at DOKU, and is not withdrawn. Ask DOKU to refuse the file; "
            "what their report says then is taken in."
        )
    return (
        f"{file_name} is withdrawn: nothing of it became visible at DOKU, and its charges go into the next run's batch."
    )


def arrived(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """DOKU says that they have a file whose delivery was unknown: it is delivered."""
    refuse_nobody(by, why)
    batch = _unknown_batch(context, file_name)
    now = context.clock()
    with context.ledger.write() as connection:
        unknown = tables.batch.c.state == BatchState.UNKNOWN
        note = Note(now, by, None, {"why": why, "proof": "DOKU's answer"})
        enter(connection, batch.batch_id, BatchState.DELIVERED, note, unknown, delivered_at=now)
    return f"{file_name} is delivered, on {by}'s word. Its report settles the attempts."


def never_arrived(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """DOKU says that they never got a file whose delivery was unknown: its attempts are withdrawn.

    Refused when the server shows the file or a report on it, or a report took it for charged, whatever anybody says.

    Where the profile asks for four eyes (`decisions.four_eyes`) it is only proposed, until another person confirms it.
    """
    return decide(context, Asked("never_arrived", file_name, {"file_name": file_name}, by, why), never_arrived_now)


def never_arrived_now(
    context: FlowContext, *, file_name: str, by: str, why: str, confirmed_by: str | None = None
) -> str:
    """Take DOKU's word that a file never came without asking for a second person."""
    batch = _unknown_batch(context, file_name)
    with context.remote() as server:
        remove_leftovers(context, server, batch)  # first: so that a try that hangs cannot make it appear afterwards
        there = look(context, server, batch).there
    if there is not There.ABSENT:
        raise NotAllowed(
            f"The server shows {file_name} ({there}): it did arrive. Clear its delivery task to record that."
        )
    now = context.clock()
    with context.ledger.write() as connection:
        lock_matching(connection, context.profile.name)
        unknown = tables.batch.c.state == BatchState.UNKNOWN
        proof = "DOKU's answer, and the server shows nothing of it"
        note = Note(now, by, None, {"why": why, "proof": proof} | confirmation(confirmed_by))
        if enter(connection, batch.batch_id, BatchState.WITHDRAWN, note, unknown):
            withdraw_attempts(
                connection, batch.batch_id, f"DOKU never got the file, says {by}: {why}", now, by="person"
            )
        current = find_batch(connection, batch.batch_id)
    if current.state is not BatchState.WITHDRAWN:
        raise NotAllowed(f"{file_name} became {current.state} meanwhile; nothing was changed.")
    tell_withdrawal(context, current)
    return f"{file_name} is withdrawn, on {by}'s word: the next run sends its charges under new invoice numbers."


def reopen(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """Read a refused report again, from the kept copy: for a wrong key, layout or limit of ours, once mended."""
    refuse_nobody(by, why)
    with context.ledger.write() as connection:
        reopened = reopen_refused(connection, context.profile.name, file_name)
        for report in reopened:
            details = {"why": why, "content": report.content_digest, "refused_for": report.refused_reason}
            note = Note(context.clock(), by, None, details)
            add_decision(connection, context.profile.name, "reopen", file_name, note)
    if not reopened:
        raise NotAllowed(f"No report {file_name} of profile {context.profile.name} is refused.")
    return f"{file_name} is read again by the next run of doku_reconcile__{context.profile.name}."


def _unknown_batch(context: FlowContext, file_name: str) -> Batch:
    with context.ledger.read() as connection:
        batch = find_batch_named(connection, context.profile.name, file_name)
    if batch.state is not BatchState.UNKNOWN:
        raise NotAllowed(
            f"{file_name} is {batch.state}, not unknown. A word about it is only asked for once its delivery task has "
            "looked at the server and could not say."
        )
    return batch


def _refuse_unknown_subject(context: FlowContext, scope: str, subject: str) -> None:
    if scope not in SCOPES:
        raise NotAllowed(f"{scope!r} cannot be held; use one of {', '.join(SCOPES)}.")
    if scope == "profile" and subject != context.profile.name:
        raise NotAllowed(f"This is profile {context.profile.name}, not {subject}.")
    if scope == "batch":
        with context.ledger.read() as connection:
            find_batch_named(connection, context.profile.name, subject)


def _note(context: FlowContext, by: str, why: str, confirmed_by: str | None = None) -> Note:
    return Note(context.clock(), by, None, {"why": why} | confirmation(confirmed_by))
