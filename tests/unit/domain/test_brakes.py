"""The brakes: a pure rule over figures and limits."""

from datetime import date, timedelta
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.brakes import BrakeLimits, Figures, judge

TODAY = date(2026, 11, 20)
OFF = BrakeLimits(None, None, None, None, None, None, history_least=5, key_expires_within_days=None)

counts = st.integers(1, 10**6)
amounts = st.integers(1, 10**13)


def _figures(**changes) -> Figures:
    usual = {
        "count": 100, "total": 10_000_000, "largest": 500_000, "listed": 110, "quarantined": 10, "most_per_customer": 2,
        "history": (), "key_ends": TODAY + timedelta(days=60), "today": TODAY,
    }  # fmt: skip
    return Figures(**{**usual, **changes})


def _limits(**changes) -> BrakeLimits:
    return BrakeLimits(**{**OFF.__dict__, **changes})


def _kinds(figures: Figures, limits: BrakeLimits) -> list[str]:
    return [one.kind for one in judge(figures, limits)]


FIGURES = st.builds(
    Figures,
    count=st.integers(0, 10**6),
    total=st.integers(0, 10**13),
    largest=amounts,
    listed=st.integers(0, 10**6),
    quarantined=st.integers(0, 10**6),
    most_per_customer=st.integers(0, 100),
    history=st.lists(st.tuples(counts, amounts), max_size=8),
    key_ends=st.dates(date(2026, 1, 1), date(2028, 1, 1)),
    today=st.just(TODAY),
)
LIMITS = st.builds(
    BrakeLimits,
    max_count=st.none() | counts,
    max_total=st.none() | amounts,
    max_single=st.none() | amounts,
    max_quarantined_share=st.none() | st.floats(0.01, 1),
    max_per_customer=st.none() | st.integers(1, 100),
    unusual_factor=st.none() | st.floats(1.01, 10),
    history_least=st.integers(2, 8),
    key_expires_within_days=st.none() | st.integers(0, 365),
)


@settings(max_examples=40)
@given(FIGURES, LIMITS)
def test_each_kind_is_pulled_at_most_once_and_says_why(figures, limits):
    pulled = judge(figures, limits)
    kinds = [one.kind for one in pulled]
    assert len(kinds) == len(set(kinds))
    assert all(any(sign.isdigit() for sign in one.words) for one in pulled)
    assert judge(figures, limits) == pulled


@settings(max_examples=40)
@given(FIGURES)
def test_a_brake_that_is_switched_off_is_never_pulled(figures):
    assert judge(figures, OFF) == []


@settings(max_examples=40)
@given(LIMITS, FIGURES)
def test_a_run_that_sends_nothing_pulls_none(limits, figures):
    assert judge(Figures(**{**figures.__dict__, "count": 0}), limits) == []


@settings(max_examples=40)
@given(LIMITS, FIGURES, st.integers(1, 10**6))
def test_more_of_everything_never_releases_a_fixed_limit(limits, figures, more):
    """Only "unusual" has a lower bound too."""
    limits = BrakeLimits(**{**limits.__dict__, "unusual_factor": None})
    figures = Figures(**{**figures.__dict__, "count": figures.count + 1})
    names = ("count", "total", "largest", "most_per_customer")
    grown = Figures(**{**figures.__dict__, **{name: getattr(figures, name) + more for name in names}})
    assert set(_kinds(figures, limits)) <= set(_kinds(grown, limits))


@pytest.mark.parametrize(
    ("kind", "limit", "figure"),
    [
        ("too_many", "max_count", "count"), ("too_much", "max_total", "total"),
        ("single_amount", "max_single", "largest"), ("same_customer", "max_per_customer", "most_per_customer"),
    ],
)  # fmt: skip
@settings(max_examples=40)
@given(value=st.integers(1, 10**12))
def test_a_fixed_limit_is_the_most_that_may_pass(kind, limit, figure, value):
    limits = _limits(**{limit: value})
    assert _kinds(_figures(**{figure: value}), limits) == []
    assert _kinds(_figures(**{figure: value + 1}), limits) == [kind]


def test_the_words_show_the_figure_beside_the_limit():
    (pulled,) = judge(_figures(total=2_500_000), _limits(max_total=2_000_000))
    assert pulled.words == "2,500,000 in all, more than 2,000,000"


@pytest.mark.parametrize(
    ("quarantined", "listed", "pulled"), [(20, 100, []), (21, 100, ["quarantined_share"]), (0, 0, [])]
)
def test_the_share_of_quarantined_rows(quarantined, listed, pulled):
    figures = _figures(quarantined=quarantined, listed=listed)
    assert _kinds(figures, _limits(max_quarantined_share=0.2)) == pulled


@settings(max_examples=40)
@given(st.lists(st.tuples(counts, amounts), max_size=10), st.integers(2, 10), FIGURES)
def test_with_few_earlier_runs_only_the_fixed_limits_apply(history, least, figures):
    few = Figures(**{**figures.__dict__, "history": history[: least - 1]})
    assert _kinds(few, _limits(unusual_factor=1.5, history_least=least)) == []


@settings(max_examples=40)
@given(st.lists(st.tuples(counts, amounts), min_size=5, max_size=12), st.floats(1.1, 5), counts, amounts)
def test_unusual_is_so_many_times_above_or_below_the_median(history, factor, count, total):
    kinds = _kinds(_figures(count=count, total=total, history=history), _limits(unusual_factor=factor))
    for kind, figure, place in (("unusual_count", count, 0), ("unusual_total", total, 1)):
        usual = median(run[place] for run in history)
        assert (kind in kinds) == (figure * factor < usual or figure > usual * factor) or _on_the_edge(
            figure, usual, factor
        )


def _on_the_edge(figure: int, usual: float, factor: float) -> bool:
    """Where dividing and multiplying may round to different sides."""
    return abs(figure * factor - usual) <= usual * 1e-9


def test_one_odd_day_in_the_history_does_not_move_what_is_usual():
    history = [(100, 10_000_000)] * 6 + [(1, 1)]
    assert _kinds(_figures(history=history), _limits(unusual_factor=3.0)) == []
    assert _kinds(_figures(history=history, count=301), _limits(unusual_factor=3.0)) == ["unusual_count"]
    assert _kinds(_figures(history=history, count=33), _limits(unusual_factor=3.0)) == ["unusual_count"]


@pytest.mark.parametrize(("days", "pulled"), [(8, []), (7, ["key_expiring"]), (0, ["key_expiring"])])
def test_a_key_about_to_expire(days, pulled):
    limits = _limits(key_expires_within_days=7)
    assert _kinds(_figures(key_ends=TODAY + timedelta(days=days)), limits) == pulled
