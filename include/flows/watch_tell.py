"""Telling people: each notice once through each channel, however many watchdogs look."""

from collections.abc import Callable

from include.domain.alert_text import Notice
from include.domain.errors import DokuError
from include.domain.watch import Level
from include.flows.context import FlowContext
from include.ledger.alerts import Due, due_notices, notice_failed, notice_sent, take_notice

Send = Callable[[str, Notice], None]
"""Sends a notice through the connection of an id. DokuError when it was not taken."""


def tell_alerts(context: FlowContext, send: Send) -> tuple[int, list[str]]:
    """Send what is due. What cannot be sent is tried again by the next look.

    Returns:
        How many were sent; and what kept the others from being sent, in words.
    """
    told, problems = 0, []
    with context.ledger.read() as connection:
        due = due_notices(connection, context.profile.name, context.clock())
    for one in due:
        with context.ledger.write() as connection:
            if not take_notice(connection, one, context.clock()):
                continue  # the other watchdog is at it
        context.step("watch: before people are told")
        try:
            send(one.channel, _notice(context, one))
        except DokuError as caught:
            problems.append(caught.message)
            with context.ledger.write() as connection:
                notice_failed(connection, one, caught.message)
            continue
        context.step("watch: people told")
        with context.ledger.write() as connection:
            notice_sent(connection, one, context.clock())
        told += 1
    return told, problems


def _notice(context: FlowContext, due: Due) -> Notice:
    profile = context.profile
    return Notice(
        key=f"{context.ledger.ledger_id}-{due.alert_id}-{due.level}",
        profile=profile.name,
        kind=due.kind,
        subject=due.subject,
        level=Level(due.level),
        words=due.words,
        action=due.action,
        runbook=f"{profile.watch.runbooks}{due.runbook}",
        late_since=due.late_since,
        zone=profile.timezone,
    )
