"""`tokens`: customers' tokens as they are known, and asking DOKU for them by hand."""

import argparse
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.commands.parts import Commands, LookUp, context_of, of_profile

if TYPE_CHECKING:
    from include.flows.context import FlowContext

_SHOWN = 20


def add(commands: Commands) -> None:
    """Add the command."""
    words = "say how customers' tokens stand; with --apply ask DOKU for them now and write the merchant's table"
    tokens = of_profile(commands, "tokens", words, _tokens)
    tokens.add_argument("--customer", metavar="ID", help="one customer's tokens instead; never the tokens themselves")
    tokens.add_argument("--apply", action="store_true", help="ask now; without it nothing is asked or written")


def _tokens(options: argparse.Namespace, look_up: LookUp) -> int:
    with context_of(options, look_up) as context:
        if options.customer:
            return _customer(context, options.customer)
        if options.apply:
            _ask(context)
        _stand(context)
        if not options.apply:
            from include.flows.tokens.customers import count_token_customers

            print(f"The view lists {count_token_customers(context):,} rows now. Nothing was asked; --apply asks DOKU.")
    return 0


def _ask(context: "FlowContext") -> None:
    from include.domain.states import RunKind
    from include.flows.tokens.ask import ask_for_tokens
    from include.flows.tokens.customers import list_token_customers
    from include.flows.tokens.settle import settle_tokens
    from include.flows.tokens.tell import tell_tokens
    from include.ledger.runs import RunRequest, open_run

    name = f"by hand {datetime.now(UTC).isoformat()}"
    request = RunRequest(RunKind.TOKENS, context.profile.name, name, context.today, context.today)
    run = open_run(context.ledger, request, context.clock())
    listed = list_token_customers(context, run)
    if listed.unusable or listed.contradictory:
        print(
            f"{listed.unusable:,} rows of the view cannot be used; {listed.contradictory:,} customers are listed with "
            "wishes that contradict each other."
        )
    ask_for_tokens(context, run)
    settle_tokens(context, run)
    counts = tell_tokens(context, run)
    print(f"The merchant's table: {counts.inserted:,} rows inserted, {counts.changed:,} changed.")


def _stand(context: "FlowContext") -> None:
    from include.domain.states import RunKind
    from include.flows.tokens.customers import account_of
    from include.ledger.runs import last_run
    from include.ledger.tokens import figures_of, losses_of, unanswered

    account = account_of(context)
    with context.ledger.read() as connection:
        run = last_run(connection, context.profile.name, RunKind.TOKENS)
        if run is None:
            print(f"DOKU was never asked for tokens of profile {context.profile.name}.")
            return
        figures = figures_of(connection, account, run.run_id, run.opened_at)
        losses = losses_of(connection, account, run.run_id, run.opened_at)
        silent = list(unanswered(connection, account, run.run_id, _SHOWN))
    print(f"Run {run.run_id} of {run.opened_at:%Y-%m-%d %H:%M} UTC: {figures['listed']:,} customers listed, ", end="")
    print(f"{figures['answered']:,} answered about, {figures['unanswered']:,} not.")
    print(f"  tokens: {figures['active']:,} active; since then {figures['new']:,} new, {figures['lost']:,} lost")
    print(
        f"  customers: {figures['without']:,} without a token, {figures['ambiguous']:,} with several and none chosen, "
        f"{figures['unfit']:,} with none that fits"
    )
    if losses.tokens:
        print(f"  not taken as lost yet: {losses.tokens:,} tokens, of {losses.emptied:,} customers all they had")
    for customer_id, words in silent:
        print(f"  {customer_id}: {words}")


def _customer(context: "FlowContext", customer_id: str) -> int:
    from include.flows.tokens.customers import account_of
    from include.ledger.tokens import question_of, tokens_of

    account = account_of(context)
    with context.ledger.read() as connection:
        question, tokens = question_of(connection, account, customer_id), tokens_of(connection, account, customer_id)
    if question is None:
        print(f"DOKU was never asked for tokens of customer {customer_id}.")
        return 1
    answered = f"{question['answered_at']:%Y-%m-%d %H:%M} UTC" if question["answered_at"] else "never"
    print(f"Customer {customer_id}: last answered about {answered}; choice: {question['choice'] or 'none made yet'}")
    for one in tokens:
        print(
            f"  {one['token_fingerprint'][:8]}  {one['state']}{'  chosen' if one['chosen'] else ''}  "
            f"{one['channel'] or '-'}  {one['masked_card'] or '-'}  since {one['first_seen_at']:%Y-%m-%d}"
            + (f", lost {one['lost_at']:%Y-%m-%d}" if one["lost_at"] else "")
        )
    return 0
