"""Third step: what DOKU does not give any more is lost, unless that is unusual; and the rule chooses anew."""

from typing import Final

from include.domain.errors import TokensVanished
from include.domain.tokens import choose
from include.flows.context import FlowContext
from include.flows.tokens.customers import account_of
from include.ledger.effects import recorded
from include.ledger.events import Note, add_decision
from include.ledger.runs import Run
from include.ledger.tokens import (
    Losses,
    customers_after,
    figures_of,
    keep_choices,
    lock_tokens,
    lose,
    losses_of,
)

ACCEPTED: Final = "token_losses"
"""The kind of event that says that a person accepts losses."""

_PAGE: Final = 500


def settle_tokens(context: FlowContext, run: Run) -> dict[str, int]:
    """Conclude what the answers of a run say. Safe to repeat.

    Returns:
        Counts: listed, answered, unanswered, new, lost, active, ambiguous, unfit, without.

    Raises:
        TokensVanished: An unusual share of customers would lose all tokens at once, and nobody has accepted that.
    """
    account = account_of(context)
    with context.ledger.write() as connection:
        lock_tokens(connection, account)
        losses = losses_of(connection, account, run.run_id, run.opened_at)
        if is_unusual(context, losses) and not recorded(connection, account.profile, ACCEPTED, losses.digest):
            raise _vanished(context, losses)
        lose(connection, account, run.run_id, run.opened_at, context.clock())
    context.step("tokens: losses kept")
    choose_tokens(context)
    context.step("tokens: choices kept")
    return _record(context, run)


def is_unusual(context: FlowContext, losses: Losses) -> bool:
    """Whether a brake stands in the way of these losses."""
    settings = context.profile.tokens
    if settings.max_lost_share is None or losses.emptied <= settings.lost_least:
        return False
    return losses.emptied > settings.max_lost_share * losses.customers


def choose_tokens(context: FlowContext) -> None:
    """Apply the profile's rule to every customer that DOKU has answered about; keep what it changes."""
    account, rule, after = account_of(context), context.profile.tokens.rule, ""
    while True:
        with context.ledger.write() as connection:
            lock_tokens(connection, account)
            page = customers_after(connection, account, after, _PAGE)
            made = {one.customer_id: (one.was, choose(one.candidates, rule, one.wish)) for one in page}
            changed = {customer_id: now for customer_id, (was, now) in made.items() if was != now}
            keep_choices(connection, account, changed)
        if len(page) < _PAGE:
            return
        after = page[-1].customer_id


def _record(context: FlowContext, run: Run) -> dict[str, int]:
    """The figures of the run, once in the trail."""
    account, subject = account_of(context), f"run {run.run_id}"
    with context.ledger.write() as connection:
        lock_tokens(connection, account)  # before it is looked whether it is there: two copies keep it once
        figures = figures_of(connection, account, run.run_id, run.opened_at)
        if not recorded(connection, account.profile, "tokens", subject):
            note = Note(context.clock(), "tokens", run.run_id, figures)
            add_decision(connection, account.profile, "tokens", subject, note)
    return figures


def _vanished(context: FlowContext, losses: Losses) -> TokensVanished:
    share = losses.emptied / losses.customers
    return TokensVanished(
        f"{losses.emptied:,} of {losses.customers:,} customers would lose all their tokens at once ({share:.0%}; "
        f"tokens.max_lost_share is {context.profile.tokens.max_lost_share:.0%}). No token was taken as lost. Ask DOKU "
        "whether that is right. If it is: `python -m include.cli accept-token-losses "
        f"{losses.emptied} --profile {context.profile.name} --by ... --why ...`, then clear this task."
    )
