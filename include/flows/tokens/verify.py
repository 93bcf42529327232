"""What `verify` asks about tokens: one chosen at most, and the merchant's table says what the ledger has told it."""

from collections import Counter
from collections.abc import Iterator

from include.billing.tokens_table import known_tokens
from include.domain.fingerprints import token_fingerprint
from include.domain.states import TokenState
from include.flows.context import FlowContext
from include.flows.tokens.customers import account_of
from include.ledger.tokens import told_tokens


def findings_of_tokens(context: FlowContext) -> Iterator[str]:
    """Everything that is wrong with tokens, a sentence each. Raises as `known_tokens`."""
    if not context.profile.has_tokens:
        return
    account, table = account_of(context), context.profile.billing.tokens
    told = told_tokens(context.ledger, account)
    chosen = Counter(customer_id for (customer_id, _), (_, is_chosen, _) in told.items() if is_chosen)
    for customer_id in sorted(one for one, count in chosen.items() if count > 1):
        yield f"Customer {customer_id} has {chosen[customer_id]} tokens that are chosen; one at most may be."
    seen = set()
    for row in known_tokens(context.billing(), account.billing_source, account.profile, table=table):
        key = (row["customer_id"], token_fingerprint(context.ledger.fingerprint_key, row["token"]))
        seen.add(key)
        state, is_chosen, is_told = told.get(key, (None, False, True))
        if state is None:
            yield f"{table} has a token {_named(key)} that this ledger does not know."
        elif is_told and (row["status"], bool(row["chosen"])) != (state, is_chosen):
            yield (
                f"{table} says {row['status']}{' and chosen' if row['chosen'] else ''} of the token {_named(key)}; the "
                f"ledger has told it {state}{' and chosen' if is_chosen else ''}."
            )
    active = {key for key, (state, _, is_told) in told.items() if is_told and state == TokenState.ACTIVE}
    for key in sorted(active - seen):  # lost ones the merchant may have cleared away
        yield f"{table} has no token {_named(key)}, of which the ledger has told it."


def _named(key: tuple[str, str]) -> str:
    customer_id, fingerprint = key
    return f"with the fingerprint {fingerprint[:8]} of customer {customer_id}"
