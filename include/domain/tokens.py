"""Which of a customer's tokens is charged: the profile's rule, pure. What is left ambiguous is never charged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from include.domain.networks import network_of_card, network_of_name
from include.domain.states import TokenChoice

Step = Literal["channel", "masked_card", "network", "newest"]
STEPS: Final[tuple[Step, ...]] = ("channel", "masked_card", "network", "newest")

_LAST: Final = 4
_FIRST: Final = 6


@dataclass(frozen=True)
class TokenSeen:
    """One token as DOKU's answer has it.

    Attributes:
        made_at: As DOKU says it, with a timezone; None where it does not.
    """

    token: str = field(repr=False)
    channel: str | None = None
    masked_card: str | None = None
    network: str | None = None
    made_at: datetime | None = None


@dataclass(frozen=True)
class Candidate:
    """One active token of a customer.

    Attributes:
        fingerprint: What it is known by here.
        since: When it was made, as DOKU says it, else when it was first seen.
    """

    fingerprint: str
    channel: str | None
    masked_card: str | None
    network: str | None
    since: datetime


@dataclass(frozen=True)
class Wish:
    """What the merchant's view says of a customer; None: no wish."""

    channel: str | None = None
    masked_card: str | None = None


@dataclass(frozen=True)
class TokenRule:
    """The profile's rule.

    Attributes:
        steps: What narrows the candidates down, one after the other.
        channels: Only these, in order of preference; empty: any, and none is preferred.
        networks: In order of preference; others come after them.
    """

    steps: Sequence[Step] = ("channel", "masked_card", "network")
    channels: Sequence[str] = ()
    networks: Sequence[str] = ()


@dataclass(frozen=True)
class Chosen:
    """What the rule makes of a customer's tokens.

    Attributes:
        fingerprint: Of the token to charge; None unless `choice` is `chosen`.
    """

    choice: TokenChoice
    fingerprint: str | None = None


def choose(candidates: Iterable[Candidate], rule: TokenRule, wish: Wish) -> Chosen:
    """Choose by the rule; the order in which the candidates come never matters.

    A step that has nothing to go by leaves all of them. When more than one is left after the last step, none is taken.
    """
    left = list(candidates)
    if not left:
        return Chosen(TokenChoice.NONE)
    for step in rule.steps:
        left = _STEPS[step](left, rule, wish)
    if not left:
        return Chosen(TokenChoice.UNFIT)
    if len(left) > 1:
        return Chosen(TokenChoice.AMBIGUOUS)
    return Chosen(TokenChoice.CHOSEN, left[0].fingerprint)


def same_card(wished: str, seen: str | None) -> bool:
    """Whether two masked numbers can be of one card: by the last four digits, and the first six as far as both show."""
    ours, theirs = _shown(wished), _shown(seen or "")
    if ours.last is None or ours.last != theirs.last:
        return False
    length = min(len(ours.first), len(theirs.first))
    return ours.first[:length] == theirs.first[:length]


def _by_channel(left: list[Candidate], rule: TokenRule, wish: Wish) -> list[Candidate]:
    if wish.channel:
        return [one for one in left if _name(one.channel) == _name(wish.channel)]
    if not rule.channels:
        return left
    order = [_name(channel) for channel in rule.channels]
    return _first([one for one in left if _name(one.channel) in order], lambda one: order.index(_name(one.channel)))


def _by_masked_card(left: list[Candidate], _: TokenRule, wish: Wish) -> list[Candidate]:
    if not wish.masked_card:
        return left
    return [one for one in left if same_card(wish.masked_card, one.masked_card)]


def _by_network(left: list[Candidate], rule: TokenRule, _: Wish) -> list[Candidate]:
    order = [network_of_name(network) for network in rule.networks]

    def rank(one: Candidate) -> int:
        network = network_of_name(one.network) or network_of_card(one.masked_card)
        return order.index(network) if network in order else len(order)

    return _first(left, rank)


def _newest(left: list[Candidate], _: TokenRule, __: Wish) -> list[Candidate]:
    return _first(left, lambda one: -one.since.timestamp())


_STEPS: Final[Mapping[Step, Callable[[list[Candidate], TokenRule, Wish], list[Candidate]]]] = {
    "channel": _by_channel,
    "masked_card": _by_masked_card,
    "network": _by_network,
    "newest": _newest,
}


def _first(left: list[Candidate], rank: Callable[[Candidate], float]) -> list[Candidate]:
    """All that share the best rank."""
    best = min((rank(one) for one in left), default=0)
    return [one for one in left if rank(one) == best]


def _name(channel: str | None) -> str:
    return (channel or "").strip().upper().replace("-", "_").replace(" ", "_")


@dataclass(frozen=True)
class _Shown:
    first: str
    last: str | None


def _shown(masked: str) -> _Shown:
    """The digits at both ends of a masked number; of a number that only has an end, that."""
    text = "".join(one for one in masked if one not in " -")
    head = text[: len(text) - len(text.lstrip("0123456789"))]
    tail = text[len(text.rstrip("0123456789")) :]
    if head == text:  # nothing is masked: the last four digits alone
        head = ""
    return _Shown(head[:_FIRST], tail[-_LAST:] if len(tail) >= _LAST else None)
