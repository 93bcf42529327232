"""Killed at any step, restarted by the same run or by others: nothing is sent twice, nothing is lost, the books tie."""

import json
from dataclasses import asdict

import pytest

from tests.sweeps import acts, crash, matrix
from tests.sweeps.acts import Stage
from tests.sweeps.conftest import POSTGRESQL
from tests.sweeps.race import withdraw_all
from tests.sweeps.sample import FULL
from tests.sweeps.scenarios import ORDINARY, SCENARIOS, merchant_changes

_SAMPLE = {
    "day": (
        "claim: committed", "deliver: claims told, not noted", "deliver: promise committed", "deliver: renamed",
        "ingest: everything staged", "plan next: a page is kept", "write back: merchant told",
    ),
    "late": ("withdraw: committed", "withdraw: merchant told"),
    "watched": ("watch: people told",),
    "operated": ("settle: recorded", "settle: merchant told", "close charge: recorded"),
    "lost by DOKU": ("refused: recorded",),
    "summarised": ("summarise: page kept",),
    "bills": ("bulk: renamed", "tell charges: merchant told"),
    "tokens": ("tokens: losses kept",),
    "told and asked": ("notify: told, not noted", "ask status: before the answer is kept"),
}  # fmt: skip


_BY_OTHERS = ("day", "direct", "late", "bills")


def _all_of_it(workshop, scenario, ledger, by, usual):
    """Every step of an ordinary day; of the others what is done differently, on PostgreSQL only what is new in them."""
    steps = crash.worth_killing(usual.steps)
    if scenario.name == "day":
        return steps
    if scenario.http is not None:
        return _of_bills(workshop, scenario, ledger, by, usual)
    ordinary = {step.name for step in crash.record(workshop, SCENARIOS["day"], "sqlite").steps}
    as_usual = {"reconcile"} if scenario.name != "odd reports" else {"claim", "seal", "deliver_all", "close"}
    return [
        step
        for step in steps
        if step.name not in ordinary or (ledger == "sqlite" and scenario.acts[step.act].do.__name__ not in as_usual)
    ]


def _of_bills(workshop, scenario, ledger, by, usual):
    """Each step where the day first comes by, and where it last does: its runs do the same again and again."""
    known = set()
    if scenario.name == "amounts sent":
        known = {step.name for step in crash.record(workshop, SCENARIOS["bills"], "sqlite").steps}
    first = {step.name: step for step in reversed(usual.steps) if step.name not in known}
    last = {step.name: step for step in usual.steps if step.name not in known}
    both = {*first.values(), *(last.values() if (ledger, by) == ("sqlite", "same") else ())}
    return sorted(both, key=lambda step: step.number)


def _sweep(workshop, scenario, ledger, by, names=None):
    usual = crash.record(workshop, scenario, ledger)
    assert usual.problems == []
    steps = _all_of_it(workshop, scenario, ledger, by, usual)
    if names is not None:
        steps = [next(step for step in usual.steps if step.name == name) for name in names]
    failed, results = [], []
    for step in steps:
        # DOKU takes what is there before the restart, or after it.
        both = names is None and (scenario.name, ledger, by) == ("day", "sqlite", "same")
        for first in (False, True) if both and step.name.startswith("deliver: ") else (step.number % 2 == 0,):
            played = crash.kill_at(workshop, scenario, ledger, step, first=first, by=by, usual=usual)
            place = f"{scenario.name}, {ledger}, {by}: {step.number} {step.name} in act {step.act}, DOKU first: {first}"
            failed += [f"{place}: {problem}" for problem in played.problems]
            killed = played.steps[-1] if played.steps else step
            results.append({**asdict(killed), "ending": played.ending, "problems": played.problems})
            if names is None:
                matrix.keep(scenario.name, ledger, by, results)
    assert failed == [], "\n".join(failed)


@pytest.mark.skipif(not FULL, reason="all of it: make sweep")
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("ledger", ["sqlite", POSTGRESQL])
@pytest.mark.parametrize("by", ["same", "other"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_step(make_workshop, name, by, ledger):
    if by == "other" and (name not in _BY_OTHERS or (ledger == "postgresql" and name != "day")):
        pytest.skip("what others do after a kill depends on submit alone, and these days show all of it")
    _sweep(make_workshop(ledger), SCENARIOS[name], ledger, by)


@pytest.mark.parametrize("name", _SAMPLE)
def test_sample_on_sqlite(make_workshop, name):
    _sweep(make_workshop("sqlite"), SCENARIOS[name], "sqlite", "same", _SAMPLE[name])


def test_sample_restarted_by_others(make_workshop):
    names = ("claim: committed", "deliver: intent committed", "deliver: renamed")
    _sweep(make_workshop("sqlite"), SCENARIOS["day"], "sqlite", "other", names)


@pytest.mark.services
def test_sample_on_postgresql(make_workshop):
    names = ("claim: committed", "deliver: renamed", "ingest: everything staged")
    _sweep(make_workshop("postgresql"), SCENARIOS["day"], "postgresql", "same", names)


def test_a_day_differs_from_itself_in_nothing(make_workshop):
    workshop = make_workshop("sqlite")
    first, second = (crash.record(workshop, SCENARIOS["day"], "sqlite") for _ in range(2))
    assert [step.name for step in first.steps] == [step.name for step in second.steps]
    assert crash.differences(first.state, second.state) == []
    assert json.dumps(first.state) == json.dumps(second.state)


def test_a_refusal_that_broke_off_lets_nothing_through(make_workshop):
    """What is left of a refused run may pull no brake any more; the refusal is of the whole run."""
    changes = {"limits": {"max_rows_per_batch": 20}, "brakes": {"max_count": 30, "max_quarantined_share": 0.99}}
    with make_workshop("sqlite").scene("sqlite", 60, changes) as (scene, doku):
        stage = Stage(scene, lambda: None)
        for do in (acts.claim, acts.seal, acts.judge):
            do(stage)
        seen = []

        def step(name):
            seen.append(name)
            if seen.count("withdraw: before it is recorded") == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            acts.refuse(Stage(scene, lambda: None, step=step))
        acts.deliver_all(stage)
        crash._work(doku)
        assert doku.files == []
        assert "ApprovalRefused" in stage.ended[0]
        acts.refuse(stage)
        assert {row.state for row in crash._query(scene, "SELECT state FROM batch")} == {"withdrawn"}
        assert list(crash.problems(scene, doku)) == []


def test_a_batch_that_lost_a_charge_can_still_be_withdrawn_as_a_whole(make_workshop):
    with make_workshop("sqlite").scene("sqlite", 60, ORDINARY) as (scene, doku):
        stage = Stage(scene, lambda: None)
        acts.claim(stage)
        merchant_changes(stage)
        stage.hour = 8
        acts.seal(stage)
        (batch,) = crash._query(scene, "SELECT withdrawn_count, state FROM batch")
        assert (batch.withdrawn_count, batch.state) == (2, "sealed")
        withdraw_all(stage)
        assert stage.ended == []
        assert [row.state for row in crash._query(scene, "SELECT state FROM batch")] == ["withdrawn"]
        assert list(crash.problems(scene, doku)) == []


def test_a_charge_that_was_withdrawn_is_no_sign_that_the_rest_arrived(make_workshop):
    """Nobody knows whether the batch arrived, and one attempt has an outcome: it was withdrawn before."""
    with make_workshop("sqlite").scene("sqlite", 60, ORDINARY) as (scene, doku):
        stage = Stage(scene, lambda: crash._work(doku))
        acts.claim(stage)
        merchant_changes(stage)
        stage.hour = 8

        def step(name):
            if name == "deliver: promise committed":
                raise KeyboardInterrupt

        acts.seal(stage)
        with pytest.raises(KeyboardInterrupt):
            acts.deliver_all(Stage(scene, stage.doku, step=step, hour=8))
        acts.deliver_all(stage)
        acts.reconcile(stage)
        assert [row.state for row in crash._query(scene, "SELECT state FROM batch")] == ["unknown"]
