"""Second step: DOKU is asked for each customer's tokens, some at a time.

A question that got no answer, or one that cannot be read, concludes nothing. Killed, the step goes on where it was: a
customer who has been answered in this run is not asked again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from include.doku.dialects.choose import named_dialect
from include.doku.token_answers import read_tokens
from include.domain.errors import ApiError, ApiUnauthorised, ApiUnreachable
from include.domain.fingerprints import token_fingerprint
from include.domain.tokens import TokenSeen
from include.flows.context import FlowContext
from include.flows.tokens.customers import account_of
from include.ledger.runs import Run
from include.ledger.tokens import Asked, keep_asked, to_ask
from include.schemas.dialect import TokenFields


@dataclass(frozen=True)
class Answers:
    """What became of the questions: counts."""

    answered: int
    unanswered: int


def ask_for_tokens(context: FlowContext, run: Run) -> Answers:
    """Ask for every customer that this run lists and that it has no answer for yet.

    Raises:
        ApiUnauthorised: DOKU does not take Client-Id, key or time; nobody else is asked.
        ApiUnreachable: `tokens.stop_after` questions in a row got no answer; the rest is asked when the task is tried
            again.
        ConfigError: The dialect's file or the connection cannot be used.
    """
    settings, account = context.profile.tokens, account_of(context)
    fields = named_dialect(context.profile, settings.fields).tokens
    began, after, answered, unanswered, in_a_row = context.clock(), "", 0, 0, 0
    with ThreadPoolExecutor(settings.at_once, thread_name_prefix="tokens") as workers:
        while ids := _next(context, run, began, after):
            after = ids[-1]
            made = list(workers.map(lambda one: _ask(context, fields, one), ids))
            context.step("tokens: answered, not kept")
            with context.ledger.write() as connection:
                keep_asked(connection, account, [asked for asked, _ in made])
            context.step("tokens: answers kept")
            for _, error in made:
                in_a_row = 0 if error is None else in_a_row + 1
                answered, unanswered = answered + (error is None), unanswered + (error is not None)
                _refuse_to_go_on(error, in_a_row, settings.stop_after)
    return Answers(answered, unanswered)


def _next(context: FlowContext, run: Run, began: datetime, after: str) -> Sequence[str]:
    limit, account = 5 * context.profile.tokens.at_once, account_of(context)
    with context.ledger.read() as connection:
        return to_ask(connection, account, run.run_id, since=run.opened_at, before=began, after=after, limit=limit)


def _ask(context: FlowContext, fields: TokenFields, customer_id: str) -> tuple[Asked, ApiError | None]:
    asked_at = context.clock()
    try:
        # An id of its own for each question: under an old one DOKU would give its old answer.
        answer = context.api().get_tokens(customer_id, str(uuid4()))
        tokens = read_tokens(answer.body, fields, customer_id)
    except ApiError as caught:
        return Asked(customer_id, asked_at, None, caught.message), caught
    return Asked(customer_id, asked_at, _by_fingerprint(context, tokens)), None


def _by_fingerprint(context: FlowContext, tokens: Sequence[TokenSeen]) -> dict[str, TokenSeen]:
    return {token_fingerprint(context.ledger.fingerprint_key, one.token): one for one in tokens}


def _refuse_to_go_on(error: ApiError | None, in_a_row: int, most: int) -> None:
    if isinstance(error, ApiUnauthorised):
        raise error
    if error is not None and in_a_row >= most:
        raise ApiUnreachable(
            f"{in_a_row} questions for customers' tokens in a row came to nothing, the last one so: {error.message} "
            "Nothing was concluded from them; what was answered before is kept, and the task goes on there."
        )
