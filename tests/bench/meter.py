"""What a stage costs: wall clock, processor time here and in the servers, and the peak of this process's memory."""

import os
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Cost:
    """What one stage cost.

    Attributes:
        stage: Its name.
        wall: Seconds.
        cpu: Seconds of processor time of the process that worked and of the programs that it called.
        servers: Seconds of processor time of PostgreSQL and OpenSSH meanwhile.
        peak: The most memory that one of these processes held, in MiB; 0 where nobody looked.
    """

    stage: str
    wall: float
    cpu: float
    servers: float
    peak: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Its fields; `Cost(**value)` reads them back."""
        return asdict(self)


class Meter:
    """Collects costs, one stage after the other."""

    def __init__(self, servers: Sequence[int] = ()) -> None:
        self.costs: list[Cost] = []
        self._servers = servers
        self._begin()

    def _begin(self) -> None:
        reset_peak()
        self._at = (time.perf_counter(), processor_seconds(), sum(tree_seconds(pid) for pid in self._servers))

    def ends(self, stage: str, highest: float = 0.0) -> None:
        """All since the last stage ended, or since the beginning, was this stage; several parts of one add up.

        Args:
            stage: Its name.
            highest: The most memory (MiB) that a process beside this one held meanwhile.
        """
        now = (time.perf_counter(), processor_seconds(), sum(tree_seconds(pid) for pid in self._servers))
        wall, cpu, servers = (after - before for before, after in zip(self._at, now, strict=True))
        self.costs.append(Cost(stage, wall, cpu, servers, max(peak(), highest)))
        self._begin()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """A stage with nothing before it that counts."""
        self._begin()
        yield
        self.ends(name)


def added(costs: Sequence[Cost]) -> list[Cost]:
    """Costs with the parts of each stage added up; peaks are the highest."""
    found: dict[str, Cost] = {}
    for cost in costs:
        before = found.get(cost.stage, Cost(cost.stage, 0, 0, 0))
        sums = (before.wall + cost.wall, before.cpu + cost.cpu, before.servers + cost.servers)
        found[cost.stage] = Cost(cost.stage, *sums, max(before.peak, cost.peak))
    return list(found.values())


def processor_seconds() -> float:
    """Of this process and of those of its children that have ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def tree_seconds(pid: int) -> float:
    """Processor time of a process, its children, and those of them that have ended."""
    total = 0.0
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def reset_peak() -> None:
    """Let the system forget the highest memory use of this process so far."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak() -> float:
    """The highest memory use of this process since, in MiB."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def profiled(folder: Path, name: str) -> Callable[[Callable[[], Any]], Any]:
    """Calls something under cProfile and keeps what it saw: `NAME.txt`, by own and by cumulative time."""

    def call(what: Callable[[], Any]) -> Any:
        import cProfile
        import pstats

        profile = cProfile.Profile()
        try:
            return profile.runcall(what)
        finally:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / f"{name}.txt").open("w") as file:
                for order in ("tottime", "cumulative"):
                    pstats.Stats(profile, stream=file).sort_stats(order).print_stats(45)

    return call


def quietly() -> None:
    """Give way to whatever else runs on this machine."""
    with suppress(OSError):
        os.nice(5)
