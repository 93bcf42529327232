"""A person's word that the merchant's set-up at DOKU is mended: what was declined for it is tried again."""

from datetime import timedelta

from include.domain.errors import NotAllowed
from include.domain.retry import LATE_WINDOW, SWITCHED_OFF, Decision
from include.domain.states import NextAction
from include.flows.context import FlowContext
from include.flows.people import refuse_nobody
from include.flows.plan_next import planner_of
from include.ledger.events import Note, add_decision
from include.ledger.plans import keep_later_decision, lock_plans, waiting_for_setup

RULE = "setup_mended"


def setup_mended(context: FlowContext, *, by: str, why: str) -> str:
    """Plan the charges that wait for the merchant's set-up for the first allowed day; the brake lets go.

    Where re-attempts are switched off they wait for the merchant's view from then on.

    Raises:
        NotAllowed: Nobody in particular says so, or nothing waits for it.
    """
    refuse_nobody(by, why)
    planner = planner_of(context)
    first = planner.limits.days.days.first_from(planner.first)
    late = timedelta(days=context.profile.billing.late_window_days)
    now, spent = context.clock(), 0
    context.step("setup mended: before it is kept")
    with context.ledger.write() as connection:
        lock_plans(connection, context.profile.billing_source)
        waiting = waiting_for_setup(connection, context.profile.name)
        for row in waiting:
            decision = Decision(NextAction.RETRY, RULE, f"{by} says that the set-up is mended: {why}", first)
            if not planner.limits.enabled:
                words = f"{by} says that the set-up is mended: {why}. It waits until the merchant's view asks for it"
                decision = Decision(NextAction.ASK, SWITCHED_OFF, words)
            if row.due_date + late < first:
                spent += 1
                words = f"{by} says that the set-up is mended, but by {first} the charge is too late to be sent"
                decision = Decision(NextAction.EXHAUSTED, LATE_WINDOW, words)
            keep_later_decision(connection, row.invoice_number, row.version + 1, decision, by, now)
        if waiting:
            note = Note(now, by, None, {"why": why, "charges": len(waiting), "planned_on": first, "too_late": spent})
            add_decision(connection, context.profile.name, "setup_mended", context.profile.name, note)
    context.step("setup mended: kept")
    if not waiting:
        raise NotAllowed(f"No charge of profile {context.profile.name} waits for the merchant's set-up.")
    late_words = f" {spent} are too late by then and stay closed." if spent else ""
    if not planner.limits.enabled:
        return f"{len(waiting) - spent} charges are tried again when the merchant's view asks for it.{late_words}"
    return f"{len(waiting) - spent} charges are tried again from {first} on.{late_words}"
