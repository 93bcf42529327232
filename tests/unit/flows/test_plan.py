"""What plan shows for several dates is what these dates send, each its own, in whichever order they run."""

import json
import random
from datetime import timedelta

import pytest

from include.flows.books import books_of_day
from include.flows.plan import plan_of, plans_of
from tests.flows_harness import BUSINESS_DATE, charge

FIRST, LAST = BUSINESS_DATE - timedelta(days=5), BUSINESS_DATE - timedelta(days=1)
_OF_THE_RUN = ("run", "run_balance", "run_charge", "quarantined_charge", "quarantine")


def _days_of_charges(merchant):
    chance = random.Random(5)
    rows = []
    for number in range(40):
        due = FIRST - timedelta(days=2) + timedelta(days=chance.randrange(8))
        rows.append(charge(f"C{number:02}", 10_000 + number, due_date=due.isoformat()))
    merchant.list_charges(*rows, charge("BAD", token=None, due_date=FIRST.isoformat()))


def _map(merchant):
    plans = plans_of(merchant.context, FIRST, LAST)
    return {one.business_date: one.total for one in plans if one.count}


def _run(merchant, day, named):
    earlier = [other for other in named if other < day]
    request = {"send_past_total": named.get(day), "send_past_after": max(earlier, default=None)}
    return merchant.submit(f"backfill {day}", business_date=day, **request)


def test_a_charge_that_is_due_on_several_dates_counts_for_the_first(merchant):
    _days_of_charges(merchant)
    plans = plans_of(merchant.context, FIRST, LAST)
    assert sum(one.count for one in plans) == plan_of(merchant.context, LAST).count
    assert sum(one.total for one in plans) == plan_of(merchant.context, LAST).total
    assert all(one.count for one in plans)
    assert merchant.sql("SELECT * FROM run") == merchant.sql("SELECT * FROM attempt") == []


@pytest.mark.parametrize("seed", range(4))
def test_exactly_the_shown_totals_are_sent_in_any_order(merchant, seed):
    """A backfill runs ten dates at once unless told otherwise: nobody knows which one claims first."""
    _days_of_charges(merchant)
    named = _map(merchant)
    days = sorted(named)
    if seed:
        random.Random(seed).shuffle(days)
    for day in days:
        _run(merchant, day, named)
    for day, total in named.items():
        books = books_of_day(merchant.context, day)
        assert books["ties"], books["why_not"]
        assert books["sent"]["amount"] == total, day
    attempts = [one["charge_id"] for one in merchant.sql("SELECT charge_id FROM attempt")]
    assert len(attempts) == len(set(attempts)) > 30


def test_a_date_whose_total_is_wrong_sends_nothing_and_the_others_send_theirs(merchant):
    _days_of_charges(merchant)
    named = _map(merchant)
    wrong = sorted(named)[1]
    for day in sorted(named):
        _run(merchant, day, {**named, wrong: named[wrong] + 1})
    sent = {day: books_of_day(merchant.context, day)["sent"]["amount"] for day in named}
    assert sent == {**named, wrong: 0}


def test_a_dry_run_of_a_past_date_shows_what_the_real_run_would_do(merchant):
    _days_of_charges(merchant)
    named = _map(merchant)
    for terms, reason in (({}, "past_date"), ({"send_past_total": named[FIRST]}, "dry_run")):
        run, batch_ids = merchant.claim(business_date=FIRST, dry_run=True, **terms)
        held = books_of_day(merchant.context, FIRST, run.run_id)["held"]
        assert batch_ids == []
        assert held["by_reason"] == {reason: {"count": held["count"], "amount": named[FIRST]}}


def test_a_dry_run_has_the_figures_of_the_real_run_after_it(merchant_on_each):
    merchant = merchant_on_each
    merchant.list_charges(*(charge(f"C{n}", 1_000 + n) for n in range(9)), charge("BAD", token=None), charge("C1"))
    before = merchant.dump(*_OF_THE_RUN, "layout")
    dry, _ = merchant.submit(dry_run=True)
    assert merchant.dump(*_OF_THE_RUN, "layout") == before
    rehearsed = books_of_day(merchant.context, BUSINESS_DATE, dry.run_id)
    real, _ = merchant.submit()
    books = books_of_day(merchant.context, BUSINESS_DATE, real.run_id)
    assert json.dumps(rehearsed["quarantined"]) == json.dumps(books["quarantined"])
    for term in ("rows", "settled", "due", "deferred", "in_flight"):
        assert rehearsed[term] == books[term], term
    assert rehearsed["held"]["by_reason"]["dry_run"] == {key: books["sent"][key] for key in ("count", "amount")}
    assert rehearsed["held"]["count"] == books["sent"]["count"] + books["held"]["count"]
