"""Asking DOKU what became of attempts that stay unknown: a second witness, never above a report.

Asked are attempts whose report says neither paid nor declined, and, where the profile says so, those of batches on
which no report came in time. An answer that says plainly that money moved, or that it did not, is kept as a testimony
with the witness `status`; should a report say otherwise later, that is a break. All else is noted and asked again, at
growing distances. Nothing here makes a further attempt: what is declined goes the way of every declined attempt.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from include.doku.codes import ResponseCodes
from include.doku.statuses import TransactionStatus, Verdict, judge_status, read_status
from include.domain.errors import ApiAnswerUnreadable, ApiError, ApiRefused, ApiUnauthorised, ConfigError, NotAllowed
from include.domain.states import BEFORE_LEAVING, OutcomeStatus
from include.flows.context import FlowContext
from include.flows.due_questions import questions
from include.flows.reconcile import conclude_batches
from include.flows.settle import over
from include.flows.tell_merchant import tell_testimonies
from include.ledger.breaks import judge_amount
from include.ledger.claims import lock_claims
from include.ledger.matching import lock_matching
from include.ledger.status_questions import Question, keep_answer
from include.ledger.testimonies import AttemptNow, Testimony, find_attempt, keep_testimony

WITNESS: Final = "status"
_ACTOR: Final = "ask_status"
_GIVE_UP_AFTER: Final = 3
"""So many questions in a row that DOKU does not answer end a round: the rest would fare no better."""


@dataclass(frozen=True)
class Answered:
    """One question, and what it came to; `outcome`: what it decided, None for nothing."""

    invoice_number: str
    outcome: OutcomeStatus | None
    words: str


@dataclass(frozen=True)
class Round:
    """One round of questions; `problem`: why it ended early, in words."""

    answers: tuple[Answered, ...] = ()
    problem: str | None = None
    clock_problem: str | None = None


@dataclass(frozen=True)
class _Reply:
    """What came back: HTTP status, DOKU's word, what it makes of the attempt, and all of it as read."""

    http_status: int | None
    word: str | None
    verdict: Verdict
    found: TransactionStatus | None = None


def ask_status(context: FlowContext) -> Round:
    """Put the questions that are due, and keep the answers. Safe to repeat, and to break off anywhere.

    DOKU's silence is no error here: it is noted with the question, told by the watchdog, and the next round asks again.

    Raises:
        LedgerError: The ledger cannot be used.
        ConfigError: Codes or calendar cannot be used.
    """
    answers: list[Answered] = []
    silent, codes = 0, ResponseCodes.of(context.profile)
    for question in questions(context):
        answered, failed = _ask(context, question, codes)
        answers.append(answered)
        silent = silent + 1 if failed else 0
        if silent == _GIVE_UP_AFTER:
            return Round(tuple(answers), answered.words, _clock_problem(context))
    return Round(tuple(answers), None, _clock_problem(context) if answers else None)


def ask_and_conclude(context: FlowContext) -> Round:
    """A round by hand: what it decides is told to the merchant at once, as `settle` does."""
    found = ask_status(context)
    if any(one.outcome is not None for one in found.answers):
        conclude_batches(context, None)
        tell_testimonies(context)
    return found


def look_up_status(context: FlowContext, invoice_number: str) -> str:
    """Ask DOKU for one attempt and keep nothing: what it answers, and what that would decide.

    Raises:
        NotAllowed: The profile has no such attempt, or it has not left.
        ApiError: DOKU does not answer, or says no.
    """
    attempt = _attempt(context, invoice_number)
    answer = context.api().status(invoice_number)
    found = read_status(answer.body, attempt.currency)
    verdict = _verdict(context, found, attempt.invoice_number, ResponseCodes.of(context.profile))
    told = f"{found.amount:,} {found.currency}" if found.amount is not None else "no amount"
    means = f"It would be {verdict.outcome}" if verdict.outcome is not None else "It decides nothing"
    return (
        f"DOKU says of {invoice_number}: {found.word}, code {found.response_code or 'none'}, {told}. {means} "
        f"({verdict.words}). By our books it is {attempt.status or 'awaiting'}."
    )


def _attempt(context: FlowContext, invoice_number: str) -> AttemptNow:
    with context.ledger.read() as connection:
        attempt = find_attempt(connection, context.profile.name, invoice_number)
    if attempt is None:
        raise NotAllowed(f"Profile {context.profile.name} has no attempt with invoice number {invoice_number}.")
    if attempt.batch_state in BEFORE_LEAVING:
        raise NotAllowed(f"Attempt {invoice_number} has not left: DOKU cannot know it.")
    return attempt


def _ask(context: FlowContext, question: Question, codes: ResponseCodes) -> tuple[Answered, bool]:
    reply, failed = _reply(context, question, codes)
    now = context.clock()
    context.step("ask status: before the answer is kept")
    answered = _keep(context, question, reply, now)
    context.step("ask status: answer kept")
    return answered, failed


def _reply(context: FlowContext, question: Question, codes: ResponseCodes) -> tuple[_Reply, bool]:
    """What DOKU answers; and whether it did not."""
    try:
        answer = context.api().status(question.invoice_number)
        found = read_status(answer.body, question.currency)
    except (ApiUnauthorised, ConfigError) as caught:
        return _Reply(getattr(caught, "http_status", None), None, Verdict(None, caught.message)), True
    except (ApiRefused, ApiAnswerUnreadable) as caught:
        words = "DOKU knows no transaction of this number" if caught.http_status == 404 else caught.message
        return _Reply(caught.http_status, None, Verdict(None, words)), False
    except ApiError as caught:
        return _Reply(caught.http_status, None, Verdict(None, caught.message)), True
    verdict = _verdict(context, found, question.invoice_number, codes)
    return _Reply(answer.http_status, found.word, verdict, found), False


def _verdict(context: FlowContext, found: TransactionStatus, invoice_number: str, codes: ResponseCodes) -> Verdict:
    if found.reference != invoice_number:
        return Verdict(None, f"{found.word} of {found.reference or 'no number'}: not of the attempt that was asked for")
    return judge_status(found, codes, failed_is_final=context.profile.http.failed_is_final)


def _keep(context: FlowContext, question: Question, reply: _Reply, now: datetime) -> Answered:
    profile = context.profile.name
    with context.ledger.write() as connection:
        lock_claims(connection, context.profile.billing_source)
        lock_matching(connection, profile)
        attempt = find_attempt(connection, profile, question.invoice_number)
        outcome, words = _decided(context, attempt, reply, now)
        keep_answer(
            connection, profile, question.invoice_number, now,
            http_status=reply.http_status, answer=reply.word, words=words,
        )  # fmt: skip
        if outcome is not None and reply.found is not None:
            found = reply.found
            names = ("response_code", "response_message", "approval_code", "masked_card", "bank")
            said = Testimony(
                question.invoice_number, WITNESS, outcome, _ACTOR, now, f"DOKU's status call: {words}",
                amount=found.amount, answer={name: getattr(found, name) for name in names},
            )  # fmt: skip
            keep_testimony(connection, profile, said, "DOKU's status call says what became of it")
            if outcome is OutcomeStatus.PAID and found.amount is not None:
                currency = found.currency or question.currency
                judge_amount(connection, profile, question.invoice_number, found.amount, currency, now)
    return Answered(question.invoice_number, outcome, words)


def _decided(
    context: FlowContext, attempt: AttemptNow | None, reply: _Reply, now: datetime
) -> tuple[OutcomeStatus | None, str]:
    """What an answer decides by now: nothing any more where a report, or a person, was quicker."""
    outcome, words = reply.verdict.outcome, reply.verdict.words
    if outcome is None or attempt is None:
        return None, words
    if attempt.status not in (None, OutcomeStatus.UNKNOWN):
        return None, f"{words}; it was {attempt.status} by then"
    if outcome is OutcomeStatus.DECLINED and now < over(context, attempt.execute_date):
        return None, f"{words}; its execute date {attempt.execute_date} is not over, so that DOKU may still charge it"
    return outcome, words


def _clock_problem(context: FlowContext) -> str | None:
    try:
        return context.api().clock_problem
    except ConfigError:
        return None
