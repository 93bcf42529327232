"""What DOKU tells of reports, a hint to look into its folder and never proof; and notifications that failed."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection

from include.doku.dialects.choose import parser_of
from include.domain.bill_events import BillEvent, ReportReady
from include.domain.errors import NotificationUnreadable
from include.domain.states import NotificationKind, NotificationState
from include.flows.context import FlowContext
from include.flows.people import refuse_nobody
from include.ledger.events import Note, add_decision
from include.ledger.inbox import conclude, listed, wait_again, waiting

AT_ONCE: Final = 1000
LISTED: Final = 200
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


def take_in_again(context: FlowContext, *, notification: int, by: str, why: str) -> str:
    """Let a notification that failed be taken in once more, now that its cause is mended; says what follows.

    Raises:
        NotAllowed: Nobody in particular; or there is none of that number that failed.
    """
    refuse_nobody(by, why)
    profile = context.profile.name
    with context.ledger.write() as connection:
        kind = wait_again(connection, profile, notification)
        note = Note(context.clock(), by, None, {"why": why})
        add_decision(connection, profile, "take_in_again", str(notification), note)
    dag = "doku_reconcile" if kind == NotificationKind.REPORT_READY else "doku_recurring"
    return f"Notification {notification} ({kind}) waits again; the next run of {dag}__{profile} takes it in."


def failed_and_waiting(connection: Connection, profile: str) -> list[Mapping[str, Any]]:
    """The newest notifications that failed or wait; never their content."""
    return listed(connection, profile, (NotificationState.FAILED, NotificationState.RECEIVED), LISTED)


def _meaning(event: BillEvent) -> tuple[NotificationState, str]:
    """DONE is the one status that is known; others may say anything [EZ, third party]."""
    if not isinstance(event, ReportReady):
        raise NotificationUnreadable("It tells of no report")
    if event.status == _DONE:
        return NotificationState.DONE, f"DOKU says that {event.file_name} is there; it is looked for in the folder."
    status = event.status[:_WORD_LENGTH]
    return NotificationState.IGNORED, f"Its status is {status} and not DONE; nothing follows from it."
