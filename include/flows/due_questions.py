"""Which attempts DOKU is asked about now."""

from datetime import timedelta

from include.doku.codes import ResponseCodes
from include.domain.states import BatchState
from include.flows.context import FlowContext
from include.ledger.batches import batches_in
from include.ledger.status_questions import Question, Spacing, due_questions


def questions(context: FlowContext) -> list[Question]:
    """The attempts that DOKU would be asked for now. ConfigError: codes or calendar cannot be used."""
    settings, now = context.profile.http, context.clock()
    spacing = Spacing(timedelta(seconds=settings.ask_after_seconds), timedelta(minutes=settings.ask_again_minutes))
    # Of a part that was approved a status cannot say how much was collected: that is a person's.
    partial = [code.code for code in ResponseCodes.of(context.profile).listed if code.partial]
    with context.ledger.read() as connection:
        batches = batches_in(connection, context.profile.name, [BatchState.DELIVERED])
        patience = timedelta(hours=settings.ask_overdue_hours)
        late = [one.batch_id for one in batches if context.calendar.cutoff_of(one.execute_date) + patience <= now]
        overdue = late if settings.ask_status_overdue else []
        return due_questions(
            connection, context.profile.name, now, spacing, overdue=overdue, not_with=partial, limit=settings.ask_most
        )


def has_questions(context: FlowContext) -> bool:
    """Whether a round would ask for anything; never where the profile does not ask."""
    return context.profile.http.ask_status and bool(questions(context))
