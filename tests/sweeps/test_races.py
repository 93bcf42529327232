"""Several copies of each step at once: one winner, no error noise, and the day ends as it would have with one."""

import ast
import threading

import pytest

from include.domain.errors import Held
from include.domain.states import BatchState
from include.flows.deliver import deliver
from include.ledger.events import Note
from include.ledger.holds import place_hold
from tests.sweeps import acts, crash
from tests.sweeps.acts import Stage
from tests.sweeps.conftest import POSTGRESQL
from tests.sweeps.race import RECONCILE, SUBMIT, Racer, copies, race
from tests.sweeps.sample import FULL, sampled, seeds
from tests.sweeps.scenarios import SCENARIOS, TWO_BATCHES
from tests.sweeps.snapshot import differences, snapshot

_LEDGERS = ["sqlite", POSTGRESQL] if FULL else [POSTGRESQL]
"""SQLite lets one writer at a time through: its races are mostly waiting. `make test` has two of them."""

_RUNLESS = ("attempt", "outcome", "doku_charge_outcomes", "charged", "report_file", "report_line", "files in archive")
_BRAKED = {"limits": TWO_BATCHES, "brakes": {"max_count": 5, "max_quarantined_share": 0.99}}


def _usual(workshop, ledger):
    scenario = SCENARIOS["day"]
    with workshop.scene(ledger, scenario.charges, scenario.settings) as (scene, doku):
        stage = Stage(scene, lambda: None)
        for name in SUBMIT:
            getattr(acts, name)(stage)
        crash._work(doku)
        for name in RECONCILE:
            getattr(acts, name)(stage)
        return snapshot(scene, doku)


def _day(workshop, ledger, racers):
    """One raced day: its noise, its problems, its snapshot."""
    scenario = SCENARIOS["day"]
    with workshop.scene(ledger, scenario.charges, scenario.settings) as (scene, doku):
        with race(racers(scene), doku) as running:
            running.all(*SUBMIT)
            running.doku_works()
            running.all(*RECONCILE)
            noise = running.noise
        return [*noise, *crash.problems(scene, doku)], snapshot(scene, doku)


_COPIES = [
    pytest.param(4, "postgresql", marks=pytest.mark.services),
    pytest.param(2, "sqlite"),
    *sampled([pytest.param(2, "postgresql", marks=pytest.mark.services), pytest.param(4, "sqlite")], lambda _: False),
]


@pytest.mark.parametrize(("number", "ledger"), _COPIES)
def test_copies_of_a_task(make_workshop, number, ledger):
    workshop = make_workshop(ledger)
    usual = _usual(workshop, ledger)
    for seed in seeds(sample=1, full=10):
        noise, state = _day(workshop, ledger, lambda scene, seed=seed: copies(scene, number, seed))
        assert noise == [], f"seed {seed}: {noise}"
        assert differences(usual, state) == [], f"seed {seed}"


@pytest.mark.parametrize("ledger", _LEDGERS)
def test_different_runs_at_once(make_workshop, ledger):
    workshop = make_workshop(ledger)
    usual = _usual(workshop, ledger)
    for seed in seeds(sample=1, full=10):
        noise, state = _day(workshop, ledger, lambda scene, seed=seed: copies(scene, 2, seed, own_runs=True))
        assert noise == [], f"seed {seed}: {noise}"
        some, others = ({name: one[name] for name in _RUNLESS} for one in (usual, state))
        assert differences(some, others) == [], f"seed {seed}"


@pytest.mark.parametrize("ledger", _LEDGERS)
def test_two_profiles_that_share_a_billing_source(make_workshop, ledger):
    workshop = make_workshop(ledger)
    for seed in seeds(sample=1, full=10):
        with workshop.scene(ledger, 60, SCENARIOS["day"].settings) as (scene, doku):
            second = _second_profile(scene)
            with race([Racer(scene, "run", seed), Racer(second, "run", seed + 1000)], doku) as running:
                running.all(*SUBMIT)
                running.doku_works()
                running.all(*RECONCILE)
                assert running.noise == [], f"seed {seed}"
            for one in (scene, second):
                assert list(crash.problems(one, doku)) == [], f"seed {seed}: {one.profile}"
            assert len(doku.charged) > 0


def _second_profile(scene):
    from dataclasses import replace

    changes = {**SCENARIOS["day"].settings, "billing_source": "insurance-billing", "merchant": "MCH0002"}
    second = replace(scene, name="second", changes=changes)
    second.write_profile()
    return second


@pytest.mark.parametrize("ledger", _LEDGERS)
def test_one_approves_while_the_other_refuses(make_workshop, ledger):
    workshop = make_workshop(ledger)
    for seed in seeds(sample=1, full=10):
        with workshop.scene(ledger, 60, _BRAKED) as (scene, doku):
            with race(copies(scene, 2, seed), doku) as running:
                running.all("claim", "seal", "judge")
                running.each("approve", "refuse")
                running.each("deliver_all", "deliver_all")
                assert running.noise == [], f"seed {seed}"
            crash._work(doku)
            (answer,) = crash._query(scene, "SELECT answer FROM approval")
            states = {row.state for row in crash._query(scene, "SELECT state FROM batch")}
            assert states == ({"delivered"} if answer.answer == "approved" else {"withdrawn"}), f"seed {seed}"
            assert (len(doku.files) > 0) == (answer.answer == "approved")
            assert list(crash.problems(scene, doku)) == [], f"seed {seed}"


@pytest.mark.parametrize("ledger", _LEDGERS)
def test_the_kill_switch_in_the_middle_of_a_delivery(make_workshop, ledger):
    workshop = make_workshop(ledger)
    for seed in seeds(sample=1, full=20):
        with workshop.scene(ledger, 60, SCENARIOS["day"].settings) as (scene, doku):
            with race(copies(scene, 2, seed), doku) as running:
                running.all("claim", "seal")
                running.each("deliver_patiently", "hold_the_profile")
                assert running.noise == [], f"seed {seed}"
            (held,) = crash._query(scene, "SELECT seq FROM event WHERE kind = 'hold'")
            after = crash._query(scene, f"SELECT seq FROM event WHERE state = 'renaming' AND seq > {held.seq}")
            assert after == [], f"seed {seed}: a file left after the hold was placed"
            crash._work(doku)
            left = crash._query(scene, "SELECT file_name FROM batch WHERE state = 'delivered'")
            assert sorted(row.file_name for row in left) == sorted({one["name"] for one in doku.files})
            assert list(crash.problems(scene, doku)) == [], f"seed {seed}"


@pytest.mark.parametrize("ledger", _LEDGERS)
def test_a_withdrawal_races_a_delivery(make_workshop, ledger):
    workshop = make_workshop(ledger)
    endings = set()
    for seed in seeds(sample=1, full=20):
        with workshop.scene(ledger, 60, SCENARIOS["day"].settings) as (scene, doku):
            with race(copies(scene, 2, seed), doku) as running:
                running.all("claim", "seal")
                running.each("deliver_all", "withdraw_all")
                assert running.noise == [], f"seed {seed}"
            crash._work(doku)
            taken = {one["name"] for one in doku.files}
            for row in crash._query(scene, "SELECT file_name, state FROM batch"):
                assert (row.file_name in taken) == (row.state == "delivered"), f"seed {seed}: {row}"
                endings.add(row.state)
            for row in snapshot(scene, doku)["states of batches"]:
                assert not ("withdrawn" in row and "delivered" in row), f"seed {seed}: {row}"
            assert list(crash.problems(scene, doku)) == [], f"seed {seed}"
    assert endings <= {"delivered", "withdrawn"}


@pytest.mark.services
def test_a_hold_that_is_just_being_placed_is_waited_for(make_workshop):
    """Whoever promises to rename while a hold is in an open transaction sees it once that is committed."""
    with make_workshop("postgresql").scene("postgresql", 60, SCENARIOS["direct"].settings) as (scene, _):
        stage = Stage(scene, lambda: None)
        acts.claim(stage)
        acts.seal(stage)
        ended, at_the_promise = [], threading.Event()

        def step(name):
            if name == "deliver: manifest kept":
                at_the_promise.set()
                placed.wait(10)

        def send():
            with Stage(scene, lambda: None, step=step).context() as context:
                try:
                    ended.append(deliver(context, 1, 1).state)
                except Held:
                    ended.append("held")

        placed = threading.Event()
        worker = threading.Thread(target=send)
        with stage.context() as context:
            worker.start()
            assert at_the_promise.wait(30)
            with context.ledger.write() as connection:
                place_hold(
                    connection, billing_source="insurance-billing", profile="insurance", scope="profile",
                    subject="insurance", note=Note(context.clock(), "Siti"), reason="stop",
                )  # fmt: skip
                placed.set()
                worker.join(2)
                assert worker.is_alive(), "it did not wait for the hold"
            worker.join(30)
        assert ended == ["held"]
        assert crash._query(scene, "SELECT state FROM batch")[0].state == BatchState.DELIVERING


def test_the_snapshot_is_not_empty(make_workshop):
    usual = _usual(make_workshop("sqlite"), "sqlite")
    assert len({ast.literal_eval(row)[1] for row in usual["attempt"]}) > 20
