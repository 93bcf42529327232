"""What people decide about batches that left, or that should: DOKU refused one; one is delivered now by hand."""

from include.doku.sftp import remote_path
from include.domain.errors import NotAllowed
from include.domain.states import BatchState
from include.flows.approve import refuse_unless_approved
from include.flows.context import FlowContext
from include.flows.deliver import There, deliver, look
from include.flows.people import refuse_nobody
from include.flows.propose import Asked, confirmation, decide
from include.flows.settle import over
from include.flows.tell_merchant import tell_withdrawal
from include.ledger import tables
from include.ledger.batches import Batch, answered_of, find_batch, find_batch_named, withdraw_attempts
from include.ledger.events import Note, add_decision, enter
from include.ledger.holds import holds_on_batch
from include.ledger.matching import lock_matching


def file_refused(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """DOKU refused a file that was delivered, or lost it, and says so: its attempts are withdrawn (promise 4).

    A file that DOKU refused is never sent again under its name: its charges go into a new batch.

    Where the profile asks for four eyes (`decisions.four_eyes`) it is only proposed, until another person confirms it.

    Raises:
        NotAllowed: Nobody in particular; it was not delivered; an attempt of it has an outcome; or the server still
            shows the file in DOKU's folder, or a report on it, or before the end of its execute date that DOKU took it:
            so that DOKU may charge it yet.
    """
    return decide(context, Asked("file_refused", file_name, {"file_name": file_name}, by, why), file_refused_now)


def file_refused_now(
    context: FlowContext, *, file_name: str, by: str, why: str, confirmed_by: str | None = None
) -> str:
    """Take DOKU's word that it refused a file without asking for a second person."""
    with context.ledger.read() as connection:
        batch = find_batch_named(connection, context.profile.name, file_name)
        answered = answered_of(connection, batch.batch_id)
    if batch.state is not BatchState.DELIVERED:
        raise NotAllowed(f"{file_name} is {batch.state}, not delivered: DOKU can have refused nothing of it.")
    if answered:
        raise NotAllowed(
            f"{answered} attempts of {file_name} have an outcome: DOKU took the file. Settle single attempts instead."
        )
    with context.remote() as server:
        found = look(context, server, batch).there
        waiting = server.stat(remote_path(context.profile.batch.folder, file_name)) is not None
    if found is There.ANSWERED or waiting:
        raise NotAllowed(
            f"The server shows {'a report on ' if found is There.ANSWERED else ''}{file_name}: DOKU may charge it yet. "
            "Ask DOKU to remove the file, or wait for the report."
        )
    now = context.clock()
    if found is There.SAME and now < over(context, batch.execute_date):
        raise NotAllowed(
            f"DOKU took {file_name} (the server's archive shows it), and it has the execute date {batch.execute_date}, "
            "which is not over: DOKU may charge it yet. Say so from the next day on."
        )
    context.step("refused: before it is recorded")
    with context.ledger.write() as connection:
        lock_matching(connection, context.profile.name)
        if answered_of(connection, batch.batch_id):
            raise NotAllowed(f"A report on {file_name} was taken in just now; nothing was changed.")
        delivered = tables.batch.c.state == BatchState.DELIVERED
        details = {"why": why, "proof": "DOKU's answer: the file was refused"}
        note = Note(now, by, None, details | confirmation(confirmed_by))
        if enter(connection, batch.batch_id, BatchState.WITHDRAWN, note, delivered):
            withdraw_attempts(connection, batch.batch_id, f"DOKU refused the file, says {by}: {why}", now, by="person")
        current = find_batch(connection, batch.batch_id)
    context.step("refused: recorded")
    if current.state is not BatchState.WITHDRAWN:
        raise NotAllowed(f"{file_name} became {current.state} meanwhile; nothing was changed.")
    tell_withdrawal(context, current)
    return (
        f"{file_name} is withdrawn, because DOKU refused it: {batch.line_count - batch.withdrawn_count} attempts are "
        "free, and the next run sends their charges in a new batch, under new invoice numbers."
    )


def resend(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """Deliver a batch that has not left, now: the same bytes under the same name.

    Raises:
        NotAllowed: Nobody in particular; or it may be at DOKU, and what may be at DOKU is never sent again (promise 4).
        DokuError: As the delivery itself.
    """
    refuse_nobody(by, why)
    with context.ledger.read() as connection:
        batch = find_batch_named(connection, context.profile.name, file_name)
    if batch.state not in (BatchState.SEALED, BatchState.DELIVERING):
        raise NotAllowed(_not_again(batch))
    with context.remote() as server:
        there = look(context, server, batch).there
    if there is not There.ABSENT:
        raise NotAllowed(
            f"The server has {file_name} ({there}): it is not sent again. Clear its delivery task to record that."
        )
    with context.ledger.read() as connection:
        holds = holds_on_batch(connection, batch)
    if holds:
        raise NotAllowed(f"{file_name} is not sent: {'; '.join(one.words for one in holds)}. Lift the hold first.")
    refuse_unless_approved(context, batch.run_id)
    with context.ledger.write() as connection:
        note = Note(context.clock(), by, None, {"why": why})
        add_decision(connection, context.profile.name, "resend", file_name, note)
    if context.rehearsing:
        count, digest = batch.line_count - batch.withdrawn_count, batch.envelope_digest
        return (
            f"{file_name} would be delivered now: {count} attempts, SHA-256 {digest}; the server shows nothing of it."
        )
    ended = deliver(context, batch.batch_id, batch.run_id)
    return f"{file_name} is {ended.state}."


def _not_again(batch: Batch) -> str:
    if batch.state is BatchState.CLAIMED:
        return f"{batch.file_name} is not sealed yet: clear render_and_seal of its run."
    if batch.state is BatchState.WITHDRAWN:
        return f"{batch.file_name} is withdrawn: its charges are in the next run's batch, or will be."
    if batch.state is BatchState.RECONCILED:
        return f"{batch.file_name} is reconciled: DOKU answered all of it."
    word = "file-refused" if batch.state is BatchState.DELIVERED else "never-arrived"
    return (
        f"{batch.file_name} is {batch.state}: it may be at DOKU, and what may be at DOKU is never sent again. Ask "
        f"DOKU. If they do not have it, record their answer (`{word}`): its charges then go into a new batch, with a "
        "new name and new invoice numbers."
    )
