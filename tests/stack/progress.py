"""Telling a person what is going on while it goes on."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.stack.client import AirflowClient

_DONE = ("success", "failed", "skipped", "upstream_failed")


class Progress:
    """Lines with the seconds since the beginning; also remembers how long each step took.

    Attributes:
        steps: Seconds by step, in order.
    """

    def __init__(self) -> None:
        """Start the clock."""
        self._began = time.monotonic()
        self.steps: dict[str, float] = {}

    def say(self, line: str) -> None:
        """One line, at once."""
        sys.stdout.write(f"{time.monotonic() - self._began:6.1f} s  {line}\n")
        sys.stdout.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step and measure it."""
        self.say(name)
        began = time.monotonic()
        yield
        self.steps[name] = round(time.monotonic() - began, 1)

    def seconds(self) -> float:
        """Seconds since the beginning."""
        return round(time.monotonic() - self._began, 1)


class RunFollower:
    """Says each change of state of the tasks of one run, once."""

    def __init__(self, client: AirflowClient, dag_id: str, run_id: str, progress: Progress) -> None:
        """Follow a run; `look` does the looking."""
        self._client = client
        self._dag_id = dag_id
        self._run_id = run_id
        self._progress = progress
        self._told: dict[tuple[str, int], str] = {}

    def look(self) -> str:
        """Say what has changed since the last look; the run's state now."""
        # The state first: what is said afterwards is then at least as new.
        state = str(self._client.run(self._dag_id, self._run_id)["state"])
        for one in self._client.task_instances(self._dag_id, self._run_id):
            key = (one["task_id"], one["map_index"])
            if one["state"] and self._told.get(key) != one["state"]:
                self._told[key] = one["state"]
                self._tell(one)
        return state

    def follow(self, timeout: float) -> str:
        """Look again and again until the run has ended; its state.

        Raises:
            TimeoutError: It has not ended in `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while (state := self.look()) not in ("success", "failed"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._dag_id} is still {state} after {timeout:.0f} s: {self._told}")
            time.sleep(0.5)
        return state

    def _tell(self, instance: dict[str, object]) -> None:
        state = str(instance["state"])
        if state not in (*_DONE, "running", "deferred", "up_for_retry"):
            return
        index = f"[{instance['map_index']}]" if instance["map_index"] != -1 else ""
        took = f" ({instance['duration']:.1f} s)" if state in _DONE and instance["duration"] else ""
        self._progress.say(f"  {self._dag_id}.{instance['task_id']}{index}: {state}{took}")
