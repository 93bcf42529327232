"""What a bill is: a pure function of what happened to it, whatever the order in which it became known.

What the merchant wants and what we asked DOKU for happens here, one after the other. What DOKU says comes late, twice
and in any order; so it counts by its own time, and at one time by its strength. The rules:

1. A bill lives at DOKU from a registration that succeeded until DOKU has taken a cancellation that is not before it.
   A registration that failed takes nothing from one that succeeded.
2. A bill that lives is charged by DOKU, whatever the merchant wants: `active`, or `cancelling` while it is not wanted.
   So a registration that comes to light after a bill was given up brings it back as `cancelling`, never as `cancelled`;
   and so does one that is later than the end of a bill whose last day is over: DOKU has other terms than we know.
3. Of a bill that does not live, the last of our own acts counts: wanted, asked for, not wanted any more, ended; and a
   failure that is not before the last request makes it `refused`.
4. The card is that of the last success that DOKU told of, a registration or a change of card.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from include.domain.states import BillState


class BillEventKind(StrEnum):
    """What may happen to a bill. The value stands in `bill_event.kind`."""

    WANTED = "wanted"
    CHANGED = "changed"
    UNWANTED = "unwanted"
    ENDED = "ended"
    ASKED = "asked"
    UPDATED = "updated"
    CANCELLED = "cancelled"
    REGISTERED = "registered"
    REFUSED = "refused"
    CARD_UPDATED = "card_updated"
    CARD_REFUSED = "card_refused"


WISHES: Final = (BillEventKind.WANTED, BillEventKind.CHANGED, BillEventKind.UNWANTED, BillEventKind.ENDED)
"""What is decided here of a bill: by the merchant's view, a person, or its last day."""

_OWN: Final = (*WISHES, BillEventKind.ASKED)
_CARD: Final = (BillEventKind.REGISTERED, BillEventKind.CARD_UPDATED)


@dataclass(frozen=True)
class Happened:
    """Something that happened to a bill.

    Attributes:
        no: The order in which it was kept; compared among our own acts only.
        at: When it happened: DOKU's own time of what DOKU says, where it says one.
        matter: SHA-256 of what it says; decides where everything else is equal.
        told: By a notification, whose place in the order says nothing.
        fingerprint: Of the card's token, where there is one.
    """

    kind: BillEventKind
    no: int
    at: datetime
    matter: str = ""
    told: bool = False
    said_by: str = ""
    words: str = ""
    terms: str | None = None
    asked_by: str | None = None
    fingerprint: str | None = None
    masked_card: str | None = None


@dataclass(frozen=True)
class Standing:
    """What a bill is now.

    Attributes:
        reason: Why it is refused, cancelled or ended.
        asked_at: When DOKU was asked for it last.
        registered_at: Since when it lives at DOKU, if it does or did; None again once it is wanted anew.
        over_at: Since when it is refused, cancelled or ended.
        asked_terms: Digest of the terms that DOKU was told last.
        card: What the card is known from; None: no success was told of.
    """

    state: BillState
    reason: str | None
    asked_at: datetime | None
    asked_by: str | None
    asked_terms: str | None
    registered_at: datetime | None
    over_at: datetime | None
    card: Happened | None


def standing(events: Iterable[Happened]) -> Standing:
    """What the events make of a bill; the same for every order of those that DOKU told.

    Raises:
        ValueError: The bill was never wanted.
    """
    known = sorted(events, key=lambda one: (one.at, one.kind, one.matter))
    own = sorted((one for one in known if one.kind in _OWN), key=lambda one: one.no)
    wishes = [one for one in own if one.kind in WISHES]
    if not wishes:
        raise ValueError("a bill that was never wanted")
    asked = _last(own, BillEventKind.ASKED)
    told = _told_last(known)
    cancelled = _last(known, BillEventKind.CANCELLED)
    registered = [one for one in known if one.kind is BillEventKind.REGISTERED]
    living = [one for one in registered if cancelled is None or one.at > cancelled.at]
    state, decided_by = _state(wishes[-1], asked, cancelled, living, _last(known, BillEventKind.REFUSED))
    # Wanted anew after its end it is as new: nothing is expected of the time when DOKU did not have it.
    was = registered[-1] if registered and state is BillState.CANCELLED else None
    since = living[0] if living else was
    over = state in (BillState.REFUSED, BillState.CANCELLED, BillState.ENDED)
    cards = [one for one in known if one.kind in _CARD and (one.fingerprint or one.masked_card)]
    return Standing(
        state=state,
        reason=(decided_by.words or None) if decided_by and state not in _SPEAKS_FOR_ITSELF else None,
        asked_at=asked.at if asked else None,
        asked_by=asked.asked_by if asked else None,
        asked_terms=told.terms if told else None,
        registered_at=since.at if since else None,
        over_at=decided_by.at if over and decided_by else None,
        card=max(cards, key=lambda one: (one.at, one.kind is BillEventKind.CARD_UPDATED, one.matter), default=None),
    )


_SPEAKS_FOR_ITSELF: Final = (BillState.WANTED, BillState.ASKED, BillState.ACTIVE)


def _state(
    wish: Happened,
    asked: Happened | None,
    cancelled: Happened | None,
    living: Sequence[Happened],
    refused: Happened | None,
) -> tuple[BillState, Happened | None]:
    """The state, and the event that makes it so."""
    if wish.kind is BillEventKind.ENDED:
        return (BillState.CANCELLING if living and living[-1].at > wish.at else BillState.ENDED), wish
    if living:
        return (BillState.CANCELLING if wish.kind is BillEventKind.UNWANTED else BillState.ACTIVE), wish
    if wish.kind is BillEventKind.UNWANTED:
        return BillState.CANCELLED, cancelled or wish
    if cancelled is not None and not _after(cancelled, wish, asked):
        return BillState.CANCELLED, cancelled
    if refused is not None and not _after(refused, wish, asked):
        return BillState.REFUSED, refused
    # What was asked for with terms that were old by then is not what is wanted.
    pending = asked is not None and asked.no > wish.no and asked.terms == wish.terms
    return (BillState.ASKED if pending else BillState.WANTED), asked if pending else wish


def _told_last(events: Iterable[Happened]) -> Happened | None:
    """By which DOKU was told terms last.

    Only a bill that lives there is told other terms, and it is asked for again only after its end: what is kept as
    asked for in between was asked before, and came to light late, as a file whose delivery was unknown does.
    """
    found, lives = None, False
    for one in sorted(events, key=lambda one: one.no):
        if one.kind is BillEventKind.UPDATED:
            found, lives = one, True
        elif one.kind is BillEventKind.CANCELLED:
            lives = False
        elif one.kind is BillEventKind.ASKED and not lives:
            found = one
    return found


def _after(end: Happened, *acts: Happened | None) -> bool:
    """Whether one of our own acts came after that end."""
    return any(act is not None and (act.at > end.at if end.told else act.no > end.no) for act in acts)


def _last(events: Sequence[Happened], kind: BillEventKind) -> Happened | None:
    return next((one for one in reversed(events) if one.kind is kind), None)
