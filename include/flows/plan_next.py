"""Reconcile, after the matching: what becomes of each charge whose attempt was declined, and when it is tried again."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from include.doku.codes import ResponseCode, ResponseCodes
from include.domain.networks import network_of_card
from include.domain.retry import STOPS, STRICTNESS, ClaimTerms, Code, Decision, Declined, Limits, Rules, decide
from include.domain.states import NextAction, ReportState
from include.flows.at_once import each_at_once
from include.flows.context import FlowContext
from include.ledger.plans import (
    CLOSED,
    PAID,
    Decline,
    Instrument,
    cancel_plans,
    declines_by_word,
    declines_of_report,
    instruments,
    keep_decisions,
    lock_plans,
    lock_plans_of,
    move_missed_pay_days,
    note_decided,
    pays_for_planned,
)
from include.ledger.reports import Report, batches_of_report, last_reading, note_planned, reports_in
from include.ledger.runs import last_claimed_date
from include.schemas.retry_rules import rules_of


@dataclass(frozen=True)
class Planner:
    """What every decision of a moment has in common.

    Attributes:
        first: The first execute date that a run to come can still claim for.
        made: Decisions by the facts that they follow from: on an ordinary day a thousand answers are of few kinds.
    """

    rules: Rules
    limits: Limits
    codes: ResponseCodes
    first: date
    late_window: timedelta
    made: dict[tuple[Declined, date], Decision] = field(default_factory=dict, repr=False, compare=False)

    def decide(self, one: Decline, known: Instrument | None) -> Decision:
        """What becomes of one charge, by one answer."""
        tries = known.tries if known else {}
        declined = Declined(
            code=as_code(self.codes.look_up(one.response_code)),
            execute_date=one.execute_date,
            attempt_no=one.attempt_no,
            tries_of_charge=max(one.tries_of_charge, 1),
            tries_in_period=one.tries_of_charge if one.tries_in_period is None else one.tries_in_period,
            on_token=tuple(sorted(known.all_tries)) if known else (),
            on_token_and_amount=tuple(sorted(tries.get((one.currency, one.amount), ()))),
            network=one.card_network or network_of_card(known.masked_card if known else None),
            advice_code=one.advice_code,
        )
        last = one.due_date + self.late_window
        decision = self.made.get((declined, last))
        if decision is None:
            decision = decide(declined, self.rules, self.limits, first=self.first, last=last)
            self.made[declined, last] = decision
        if one.ended is None or decision.action in STOPS:
            return decision
        rule, words = PAID if one.ended == "paid" else CLOSED
        return Decision(NextAction.CANCELLED, rule, words)


def plan_next_attempts(context: FlowContext, run_id: int | None) -> Counter[str]:
    """Decide on every answer that declined an attempt; end the plans of charges that are paid or closed.

    Of several answers to one attempt the strictest counts. Safe to repeat, and by two at once: each is decided on once.

    Returns:
        How many decisions of each action were made.

    Raises:
        ConfigError: The rules, the codes or the calendar cannot be used; nothing more was decided.
    """
    made: Counter[str] = Counter()
    with context.ledger.read() as connection:
        reports = reports_in(connection, context.profile.name, ReportState.INGESTED)
    planner = planner_of(context)
    context.step("plan next: before decisions are kept")
    with context.ledger.write() as connection:
        lock_plans(connection, context.profile.billing_source)
        after = ""
        while page := declines_by_word(connection, context.profile.name, after):
            made += _decide_page(connection, planner, page, run_id, context.clock())
            after = page[-1].invoice_number
    made += plan_reports(context, reports, run_id, planner)
    with context.ledger.write() as connection:
        lock_plans(connection, context.profile.billing_source)
        cancel_plans(connection, context.profile.name, run_id, context.clock())
        _move_missed(connection, context, planner, run_id)
    context.step("plan next: committed")
    return made


def plan_reports(
    context: FlowContext, reports: Sequence[Report], run_id: int | None, planner: Planner | None = None
) -> Counter[str]:
    """Decide on what reports declined, each once, and anew on one that is read again meanwhile.

    The merchant is told of it when told of the report.
    """
    made: Counter[str] = Counter()
    while left := _unplanned(context, reports):
        made += _plan_each(context, left, run_id, planner or planner_of(context))
    return made


def _unplanned(context: FlowContext, reports: Sequence[Report]) -> list[tuple[Report, int]]:
    """Those that are not decided on, each with the number of its last reading."""
    with context.ledger.read() as connection:
        readings = [(report, *last_reading(connection, report.report_id)) for report in reports]
    return [(report, reading) for report, reading, planned in readings if not planned]


def _plan_each(
    context: FlowContext, readings: Sequence[tuple[Report, int]], run_id: int | None, planner: Planner
) -> Counter[str]:
    # Whoever began to plan before these were matched has ended then; whoever begins later sees what they pay.
    with context.ledger.write() as connection:
        lock_plans(connection, context.profile.billing_source)
    made = each_at_once(context.ledger, readings, lambda each: _plan_report(context, *each, run_id, planner))
    return sum(made, Counter())


def _plan_report(
    context: FlowContext, report: Report, reading: int, run_id: int | None, planner: Planner
) -> Counter[str]:
    """Decide page by page on what a reading of a report declined."""
    source = context.profile.billing_source
    with context.ledger.read() as connection:
        batch_ids = batches_of_report(connection, report.report_id)
    made: Counter[str] = Counter()
    after = 0
    while True:
        with context.ledger.write() as connection:
            lock_plans_of(connection, source, batch_ids)
            page = _page_of_report(connection, report, reading, after)
            made += _decide_page(connection, planner, page, run_id, context.clock(), report.report_id)
        if not page:
            break
        context.step("plan next: a page is kept")
        after = page[-1].position
    with context.ledger.write() as connection:
        paid = pays_for_planned(connection, report.report_id)
        if paid:  # what ends there may be planned of any batch
            lock_plans(connection, source)
        else:
            lock_plans_of(connection, source, batch_ids)
        if last_reading(connection, report.report_id) == (reading, False):
            if paid:
                cancel_plans(connection, report.profile, run_id, context.clock(), report.report_id)
            note_planned(connection, report.report_id, reading, context.clock())
        note_decided(connection, made.total())
    return made


def _page_of_report(connection: Connection, report: Report, reading: int, after: int) -> list[Decline]:
    """Empty also where another copy of this task has done all of it meanwhile, or it was read again."""
    if last_reading(connection, report.report_id) != (reading, False):
        return []
    return declines_of_report(connection, report.report_id, report.profile, after)


def planner_of(context: FlowContext) -> Planner:
    """The rules of now. ConfigError: they cannot be used."""
    with context.ledger.read() as connection:
        claimed = last_claimed_date(connection, context.profile.name)
    today = context.today
    day = today + timedelta(days=1) if claimed is not None and claimed >= today else today
    retry = context.profile.retry
    return Planner(
        rules=rules_of(context.profile),
        limits=Limits(
            enabled=retry.enabled,
            spacing=retry.spacing_days,
            max_per_charge=retry.max_per_charge,
            max_per_period=retry.max_per_period,
            few=retry.few,
            days=context.attempt_days,
        ),
        codes=ResponseCodes.of(context.profile),
        first=context.calendar.execute_date(day, context.clock()),
        late_window=timedelta(days=context.profile.billing.late_window_days),
    )


def claim_terms(context: FlowContext, execute_date: date) -> ClaimTerms:
    """What a claim for an execute date may try again. ConfigError as `planner_of`."""
    retry, days = context.profile.retry, context.attempt_days
    return ClaimTerms(
        enabled=retry.enabled,
        day_allowed=days.allows(execute_date),
        pay_day=days.allows(execute_date, pay_day=True),
        max_per_charge=retry.max_per_charge,
        max_per_period=retry.max_per_period,
        rules=rules_of(context.profile),
    )


def as_code(found: ResponseCode) -> Code:
    """A response code as the rules see it."""
    meaning = found.meaning if found.listed else "not in codes.toml"
    return Code(found.code, found.class_, meaning, found.few, found.ends_mandate, found.by_advice_code)


def _move_missed(connection: Connection, context: FlowContext, planner: Planner, run_id: int | None) -> None:
    days = planner.limits.days
    pay_day = days.first_pay_day_from(planner.first) if planner.limits.enabled and days.pay_days else None
    if pay_day is not None:
        move_missed_pay_days(
            connection, context.profile.name, run_id, context.clock(),
            first=planner.first, pay_day=pay_day, late=planner.late_window,
        )  # fmt: skip


def _decide_page(
    connection: Connection,
    planner: Planner,
    page: Sequence[Decline],
    run_id: int | None,
    now: datetime,
    report_id: int | None = None,
) -> Counter[str]:
    longest = max((cap.days for cap in planner.rules.caps), default=0)
    oldest = min((one.execute_date for one in page), default=planner.first) - timedelta(days=longest)
    tokens = {one.token_fingerprint for one in page if one.token_fingerprint}
    nameless = {one.token_fingerprint for one in page if one.token_fingerprint and one.card_network is None}
    known = instruments(connection, tokens, oldest, nameless)
    decided: dict[str, tuple[Decline, Decision]] = {}
    for one in page:
        decision = planner.decide(one, known.get(one.token_fingerprint or ""))
        if one.invoice_number in decided:
            if decision.is_stricter_than(decided[one.invoice_number][1]):
                decided[one.invoice_number] = (one, decision)
        elif one.strictness is None or STRICTNESS[decision.action] > one.strictness:
            decided[one.invoice_number] = (one, decision)
    keep_decisions(connection, list(decided.values()), run_id, now, report_id)
    return Counter(str(decision.action) for _, decision in decided.values())
