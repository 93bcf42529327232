"""DOKU's answer to the question for a customer's tokens: read whole, or not at all.

An answer with an empty list says that the customer has no token. One without a list says nothing, and is never taken
for the first.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from include.doku.dialects import facts
from include.doku.dialects.json_fields import find
from include.domain.errors import ApiAnswerUnreadable, NotificationUnreadable
from include.domain.tokens import TokenSeen
from include.schemas.dialect import TokenFields

LONGEST_TOKEN: Final = 255
"""As the merchant's table takes it; DOKU's own are up to about a hundred characters long."""

_NETWORK_LENGTH: Final = 50


def read_tokens(body: Any, fields: TokenFields, customer_id: str) -> list[TokenSeen]:
    """The active tokens of an answer.

    Args:
        body: The JSON of it.
        fields: Where its facts stand.
        customer_id: Who was asked for.

    Raises:
        ApiAnswerUnreadable: There is no list, it is about another customer, or an item cannot be read: no token in it,
            one that is too long or is a card number, or one that stands there twice with different facts.
    """
    try:
        return _read(body, fields, customer_id)
    except NotificationUnreadable as caught:
        raise _unreadable(caught.message) from None


def _read(body: Any, fields: TokenFields, customer_id: str) -> list[TokenSeen]:
    if not isinstance(body, Mapping):
        raise _unreadable("it is no JSON object")
    told = facts.key(find(body, fields.customer_id), "customer_id")
    if told is not None and told != customer_id:
        raise _unreadable("it is about another customer")
    items = find(body, fields.items)
    if not isinstance(items, list):
        raise _unreadable(f"there is no list at {' or '.join(fields.items.paths)}")
    found: dict[str, TokenSeen] = {}
    for item in items:
        seen = _item(item, fields)
        if seen is None:
            continue
        if found.setdefault(seen.token, seen) != seen:
            raise _unreadable("one token stands in it twice, with different facts")
    return list(found.values())


def _item(item: Any, fields: TokenFields) -> TokenSeen | None:
    """One token; None for one that is not active."""
    if not isinstance(item, Mapping):
        raise _unreadable("an item of its list is no object")
    status = facts.key(find(item, fields.status), "status")
    if status is not None and status.upper() not in {word.upper() for word in fields.active_words}:
        return None
    token = facts.needed(find(item, fields.token), "token")
    if len(token) > LONGEST_TOKEN:
        raise _unreadable(f"a token has more than {LONGEST_TOKEN} characters")
    network = facts.shown(find(item, fields.network), "bank")
    return TokenSeen(
        token=token,
        channel=facts.shown(find(item, fields.channel), "channel"),
        masked_card=facts.shown(find(item, fields.masked_card), "masked_card"),
        network=network[:_NETWORK_LENGTH] if network else None,
        made_at=_moment(find(item, fields.made_at)),
    )


def _moment(value: Any) -> datetime | None:
    try:
        return facts.iso_moment(value, "made_at", UTC)
    except NotificationUnreadable:
        return None  # of use to the rule only; when we first saw it is as good


def _unreadable(words: str) -> ApiAnswerUnreadable:
    return ApiAnswerUnreadable(
        f"DOKU's answer about a customer's tokens cannot be used: {words}. Nothing was concluded from it. Compare "
        "section [tokens] of the dialect's file with an answer that DOKU shows you."
    )
