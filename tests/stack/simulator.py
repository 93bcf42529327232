"""DOKU's simulator as a process beside Airflow."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.services.processes import Started, start, wait_until
from tests.stack.airflow import PROJECT
from tests.stack.remote import Remote


@dataclass(frozen=True)
class RunningSimulator:
    """A simulator that answers.

    Attributes:
        process: To stop it with.
        facts: What it said when it was ready: host, port, user, password, host_key, doku_public_key,
            merchant_private_key, ...
        root: Its folder; `root/sftp` is what its SFTP server shows as `/`.
    """

    process: Started
    facts: dict[str, Any]
    root: Path

    @property
    def remote(self) -> Remote:
        """What a merchant knows of it."""
        return Remote.simulator(self.facts)


def start_simulator(root: Path, *arguments: str, outlives_us: bool = False) -> RunningSimulator:
    """Start it and wait until it answers.

    Args:
        root: Its folder; keys in it are used again.
        arguments: More of its command line, as `--seed 7`.
        outlives_us: It goes on when this process ends.

    Raises:
        ServiceFailed: It ended, or was not ready within a minute; the message has the end of its log.
    """
    log = root / "simulator.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("")
    process = start(
        "simulator",
        [sys.executable, "-m", "tests.doku_simulator", "--root", root, "--port", "0", *arguments],
        log=log, cwd=PROJECT, outlives_us=outlives_us,
    )  # fmt: skip
    try:
        wait_until(lambda: _ready_line(log) is not None, process, timeout=60, what="DOKU's simulator")
    except BaseException:
        process.stop()
        raise
    return RunningSimulator(process, json.loads(_ready_line(log) or "{}"), root)


@contextmanager
def simulator(root: Path, *arguments: str) -> Iterator[RunningSimulator]:
    """A running simulator, stopped at the end; arguments as for `start_simulator`."""
    running = start_simulator(root, *arguments)
    try:
        yield running
    finally:
        running.process.stop()


def _ready_line(log: Path) -> str | None:
    """The line in which it says where it listens; None until it is complete."""
    lines = log.read_text().splitlines(keepends=True)
    return next((line for line in lines if line.startswith("{") and line.endswith("\n")), None)
