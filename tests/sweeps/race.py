"""The race sweep: copies of each step at once, in processes of their own, with pauses by a seed between the effects."""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any, Final

from include.domain.errors import Held, NotAllowed
from include.flows import decisions
from tests.doku_simulator.simulator import Simulator
from tests.stack.scene import Scene
from tests.sweeps import acts
from tests.sweeps.acts import Stage
from tests.sweeps.crash import _processes

RECONCILE: Final = ("fetch", "ingest", "conclude", "tell_outcomes", "close_reconcile")
SUBMIT: Final = ("claim", "seal", "deliver_all", "close")

HARMLESS: Final = ("RemoteError: Another try took over the delivery of",)
"""What a copy may say: the flows document it, and a retry finds the other's ending."""

ANSWER_SECONDS: Final = 120


@dataclass(frozen=True)
class Racer:
    """One process: which merchant it works for, as which run, and whether it pauses."""

    scene: Scene
    run: str
    seed: int
    pause: float = 0.03


def deliver_patiently(stage: Stage) -> None:
    """Deliver; a hold is an ending here."""
    try:
        acts.deliver_all(stage)
    except Held as caught:
        stage.ended.append(f"Held: {caught.message}")


def hold_the_profile(stage: Stage) -> None:
    """The kill switch, placed by a person after a while."""
    with stage.context() as context:
        stage.step("a person reads")
        decisions.hold(context, scope="profile", subject=stage.scene.profile, by="Siti", why="stop everything")


def withdraw_all(stage: Stage) -> None:
    """A person withdraws each batch that has not left."""
    for context, _, batch_id in acts._batches(stage):
        with context.ledger.read() as connection:
            name = decisions.find_batch(connection, batch_id).file_name
        stage.step("a person reads")
        try:
            decisions.withdraw(context, file_name=name, by="Siti", why="not today")
        except NotAllowed as caught:
            stage.ended.append(f"NotAllowed: {caught.message}")


ACTS: Final[Mapping[str, Callable[[Stage], None]]] = {
    **{name: getattr(acts, name) for name in (*SUBMIT, *RECONCILE, "approve", "refuse", "judge")},
    "deliver_patiently": deliver_patiently,
    "hold_the_profile": hold_the_profile,
    "withdraw_all": withdraw_all,
}


class Race:
    """Some processes that do acts at the same moment."""

    def __init__(self, racers: Sequence[Racer], doku: Simulator) -> None:
        self._pipes: list[Connection] = []
        self._children = []
        self.doku = doku
        self.noise: list[str] = []
        self.ended: list[list[str]] = [[] for _ in racers]
        for racer in racers:
            ours, theirs = _processes.Pipe()
            child = _processes.Process(target=_child, args=(racer, theirs))
            child.start()
            theirs.close()
            self._pipes.append(ours)
            self._children.append(child)

    def all(self, *names: str) -> None:
        """Everybody does these acts, each of them at the same moment."""
        for name in names:
            self.each(*[name] * len(self._pipes))

    def each(self, *names: str) -> None:
        """Everybody does an act of their own, at the same moment."""
        for pipe, name in zip(self._pipes, names, strict=True):
            pipe.send(name)
        for number, (pipe, name) in enumerate(zip(self._pipes, names, strict=True)):
            if not pipe.poll(ANSWER_SECONDS):
                raise TimeoutError(f"{name} of racer {number} does not come to an end")
            errors, ended = pipe.recv()
            self.ended[number] += ended
            self.noise += [f"racer {number}, {name}: {error}" for error in errors]

    def doku_works(self) -> None:
        """DOKU takes what is there and answers."""
        self.doku.process_once()
        self.doku.release_reports()

    def stop(self) -> None:
        """End the processes."""
        for pipe, child in zip(self._pipes, self._children, strict=True):
            pipe.close()
            child.join(10)
            if child.is_alive():
                child.kill()


@contextmanager
def race(racers: Sequence[Racer], doku: Simulator) -> Iterator[Race]:
    """A race whose processes end with it."""
    running = Race(racers, doku)
    try:
        yield running
    finally:
        running.stop()


def copies(scene: Scene, number: int, seed: int, *, own_runs: bool = False) -> list[Racer]:
    """So many copies of the same run, or runs of their own, of one merchant."""
    return [Racer(scene, f"run-{n}" if own_runs else "run", seed * 100 + n) for n in range(number)]


def _child(racer: Racer, parent: Connection) -> None:
    chance = random.Random(racer.seed)

    def pause(name: str) -> None:
        if chance.random() < 0.6:
            time.sleep(chance.random() * racer.pause)

    while True:
        try:
            name = parent.recv()
        except (EOFError, OSError):
            return
        parent.send(_try(name, Stage(racer.scene, lambda: None, step=pause, waits=0.2, run=racer.run)))


def _try(name: str, stage: Stage) -> tuple[list[str], list[str]]:
    """Do an act; what a retry helps with is tried again, as Airflow would."""
    noise: list[Any] = []
    for _ in range(3):
        again = replace(stage, ended=[])
        try:
            ACTS[name](again)
        except Exception as caught:  # noqa: BLE001 - every kind is told
            words = f"{type(caught).__name__}: {caught}"
            if words.startswith(HARMLESS):
                continue
            noise.append(words)
            return noise, again.ended
        return noise, again.ended
    return [f"{name} never came to an end"], []
