"""A person's word that an unusual loss of tokens is right."""

from include.domain.errors import NotAllowed
from include.domain.states import RunKind
from include.flows.context import FlowContext
from include.flows.people import refuse_nobody
from include.flows.tokens.customers import account_of
from include.flows.tokens.settle import ACCEPTED, is_unusual
from include.ledger.events import Note, add_decision
from include.ledger.runs import last_run
from include.ledger.tokens import lock_tokens, losses_of


def accept_token_losses(context: FlowContext, *, customers: int, by: str, why: str) -> str:
    """Let the last run of tokens go on that a brake stopped; bound to exactly whose and which tokens are gone.

    Args:
        customers: How many customers lose all their tokens, as the run said it.
        by: The person.
        why: The person's reason.

    Raises:
        NotAllowed: Nothing is stopped, or it is not so many by now.
    """
    refuse_nobody(by, why)
    account = account_of(context)
    with context.ledger.write() as connection:
        lock_tokens(connection, account)
        run = last_run(connection, account.profile, RunKind.TOKENS)
        losses = losses_of(connection, account, run.run_id, run.opened_at) if run else None
        if run is None or losses is None or not is_unusual(context, losses):
            raise NotAllowed(f"No loss of tokens of profile {account.profile} waits for anybody.")
        if losses.emptied != customers:
            raise NotAllowed(
                f"{losses.emptied:,} customers lose all their tokens, not {customers:,}. Look at them again: "
                f"`python -m include.cli tokens --profile {account.profile}`."
            )
        details = {"why": why, "customers": losses.emptied, "tokens": losses.tokens}
        note = Note(context.clock(), by, run.run_id, details)
        add_decision(connection, account.profile, ACCEPTED, losses.digest, note)
    return (
        f"The loss of {losses.tokens:,} tokens, of {losses.emptied:,} customers all they had, is accepted. Clear task "
        f"`settle` of that run of doku_tokens__{account.profile}: it takes them as lost and goes on."
    )
