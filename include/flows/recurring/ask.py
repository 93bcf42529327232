"""What was expected and did not come: asked for, kept as a second witness, shown as missing until somebody knows.

The expectation finds what was lost on the way. Where the profile says by which id, DOKU is asked for it; what is still
without an answer is a break, which its coming closes.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from include.doku.codes import ResponseCodes
from include.doku.dialects.facts import YEARS
from include.doku.statuses import TransactionStatus, Verdict, judge_status, read_status
from include.domain.bill_judgement import Expected
from include.domain.calendar import local_date
from include.domain.errors import ApiAnswerUnreadable, ApiError, ApiRefused, ApiUnauthorised, ConfigError
from include.domain.states import STRENGTH, OutcomeStatus
from include.flows.context import FlowContext
from include.flows.recurring.terms import reader_of, terms_of
from include.ledger.bill_breaks import open_missing
from include.ledger.bill_charges import tie
from include.ledger.bill_payments import Settled, judge, lock_charges, transaction_now
from include.ledger.bill_questions import (
    Known,
    Silent,
    asked_before,
    declined_charges,
    silent_charges,
    unknown_transactions,
)
from include.ledger.bill_testimonies import keep_said
from include.ledger.status_questions import Spacing, keep_answer
from include.ledger.testimonies import find_attempt

_NOT_FOUND: Final = 404
_GIVE_UP_AFTER: Final = 3
"""So many questions in a row that DOKU does not answer end a round: the rest would fare no better."""

_LOOK_BACK: Final = timedelta(days=366)
_ASK_BACK: Final = timedelta(days=62)
"""A charge that is older is a person's: its break says so."""


@dataclass(frozen=True)
class _Question:
    """What DOKU is asked: for a charge that it was to make, or for a transaction of its own."""

    asked_by: str
    subject: str
    billing_number: str
    currency: str
    charge: Expected | None = None


@dataclass(frozen=True)
class AskedNow:
    """What asking came to.

    Attributes:
        asked: Questions put.
        decided: Those whose answer decided something.
        missing: Breaks that are new.
        problem: Why the round ended early, in words.
    """

    asked: int = 0
    decided: int = 0
    missing: int = 0
    problem: str | None = None


def ask_for_charges(context: FlowContext) -> AskedNow:
    """Ask for what is due, keep the answers, and show what is missing. Safe to repeat, and to break off anywhere.

    DOKU's silence is no error here: it is noted with the question, and the next round asks again.

    Raises:
        LedgerError: The ledger cannot be used.
        ConfigError: The codes cannot be used.
    """
    done = AskedNow()
    silent = 0
    for question in _due(context):
        decided, problem = _ask(context, question)
        done = replace(done, asked=done.asked + 1, decided=done.decided + decided)
        silent = silent + 1 if problem else 0
        if silent == _GIVE_UP_AFTER:
            done = replace(done, problem=problem)
            break
    return replace(done, missing=_show_missing(context))


def _due(context: FlowContext) -> list[_Question]:
    """Those who were never asked for go first; at most `http.ask_most` in all."""
    settings, now, profile = context.profile.http, context.clock(), context.profile.name
    spacing = Spacing(timedelta(seconds=settings.ask_after_seconds), timedelta(minutes=settings.ask_again_minutes))
    wanted: list[_Question] = []
    with context.ledger.read() as connection:
        if settings.ask_status:
            known = unknown_transactions(connection, profile, now - spacing.first_after)
            wanted += [_of_transaction(one) for one in known]
        if context.profile.recurring.ask_by:
            wanted += [_of_charge(context, one.charge) for one in _late(context, connection, _ASK_BACK)]
            wanted += _declined(context, connection)
        before = asked_before(connection, profile, [one.subject for one in wanted])
    due = [one for one in wanted if one.subject not in before or before[one.subject].is_due(now, spacing)]
    never = datetime.min.replace(tzinfo=now.tzinfo)
    due.sort(key=lambda one: (before[one.subject].last if one.subject in before else None) or never)
    return due[: settings.ask_most]


def _late(context: FlowContext, connection: Connection, back: timedelta) -> list[Silent]:
    """Charges that should have come by now."""
    patience = timedelta(hours=context.profile.recurring.expected_hours)
    last = (context.clock() - patience).astimezone(context.profile.zone).date()
    found = silent_charges(connection, context.profile.name, context.today - back, last)
    return [one for one in found if _begins(context, one.charge.expected_on) + patience <= context.clock()]


def _begins(context: FlowContext, day: date) -> datetime:
    return datetime.combine(day, time(0), context.profile.zone)


def _declined(context: FlowContext, connection: Connection) -> list[_Question]:
    """Once, when DOKU has no day left to try again on: a notification of a later try may be lost."""
    settings = context.profile.recurring
    if not settings.ask_declined:
        return []
    last = context.today - timedelta(days=settings.match_days + 1)
    found = declined_charges(connection, context.profile.name, last - timedelta(days=settings.match_days), last)
    questions = [_of_charge(context, one) for one in found]
    before = asked_before(connection, context.profile.name, [one.subject for one in questions])
    over = {one.charge_id: _begins(context, one.expected_on + timedelta(days=settings.match_days + 1)) for one in found}
    return [
        one for one in questions if (seen := before.get(one.subject)) is None or _before(seen.last, over[one.subject])
    ]


def _before(last: datetime | None, moment: datetime) -> bool:
    return last is None or last < moment


def _of_charge(context: FlowContext, charge: Expected) -> _Question:
    asked_by = context.profile.recurring.asked_by(charge.billing_number, charge.expected_on)
    return _Question(asked_by, charge.charge_id, charge.billing_number, charge.currency, charge)


def _of_transaction(known: Known) -> _Question:
    return _Question(known.reference, known.reference, known.billing_number, known.currency)


def _ask(context: FlowContext, question: _Question) -> tuple[bool, str | None]:
    """Whether the answer decided something; and why there is no answer, in words."""
    http_status, found, verdict, moment, problem = _answer(context, question)
    now, profile = context.clock(), context.profile.name
    context.step("ask for charges: before the answer is kept")
    with context.ledger.write() as connection:
        lock_charges(connection, profile)
        words = verdict.words
        decided = False
        if found is not None and verdict.outcome is not None:
            decided, words = _keep(context, connection, question, found, verdict, moment)
        keep_answer(
            connection, profile, question.subject, now, http_status=http_status,
            answer=found.word if found is not None else None, words=words,
        )  # fmt: skip
    context.step("ask for charges: answer kept")
    return decided, problem


def _answer(
    context: FlowContext, question: _Question
) -> tuple[int | None, TransactionStatus | None, Verdict, datetime | None, str | None]:
    """HTTP status, what was read, what it makes of it, DOKU's time of the transaction; and why there is no answer."""
    try:
        answer = context.api().status(question.asked_by)
        found = read_status(answer.body, question.currency)
    except (ApiUnauthorised, ConfigError) as caught:
        return getattr(caught, "http_status", None), None, Verdict(None, caught.message), None, caught.message
    except (ApiRefused, ApiAnswerUnreadable) as caught:
        unknown = caught.http_status == _NOT_FOUND
        words = "DOKU knows no such transaction" if unknown else caught.message
        return caught.http_status, None, Verdict(None, words), None, None
    except ApiError as caught:
        return caught.http_status, None, Verdict(None, caught.message), None, caught.message
    codes = ResponseCodes.of(context.profile)
    verdict = judge_status(found, codes, failed_is_final=context.profile.http.failed_is_final)
    return answer.http_status, found, verdict, _moment(answer.body), None


def _moment(body: Any) -> datetime | None:
    """When DOKU made the transaction (`transaction.date`, UTC [CHK, certain])."""
    transaction = body.get("transaction") if isinstance(body, Mapping) else None
    text = transaction.get("date") if isinstance(transaction, Mapping) else None
    with suppress(TypeError, ValueError):
        found = datetime.fromisoformat(text)  # type: ignore[arg-type]
        return found if found.tzinfo is not None and found.year in YEARS else None
    return None


def _keep(
    context: FlowContext,
    connection: Connection,
    question: _Question,
    found: TransactionStatus,
    verdict: Verdict,
    moment: datetime | None,
) -> tuple[bool, str]:
    """Keep what DOKU says; whether it decided something, and in words what."""
    profile, charge = context.profile, question.charge
    reference = _reference(question, found)
    known = transaction_now(connection, profile.name, reference) if charge is not None and reference else None
    if known is not None and not _says_more(question, verdict, known):
        return False, f"{verdict.words}: of transaction {reference}, which is known already"
    if reference is not None and find_attempt(connection, profile.name, reference) is not None:
        return False, f"{verdict.words}: of {reference}, an attempt of a batch; its report decides"
    # Without a day it is the same id for every charge of the bill.
    if charge is not None and known is None and "{day:" not in profile.recurring.ask_by:
        if moment is None:
            return False, f"{verdict.words}: of a transaction that does not say of which day it is"
        if reference is None and not _is_of(context, connection, charge, moment):
            return False, f"{verdict.words}: of a transaction of {local_date(moment, profile.zone)}, another charge's"
    if charge is None and reference not in (None, question.subject):
        return False, f"{verdict.words}: of {reference}, and not of the transaction that was asked for"
    now = context.clock()
    values = {
        "profile": profile.name, "billing_source": profile.billing_source,
        "reference": reference if charge is not None else question.subject,
        "billing_number": question.billing_number,
        "expected_on": charge.expected_on if charge is not None and known is None else None,
        "witness": "status", "status": str(verdict.outcome), "word": found.word[:20], "succeeded": None,
        "response_code": found.response_code, "response_message": found.response_message,
        "approval_code": found.approval_code, "customer_id": None, "amount": found.amount,
        "currency": found.currency or question.currency,
        "charged_on": local_date(moment, profile.zone) if moment is not None else None,
        "masked_card": found.masked_card, "bank": found.bank, "said_by": "DOKU", "said_at": moment or now,
        "kept_at": now, "notification_id": None, "run_id": None,
        "evidence": f"its status call, asked by {question.asked_by}: {verdict.words}",
    }  # fmt: skip
    keep_said(connection, values)
    key = [(charge.billing_number, charge.expected_on)] if charge is not None else []
    about = {str(values["reference"])} if values["reference"] else set()
    judge(connection, terms_of(context), reader_of(context), about, key)
    return True, verdict.words


def _says_more(question: _Question, verdict: Verdict, known: Settled) -> bool:
    """Whether an answer says of a transaction of that bill what outweighs all that was said of it."""
    same = known.billing_number == question.billing_number
    return same and verdict.outcome is not None and STRENGTH[verdict.outcome] > STRENGTH[known.status]


def _is_of(context: FlowContext, connection: Connection, charge: Expected, moment: datetime) -> bool:
    """Whether what DOKU did then belongs to that charge, and not to another one of its bill."""
    charged_on = local_date(moment, context.profile.zone)
    found, _ = tie(connection, terms_of(context), charge.billing_number, charged_on)
    return found is not None and found.charge_id == charge.charge_id


def _reference(question: _Question, found: TransactionStatus) -> str | None:
    """DOKU's own reference; what we asked by is none."""
    ours = {question.asked_by, question.subject} if question.charge is not None else set()
    return None if found.reference in ours or found.reference is None else found.reference[:64]


def _show_missing(context: FlowContext) -> int:
    """Breaks for what is late and was asked for in vain; a bill that was over by then owes nothing for that day."""
    profile, terms = context.profile, terms_of(context)
    context.step("ask for charges: before what is missing is shown")
    with context.ledger.write() as connection:
        lock_charges(connection, profile.name)
        late = _late(context, connection, _LOOK_BACK)
        before = asked_before(connection, profile.name, [one.charge.charge_id for one in late])
        asks = bool(profile.recurring.ask_by)
        oldest = context.today - _ASK_BACK
        shown = [one for one in late if not asks or one.charge.charge_id in before or one.charge.expected_on < oldest]
        over = [one for one in shown if _was_over(context, one)]
        for one in over:
            keep_said(connection, _never_charged(context, one))
        judge(connection, terms, reader_of(context), set(), [_key(one.charge) for one in over])
        left = [one.charge for one in shown if one not in over]
        words = "DOKU should have charged it, and neither said so nor knew when asked" if asks else (
            "DOKU should have charged it, and has not said what became of it"
        )  # fmt: skip
        new = open_missing(connection, profile.name, left, words, terms.at)
    context.step("ask for charges: what is missing is shown")
    return new


def _was_over(context: FlowContext, one: Silent) -> bool:
    return one.over_at is not None and local_date(one.over_at, context.profile.zone) <= one.charge.expected_on


def _never_charged(context: FlowContext, one: Silent) -> dict[str, Any]:
    """By rule: the bill was over on that day, and nothing came."""
    now, charge = context.clock(), one.charge
    return {
        "profile": context.profile.name, "billing_source": context.profile.billing_source, "reference": None,
        "billing_number": charge.billing_number, "expected_on": charge.expected_on, "witness": "rule",
        "status": str(OutcomeStatus.WITHDRAWN), "currency": charge.currency, "said_by": "rule", "said_at": one.over_at,
        "kept_at": now, "evidence": "the bill was over on that day, and no charge of it came",
    }  # fmt: skip


def _key(charge: Expected) -> tuple[str, date]:
    return charge.billing_number, charge.expected_on
