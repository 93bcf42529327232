"""What DOKU tells of reports: a hint to look into its folder, and never proof of anything."""

from typing import Final

from include.doku.dialects.choose import parser_of
from include.domain.bill_events import BillEvent, ReportReady
from include.domain.errors import NotificationUnreadable
from include.domain.states import NotificationKind, NotificationState
from include.flows.context import FlowContext
from include.ledger.inbox import conclude, waiting

AT_ONCE: Final = 1000
_DONE: Final = "DONE"
_WORD_LENGTH: Final = 20


def take_in_report_notices(context: FlowContext, run_id: int | None) -> int:
    """Conclude what the inbox holds of reports; the run that does so looks into DOKU's folder in any case.

    Args:
        run_id: The run that does it, once the ledger knows it.

    Returns:
        How many say that a report is there.
    """
    profile = context.profile
    if not profile.notifications.enabled:
        return 0
    kinds = (NotificationKind.REPORT_READY,)
    with context.ledger.read() as connection:
        found = waiting(connection, profile.name, AT_ONCE, kinds)
    if not found:
        return 0
    parse, done = parser_of(profile), 0
    for one in found:
        try:
            state, words = _meaning(parse(one.kind, one.body or b"", one.content_type))
        except NotificationUnreadable as caught:
            state, words = NotificationState.FAILED, caught.message
        with context.ledger.write() as connection:
            concluded = conclude(connection, one.notification_id, state, words, run_id, context.clock())
        done += concluded and state is NotificationState.DONE
    return done


def _meaning(event: BillEvent) -> tuple[NotificationState, str]:
    """DONE is the one status that is known; others may say anything [EZ, third party]."""
    if not isinstance(event, ReportReady):
        raise NotificationUnreadable("It tells of no report")
    if event.status == _DONE:
        return NotificationState.DONE, f"DOKU says that {event.file_name} is there; it is looked for in the folder."
    status = event.status[:_WORD_LENGTH]
    return NotificationState.IGNORED, f"Its status is {status} and not DONE; nothing follows from it."
