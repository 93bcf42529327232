"""The rule that chooses a customer's token: it never depends on the order, and never takes one of several."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.domain.states import TokenChoice
from include.domain.tokens import STEPS, Candidate, TokenRule, TokenSeen, Wish, choose, same_card

DAY = datetime(2026, 11, 20, tzinfo=UTC)
CARD, OVO, DEBIT = "CREDIT_CARD", "EMONEY_OVO", "DIRECT_DEBIT"


def token(name: str, channel: str | None = CARD, card: str | None = None, network: str | None = None, day: int = 0):
    return Candidate(name, channel, card, network, DAY + timedelta(days=day))


_channels = st.sampled_from([CARD, OVO, DEBIT, None])
_networks = st.sampled_from(["VISA", "MASTERCARD", "JCB", None])
_cards = st.sampled_from(["411111******1111", "411111******2222", "555555******1111", None])
_candidates = st.lists(
    st.builds(
        Candidate,
        st.uuids().map(str),
        _channels,
        _cards,
        _networks,
        st.integers(0, 3).map(lambda day: DAY + timedelta(days=day)),
    ),
    max_size=5,
    unique_by=lambda one: one.fingerprint,
)
_rules = st.builds(
    TokenRule,
    st.permutations(STEPS).flatmap(lambda steps: st.integers(0, len(steps)).map(lambda count: tuple(steps[:count]))),
    st.lists(st.sampled_from([CARD, OVO, DEBIT]), unique=True).map(tuple),
    st.lists(st.sampled_from(["VISA", "MASTERCARD", "JCB"]), unique=True).map(tuple),
)
_wishes = st.builds(Wish, st.sampled_from([None, CARD, OVO]), st.sampled_from([None, "1111", "411111******1111"]))


@given(candidates=_candidates, rule=_rules, wish=_wishes, data=st.data())
def test_the_order_never_matters(candidates, rule, wish, data):
    found = choose(candidates, rule, wish)
    assert choose(data.draw(st.permutations(candidates)), rule, wish) == found


@given(candidates=_candidates, rule=_rules, wish=_wishes)
def test_what_is_chosen_is_one_of_them_and_alone(candidates, rule, wish):
    found = choose(candidates, rule, wish)
    assert (found.fingerprint is not None) == (found.choice is TokenChoice.CHOSEN)
    assert (found.choice is TokenChoice.NONE) == (not candidates)
    if found.fingerprint is None:
        return
    (taken,) = [one for one in candidates if one.fingerprint == found.fingerprint]
    if "channel" in rule.steps and wish.channel:
        assert taken.channel == wish.channel
    elif "channel" in rule.steps and rule.channels:
        assert taken.channel in rule.channels
    if "masked_card" in rule.steps and wish.masked_card:
        assert str(taken.masked_card).endswith("1111")
    # A twin of it, alike in all that the rule looks at, leaves nobody to charge.
    twin = Candidate("twin", taken.channel, taken.masked_card, taken.network, taken.since)
    assert choose([*candidates, twin], rule, wish).choice is TokenChoice.AMBIGUOUS


@given(candidates=_candidates.filter(bool), rule=_rules)
def test_a_single_token_is_charged_unless_its_channel_is_not(candidates, rule):
    one = candidates[0]
    found = choose([one], rule, Wish())
    fits = "channel" not in rule.steps or not rule.channels or one.channel in rule.channels
    assert found.choice is (TokenChoice.CHOSEN if fits else TokenChoice.UNFIT)


@given(candidates=_candidates, wish=_wishes)
def test_without_a_step_several_are_ambiguous(candidates, wish):
    expected = [TokenChoice.NONE, TokenChoice.CHOSEN, TokenChoice.AMBIGUOUS][min(len(candidates), 2)]
    assert choose(candidates, TokenRule(steps=()), wish).choice is expected


_TWO_CARDS = [token("a", card="411111******1111"), token("b", card="555555******4444")]


@pytest.mark.parametrize(
    ("candidates", "rule", "wish", "expected"),
    [
        ([token("a", OVO), token("b")], TokenRule(channels=(CARD, OVO)), Wish(), "b"),
        ([token("a", OVO), token("b")], TokenRule(channels=(OVO, CARD)), Wish(), "a"),
        ([token("a", OVO), token("b")], TokenRule(channels=(CARD,)), Wish("emoney-ovo"), "a"),
        ([token("a", OVO)], TokenRule(channels=(CARD,)), Wish(), TokenChoice.UNFIT),
        ([token("a"), token("b", OVO)], TokenRule(), Wish(DEBIT), TokenChoice.UNFIT),
        ([token("a", None)], TokenRule(channels=(CARD,)), Wish(), TokenChoice.UNFIT),
        ([token("a", None)], TokenRule(), Wish(), "a"),
        ([token("a"), token("b")], TokenRule(), Wish(), TokenChoice.AMBIGUOUS),
        (_TWO_CARDS, TokenRule(), Wish(masked_card="****4444"), "b"),
        ([token("a", card="411111******1111"), token("b")], TokenRule(), Wish(masked_card="2222"), TokenChoice.UNFIT),
        (_TWO_CARDS, TokenRule(networks=("MasterCard",)), Wish(), "b"),
        ([token("a", network="JCB"), token("b", network="Visa")], TokenRule(networks=("VISA",)), Wish(), "b"),
        (
            [token("a", network="JCB"), token("b", network="Amex")], TokenRule(networks=("VISA",)), Wish(),
            TokenChoice.AMBIGUOUS,
        ),
        ([token("a", day=1), token("b", day=2)], TokenRule(), Wish(), TokenChoice.AMBIGUOUS),
        ([token("a", day=1), token("b", day=2)], TokenRule(steps=(*STEPS[:3], "newest")), Wish(), "b"),
        ([token("a", day=2), token("b", day=2)], TokenRule(steps=("newest",)), Wish(), TokenChoice.AMBIGUOUS),
        ([], TokenRule(), Wish(), TokenChoice.NONE),
    ],
)  # fmt: skip
def test_the_rule_by_example(candidates, rule, wish, expected):
    found = choose(candidates, rule, wish)
    assert (found.fingerprint or found.choice) == expected


@pytest.mark.parametrize(
    ("wished", "seen", "same"),
    [
        ("1111", "411111******1111", True),
        ("**** **** **** 1111", "411111******1111", True),
        ("4111******1111", "411111******1111", True),
        ("411112******1111", "411111******1111", False),
        ("411111******1111", "1111", True),
        ("2222", "411111******1111", False),
        ("111", "411111******1111", False),
        ("1111", None, False),
        ("", "411111******1111", False),
    ],
)
def test_masked_numbers_of_one_card(wished, seen, same):
    assert same_card(wished, seen) is same


def test_a_token_is_not_shown():
    assert "secret" not in repr(TokenSeen("secret-token"))
