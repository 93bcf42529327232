"""The crash sweep: a day is played in a process of its own, which dies by SIGKILL at one step; then it goes on.

The steps are those that the flows call by name (`FlowContext.step`), before and after each effect that others can see.
They are numbered by playing the day once without a kill. What must hold afterwards is in `Played.problems`.
"""

import ast
import json
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa

from include.flows.decisions import never_arrived
from include.flows.verify import findings
from tests.doku_simulator.simulator import Simulator
from tests.stack import by_flows
from tests.stack.scene import Scene
from tests.sweeps import acts, bill_acts, bill_truths
from tests.sweeps.acts import Stage
from tests.sweeps.scenarios import SCENARIOS, Act, Scenario
from tests.sweeps.snapshot import Snapshot, differences, snapshot
from tests.sweeps.workshop import Workshop

_processes: Final = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(
    [  # what flows load only when they come to it, and a process that dies soon would load each time
        "tests.sweeps.crash", "pandera.backends.pandas.builtin_checks", "pandera.backends.pandas.builtin_hypotheses",
        "include.schemas.due_charges", "include.schemas.report_lines", "include.schemas.batch_lines", "holidays",
        "include.flows.summarise", "matplotlib.figure", "matplotlib.backends.backend_svg",
    ]
)  # fmt: skip

CHILD_SECONDS: Final = 60


@dataclass(frozen=True)
class Passed:
    """A step that a play passed: its number (from 0), its name, and the number of the act it was in."""

    number: int
    name: str
    act: int


@dataclass
class Played:
    """A day that was played to its end.

    Attributes:
        steps: What was passed, up to the kill.
        ended: Words of errors that wait for a person, in the order of the acts.
        state: What it left behind.
        problems: What must not be, in words; empty when every promise held.
    """

    steps: list[Passed]
    ended: list[str]
    state: Snapshot
    problems: list[str] = field(default_factory=list)
    ending: str = ""


SAME: Final = "as without the kill"
LATER: Final = "by later runs"
WORD: Final = "by a person's word"


def record(workshop: Workshop, scenario: Scenario, ledger: str) -> Played:
    """Play a day without a kill: the steps, and the state that every killed play must end in."""
    with _scene(workshop, scenario, ledger) as (scene, doku):
        steps, ended, code = _play(scene, doku, scenario, None)
        if code != 0:
            raise RuntimeError(f"the day {scenario.name!r} broke off without a kill: {ended}")
        played = Played(steps, ended, snapshot(scene, doku))
        played.problems = list(problems(scene, doku))
        return played


def kill_at(
    workshop: Workshop, scenario: Scenario, ledger: str, step: Passed, *, first: bool, by: str, usual: Played
) -> Played:
    """Kill at a step, then restart and run on to the end.

    Args:
        first: DOKU works on what it has before the restart.
        by: "same": the same run goes on. "other": nobody does; a fresh run of that day comes, then the next day's.
        usual: The day without a kill.
    """
    with _scene(workshop, scenario, ledger) as (scene, doku):
        steps, ended, code = _play(scene, doku, scenario, step.number)
        if code != -signal.SIGKILL or not _is_there(steps[-1], step, ledger):
            return Played(steps, ended, {}, [f"not killed at {step}: ended with {code} after {steps[-1:]}, {ended}"])
        if first:
            doku.process_once()
        ended, word = [], []
        try:
            if by == "same":
                _go_on(scene, doku, scenario, step.act, ended)
            else:
                _others_come(scene, doku, scenario, scenario.acts[step.act], ended)
            if _open_deliveries(scene):
                word = _person_settles(scene, doku, scenario.acts[step.act], ended)
            if bill_acts.open_files(scene):
                word = _person_settles_files(scene, doku, ended)
        except Exception as caught:  # noqa: BLE001 - every kind is a finding
            return Played(steps, ended, {}, [f"after the restart: {type(caught).__name__}: {caught}"])
        played = Played(steps, ended, snapshot(scene, doku))
        played.problems = list(problems(scene, doku))
        played.problems += [f"nobody settled {name}" for name in _open_deliveries(scene) + bill_acts.open_files(scene)]
        if by == "same" and not word:
            played.problems += differences(usual.state, played.state)
        played.problems += list(_lost(usual.state, scene))
        played.ending = WORD if word else SAME if by == "same" else LATER
        return played


def _scene(workshop: Workshop, scenario: Scenario, ledger: str) -> AbstractContextManager[tuple[Scene, Simulator]]:
    return workshop.scene(
        ledger, scenario.charges, scenario.settings, scenario.faults, merchant=scenario.merchant, http=scenario.http
    )


def _is_there(killed: Passed, meant: Passed, ledger: str) -> bool:
    """On PostgreSQL two reports pass their steps side by side: the same number of an act may be a neighbour's."""
    return killed == meant or (ledger == "postgresql" and (killed.number, killed.act) == (meant.number, meant.act))


def _go_on(scene: Scene, doku: Simulator, scenario: Scenario, act: int, ended: list[str]) -> None:
    """The same runs again, from the first task of that hour; a person clears what stayed unknown once more."""
    moment = (scenario.acts[act].day, scenario.acts[act].hour)
    start = next(n for n, one in enumerate(scenario.acts) if (one.day, one.hour) == moment)
    stage = _stage(scene, doku, ended)
    for one in scenario.acts[start:]:
        _do(stage, one)


def _person_settles(scene: Scene, doku: Simulator, at: Act, ended: list[str]) -> list[str]:
    """The person clears the delivery, asks DOKU, who have nothing, says so, and the next day's run claims anew."""
    stage = _stage(scene, doku, ended, day=at.day, hour=at.hour)
    acts.deliver_all(stage)
    settled = _open_deliveries(scene)
    with stage.context() as context:
        for name in settled:
            never_arrived(context, file_name=name, by="Siti", why="DOKU looked for it and has nothing")
    stage = _stage(scene, doku, ended, day=at.day + 2, run="after")
    before = len(ended)
    for do in (acts.claim, acts.seal, acts.deliver_all):
        do(stage)
    if any(words.startswith("ApprovalMissing") for words in ended[before:]):
        acts.approve(stage)
    for do in (acts.deliver_all, acts.close, acts.reconcile):
        do(stage)
    return settled


def _person_settles_files(scene: Scene, doku: Simulator, ended: list[str]) -> list[str]:
    """The same of files that register bills: the next run makes another one, of which DOKU tells the run after it."""
    stage = _stage(scene, doku, ended, day=3, run="after")
    bill_acts.recurring(stage)
    settled = bill_acts.open_files(scene)
    bill_acts.file_never_arrived(stage)
    for stage.hour in (8, 12):
        bill_acts.recurring(stage)
    return settled


def _others_come(scene: Scene, doku: Simulator, scenario: Scenario, at: Act, ended: list[str]) -> None:
    later = [(2, 20.0, "run")] if bill_truths.plays_bills(doku) else []  # by then DOKU is asked for what was lost
    for day, hour, run in ((at.day, at.hour, "another"), (at.day + 1, 7.0, "run"), *later):
        stage = _stage(scene, doku, ended, day=day, hour=hour, run=run)
        for do in scenario.routine:
            do(stage)


def _stage(scene: Scene, doku: Simulator, ended: list[str], **at: Any) -> Stage:
    stage = Stage(scene, lambda: _work(doku, stage.now()), ended=ended, **at)
    return stage


def _do(stage: Stage, act: Act) -> None:
    stage.day, stage.hour = act.day, act.hour
    act.do(stage)


# --- what must hold --------------------


def problems(scene: Scene, doku: Simulator) -> Iterator[str]:
    """Promises that a day broke: sent or charged twice, books that do not tie, anything that `verify` finds."""
    answered = Counter(one["invoice_number"] for one in doku.processed)
    yield from (f"{invoice} was sent {count} times" for invoice, count in answered.items() if count > 1)
    charges = _charges(scene)
    unknown = sorted(set(answered) - set(charges))
    yield from (f"{invoice} was sent, and the ledger does not know it" for invoice in unknown)
    money = Counter(charges.get(one["invoice_number"], "?") for one in doku.charged)
    yield from (f"charge {charge} was charged {count} times" for charge, count in money.items() if count > 1)
    names = Counter(one["name"] for one in doku.files if one["event"] == "processed")
    yield from (f"{name} was processed {count} times" for name, count in names.items() if count > 1)
    for one in doku.files:
        if one["event"] not in ("taken", "processed", "ignored"):  # it ignores what it was told to lose
            yield f"DOKU's end: {one}"
    temporary = [path.name for path in doku.inbound.iterdir() if not path.name.startswith(("TKN", "REG"))]
    yield from (f"a temporary file is left behind: {name}" for name in temporary)
    yield from bill_truths.problems(scene, doku)
    with by_flows.context_of(scene, lambda: bill_truths.clock_of(doku)) as context:
        yield from (f"verify: {finding}" for finding in findings(context))


def _lost(usual: Snapshot, scene: Scene) -> Iterator[str]:
    """Charges that the day without a kill settled, and this one did not."""
    if not usual["charged"]:
        return
    settled = set(_settled(scene)) | _cancelled(scene)
    wanted = {ast.literal_eval(row)[1] for row in usual["attempt"]}
    yield from (f"charge {charge} was lost: no attempt of it has an outcome" for charge in sorted(wanted - settled))


def _cancelled(scene: Scene) -> set[str]:
    """Charges that the merchant cancelled meanwhile."""
    engine = scene.billing.engine()
    with engine.connect() as connection:
        query = "SELECT premium_id FROM insurer_premiums WHERE cancelled_on IS NOT NULL"
        found = {row.premium_id for row in connection.execute(sa.text(query))}
    engine.dispose()
    return found


def _settled(scene: Scene) -> Iterator[str]:
    """Charges of which an attempt was answered, and those whose every attempt was withdrawn for they were gone."""
    query = """SELECT DISTINCT a.charge_id FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
               WHERE o.status <> 'withdrawn' OR o.witness = 'look_again'"""
    yield from (row.charge_id for row in _query(scene, query))


def _charges(scene: Scene) -> dict[str, str]:
    """Invoice number -> charge id of every attempt."""
    return {row.invoice_number: row.charge_id for row in _query(scene, "SELECT invoice_number, charge_id FROM attempt")}


def _open_deliveries(scene: Scene) -> list[str]:
    """Batches of which nobody can say whether they were delivered."""
    rows = _query(scene, "SELECT file_name FROM batch WHERE state IN ('renaming', 'unknown')")
    return [row.file_name for row in rows]


def _query(scene: Scene, query: str) -> list[Any]:
    engine = scene.ledger.engine()
    with engine.connect() as connection:
        rows = list(connection.execute(sa.text(query)))
    engine.dispose()
    return rows


# --- the process that dies --------------------


def _play(scene: Scene, doku: Simulator, scenario: Scenario, kill: int | None) -> tuple[list[Passed], list[str], int]:
    """Play a day in a process of its own; the steps it passed, what stayed undecided, and its exit code."""
    ours, theirs = _processes.Pipe()
    log = scene.root / "steps.jsonl"
    log.write_text("")
    child = _processes.Process(target=_child, args=(scene, scenario.name, kill, log, theirs))
    child.start()
    theirs.close()
    ended: list[str] = []
    try:
        while ours.poll(CHILD_SECONDS):
            word, *rest = ours.recv()
            if word == "doku":
                _work(doku, *rest)
                ours.send("worked")
            else:
                ended = rest
    except (EOFError, ConnectionResetError):
        pass
    child.join(CHILD_SECONDS)
    if child.exitcode is None:
        child.kill()
        child.join()
    steps = [Passed(**json.loads(line)) for line in log.read_text().splitlines()]
    return steps, ended, child.exitcode or 0


def _child(scene: Scene, name: str, kill: int | None, log: Path, parent: Connection) -> None:
    current = 0
    passed = 0
    file, one_at_a_time = log.open("a"), threading.Lock()

    def step(what: str) -> None:
        nonlocal passed
        with one_at_a_time:
            file.write(json.dumps({"number": passed, "name": what, "act": current}) + "\n")
            file.flush()
            if passed == kill:
                os.kill(os.getpid(), signal.SIGKILL)
            passed += 1

    def doku() -> None:
        parent.send(("doku", stage.now()))
        parent.recv()

    stage = Stage(scene, doku, step=step)
    try:
        for current, act in enumerate(SCENARIOS[name].acts):  # noqa: B007 - `step` reads it
            _do(stage, act)
    except BaseException as caught:
        parent.send(("error", f"{type(caught).__name__}: {caught}"))
        raise
    parent.send(("ended", *stage.ended))


def _work(doku: Simulator, moment: datetime | None = None) -> None:
    """DOKU takes what is there; where it has a clock of its own, that goes on to a moment."""
    doku.process_once()
    doku.release_reports()
    if moment is not None and bill_truths.plays_bills(doku):
        doku.web.advance_to(moment)


def worth_killing(steps: list[Passed]) -> list[Passed]:
    """Of a step that an act passes many times, the first and the last."""
    places: dict[tuple[int, str], list[Passed]] = {}
    for step in steps:
        places.setdefault((step.act, step.name), []).append(step)
    chosen = {one for found in places.values() for one in (found[0], found[-1])}
    return sorted(chosen, key=lambda step: step.number)
