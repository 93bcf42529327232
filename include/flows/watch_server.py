"""The watchdog asks DOKU's server: whether unknown deliveries arrived, which reports lie there, what was taken away."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from include.doku.sftp import remote_path
from include.domain.errors import DokuError, LedgerError
from include.domain.states import BatchState
from include.flows.context import FlowContext
from include.flows.deliver import find_out
from include.flows.fetch import look_for_reports
from include.ledger.watched import OpenBatch, open_batches

AT_WORK: Final = timedelta(minutes=5)
"""A delivery that is renaming for less is left to the try that is at it."""


@dataclass(frozen=True)
class Seen:
    """What the server showed.

    Attributes:
        problem: Why it could not be asked, in words; then the rest is empty.
        unread: Reports that lie there and were not fetched.
        taken: Batch files that do not lie in the upload folder any more.
    """

    problem: str | None = None
    unread: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()


def ask_server(context: FlowContext) -> Seen:
    """Look once. Nothing is sent, fetched or removed; a delivery that was unknown is delivered if the server shows it.

    A profile without batches asks nothing.

    Raises:
        LedgerError: The ledger cannot be used.
    """
    if not context.profile.sends_batches:
        return Seen()
    with context.ledger.read() as connection:
        batches = open_batches(connection, context.profile.name)
    try:
        for batch in batches:
            if _is_unsure(context, batch):
                find_out(context, batch.batch_id)
        unread = frozenset(seen.file_name for seen in look_for_reports(context).listed)
        return Seen(unread=unread, taken=_taken_away(context, batches))
    except LedgerError:
        raise
    except DokuError as caught:  # does not answer, refuses the log-in, shows another host key: all the same here
        return Seen(problem=caught.message)
    except Exception as caught:  # noqa: BLE001 - a mistake in asking must not silence the rest; its text may hold values
        return Seen(problem=f"Unexpected {caught.__class__.__name__} while asking; report it.")


def _is_unsure(context: FlowContext, batch: OpenBatch) -> bool:
    if batch.state is BatchState.RENAMING:
        return context.clock() - batch.state_since >= AT_WORK
    return batch.state is BatchState.UNKNOWN


def _taken_away(context: FlowContext, batches: list[OpenBatch]) -> frozenset[str]:
    """Only where DOKU is known to move what it takes."""
    settings = context.profile.batch
    delivered = [batch.file_name for batch in batches if batch.state is BatchState.DELIVERED]
    if settings.archive_folder is None or not delivered:
        return frozenset()
    with context.remote() as server:
        return frozenset(name for name in delivered if server.stat(remote_path(settings.folder, name)) is None)
