"""A bill's state: by the rules, and the same for every order in which DOKU's words come."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.bill_life import BillEventKind, Happened, standing
from include.domain.states import BillState

START = datetime(2026, 11, 20, tzinfo=UTC)
_FROM_DOKU = {
    BillEventKind.REGISTERED, BillEventKind.REFUSED, BillEventKind.CARD_UPDATED, BillEventKind.CARD_REFUSED,
}  # fmt: skip


def _events(text: str) -> list[Happened]:
    """`wanted@0 asked@1 registered@5`: kinds with their minute; own acts are kept in the order of the text.

    Each wish has terms of its own; what is asked for has those of the wish before it, or with `asked!` older ones.
    """
    found, wishes = [], 0
    for no, (word, _, minute) in enumerate((word.partition("@") for word in text.split()), start=1):
        kind = word.rstrip("!")
        wishes += kind in ("wanted", "changed", "unwanted", "ended")
        found.append(
            Happened(
                BillEventKind(kind), no, START + timedelta(minutes=float(minute)), matter=f"{kind}{minute}", words=kind,
                fingerprint=f"card-{minute}", terms=f"terms-{wishes - word.endswith('!')}", asked_by="link",
                told=kind in _FROM_DOKU,
            )
        )  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("wanted@0", "wanted"),
        ("wanted@0 asked@1", "asked"),
        ("wanted@0 asked@1 registered@5", "active"),
        ("wanted@0 asked@1 refused@5", "refused"),
        ("wanted@0 refused@1", "refused"),
        ("wanted@0 asked@1 refused@5 registered@6", "active"),
        ("wanted@0 asked@1 registered@6 refused@7", "active"),  # a second try of the customer takes nothing away
        ("wanted@0 asked@1 refused@5 changed@6", "wanted"),
        ("wanted@0 asked@1 changed@2", "wanted"),  # the link has the old terms
        ("wanted@0 asked@1 changed@2 asked@3", "asked"),
        ("wanted@0 changed@2 asked!@3", "wanted"),  # DOKU was being asked while the merchant changed it
        ("wanted@0 asked@1 changed@2 registered@3", "active"),
        ("wanted@0 asked@1 registered@5 changed@6", "active"),
        ("wanted@0 unwanted@1", "cancelled"),
        ("wanted@0 asked@1 unwanted@2", "cancelled"),
        ("wanted@0 asked@1 unwanted@2 registered@3", "cancelling"),  # it lives at DOKU all the same
        ("wanted@0 asked@1 unwanted@4 registered@3", "cancelling"),  # ... also when it comes to light late
        ("wanted@0 asked@1 registered@3 unwanted@4", "cancelling"),
        ("wanted@0 asked@1 ended@4 registered@3", "ended"),
        ("wanted@0 asked@1 ended@4 registered@5", "cancelling"),  # by an old link, without our last day
        ("wanted@0 asked@1 ended@4 registered@5 cancelled@6", "ended"),
        ("wanted@0 asked@1 registered@3 unwanted@4 cancelled@5", "cancelled"),
        ("wanted@0 asked@1 unwanted@4 cancelled@5 registered@3", "cancelled"),  # DOKU had taken it out by then
        ("wanted@0 asked@1 unwanted@4 cancelled@5 registered@6", "cancelling"),
        ("wanted@0 asked@1 registered@3 cancelled@4", "cancelled"),  # by DOKU or a person, though it is wanted
        ("wanted@0 asked@1 registered@3 unwanted@4 cancelled@5 wanted@6", "wanted"),
        ("wanted@0 asked@1 registered@3 unwanted@4 cancelled@5 wanted@6 asked@7", "asked"),
        ("wanted@0 asked@1 registered@3 unwanted@4 cancelled@5 wanted@6 asked@7 registered@8", "active"),
        ("wanted@0 asked@1 registered@3 unwanted@4 cancelled@5 wanted@6 asked@7 refused@8", "refused"),
        ("wanted@0 asked@1 refused@2 unwanted@4 wanted@6 asked@7", "asked"),
        ("wanted@0 asked@1 registered@3 unwanted@4 wanted@5", "active"),  # thought better of it before DOKU knew
        ("wanted@0 asked@1 registered@3 ended@9", "ended"),
        ("wanted@0 asked@1 ended@9 registered@3", "ended"),
        ("wanted@0 asked@1 registered@3 ended@9 changed@10", "active"),  # the merchant gave it a later end
        ("wanted@0 asked@1 registered@3 card_refused@4", "active"),
    ],
)
def test_the_rules(text, state):
    assert standing(_events(text)).state == state


def test_an_answer_to_a_call_counts_by_its_place_and_not_by_its_time():
    asked, refused, again = _events("wanted@0 refused@1 wanted@1")
    own = replace(refused, told=False)
    assert standing([asked, own]).state == BillState.REFUSED
    assert standing([asked, own, again]).state == BillState.WANTED
    assert standing([asked, replace(own, at=START + timedelta(hours=1)), again]).state == BillState.WANTED


def test_what_else_is_known():
    found = standing(_events("wanted@0 asked@1 registered@5 changed@6 updated@7 card_updated@9 card_refused@10"))
    assert (found.asked_at, found.asked_by) == (START + timedelta(minutes=1), "link")
    assert found.asked_terms == "terms-2"
    assert found.registered_at == START + timedelta(minutes=5)
    assert found.card is not None
    assert found.card.fingerprint == "card-9"
    assert (found.over_at, found.reason) == (None, None)
    refused = standing(_events("wanted@0 asked@1 refused@5"))
    assert (refused.over_at, refused.reason) == (START + timedelta(minutes=5), "refused")


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("wanted@0 asked@1", "terms-1"),
        ("wanted@0 asked@1 registered@5 changed@6", "terms-1"),
        ("wanted@0 asked@1 registered@5 changed@6 updated@7", "terms-2"),
        # A file that was delivered before, and came to light only then.
        ("wanted@0 registered@5 changed@6 updated@7 asked!@8", "terms-2"),
        ("wanted@0 registered@5 changed@6 updated@7 unwanted@8 cancelled@9 wanted@10 asked@11", "terms-4"),
    ],
)
def test_which_terms_doku_has(text, terms):
    assert standing(_events(text)).asked_terms == terms


def test_a_bill_that_nobody_wanted_is_none():
    with pytest.raises(ValueError, match="never wanted"):
        standing(_events("registered@1"))


_OWN_STORIES = st.lists(
    st.sampled_from(["asked", "changed", "unwanted", "wanted", "cancelled", "updated", "ended"]), max_size=6
)
_DOKUS = st.lists(st.tuples(st.sampled_from(sorted(_FROM_DOKU)), st.integers(0, 40)), max_size=6, unique=True)


@st.composite
def stories(draw):
    """Our own acts in order, and what DOKU said at its own times."""
    own = [f"{kind}@{10 * number + draw(st.integers(0, 9))}" for number, kind in enumerate(draw(_OWN_STORIES), 1)]
    return _events(" ".join(["wanted@0", *own])), [f"{kind}@{minute}" for kind, minute in draw(_DOKUS)]


def test_a_bill_that_is_wanted_anew_is_registered_only_once_doku_says_so_again():
    before = "wanted@0 asked@1 registered@3 unwanted@4 cancelled@5"
    assert standing(_events(before)).registered_at == START + timedelta(minutes=3)
    for again in ("wanted@6", "wanted@6 asked@7", "wanted@6 asked@7 refused@8"):
        assert standing(_events(f"{before} {again}")).registered_at is None
    assert standing(_events(f"{before} wanted@6 asked@7 registered@9")).registered_at == START + timedelta(minutes=9)


@given(stories(), st.randoms(use_true_random=False))
def test_the_order_in_which_doku_tells_makes_no_difference(story, random):
    own, told = story
    first = [*own, *_told(told, own)]
    random.shuffle(told)
    second = _told(told, own)
    shuffled = [*own, *second]
    random.shuffle(shuffled)
    assert standing(first) == _renumbered(standing(shuffled), first)


def _told(told: list[str], own: list[Happened]) -> list[Happened]:
    return [
        replace(one, no=100 + number, said_by="DOKU", terms=None, asked_by=None)
        for number, one in enumerate(_events(" ".join(told)) if told else [])
    ]


def _renumbered(found, events):
    """The numbers under which DOKU's words were kept differ, and nothing else may."""
    if found.card is None:
        return found
    same = {(one.kind, one.matter): one for one in events}
    return replace(found, card=same[found.card.kind, found.card.matter])


@given(stories())
def test_hearing_the_same_again_makes_no_difference(story):
    own, told = story
    events = [*own, *_told(told, own)]
    assert standing([*events, *events]).state == standing(events).state


def test_while_a_success_stands_nothing_but_its_cancellation_or_end_takes_the_bill_from_doku():
    kinds = ["refused", "card_refused", "changed", "unwanted", "wanted", "asked", "updated", "card_updated"]
    for one, other in itertools.product(kinds, kinds):
        found = standing(_events(f"wanted@0 asked@1 registered@2 {one}@3 {other}@4")).state
        assert found in (BillState.ACTIVE, BillState.CANCELLING)
