"""Our flows, stage by stage, in a process of their own: `python -m tests.bench.ours submit|reconcile` (told by stdin).

What Airflow does between the tasks is not in it; each task would begin with the stage `start` once more. The tasks of
single batches (rendering, delivery) are done by as many processes as there are workers, as Airflow's mapped tasks are.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.bench.meter import Meter, added, peak, profiled, reset_peak

if TYPE_CHECKING:
    from include.flows.context import FlowContext
    from tests.bench.ground import Told

SUBMIT: Final = ("start", "read and stage", "claim", "render and seal", "approve", "tell and deliver", "books")
RECONCILE: Final = ("start", "fetch", "open and stage", "match", "conclude", "plan next", "write back", "books")

_ENDS: Final = {
    "claim: everything staged": "read and stage",
    "claim: committed": "claim",
    "brakes: judged": "approve",
    "ingest: everything staged": "open and stage",
    "ingest: committed": "match",
    "plan next: committed": "plan next",
}
"""Steps of the flows at which a stage is over."""


class _Clockwork:
    """Runs flows and notes the cost of each stage."""

    def __init__(self, told: "Told") -> None:
        self._told = told
        self.meter = Meter(told.servers)

    def step(self, name: str) -> None:
        """What a flow calls before and after each effect."""
        if name in _ENDS:
            self.meter.ends(_ENDS[name])

    def run(self, stage: str, flow: Callable[[], Any]) -> Any:
        """A flow whose end is the end of a stage."""
        if self._told.profile_to is None:
            found = flow()
        else:
            found = profiled(Path(self._told.profile_to), stage.replace(" ", "_"))(flow)
        self.meter.ends(stage)
        return found

    def run_each(self, stage: str, flow: Callable[[int], Any], batch_ids: list[int]) -> None:
        """A flow for each batch, by so many processes as work on mapped tasks."""
        workers = min(self._told.workers, len(batch_ids))
        if workers < 2:
            for batch_id in batch_ids:
                self.run(stage, partial(flow, batch_id))
            return

        def task(batch_id: int) -> float:
            reset_peak()
            flow(batch_id)
            return peak()

        _TASKS[stage] = task
        with get_context("fork").Pool(workers) as pool:
            highest = max(pool.map(_do, [(stage, batch_id) for batch_id in batch_ids], chunksize=1))
            pool.close()
            pool.join()
        self.meter.ends(stage, highest)


_TASKS: dict[str, Callable[[int], float]] = {}
"""What a forked process finds when it is told of a batch."""


def _do(of: tuple[str, int]) -> float:
    stage, batch_id = of
    return _TASKS[stage](batch_id)


@contextmanager
def _context(told: "Told", clockwork: _Clockwork) -> "Iterator[FlowContext]":
    from upath import UPath

    from include.domain.connection import ConnectionSettings
    from include.flows.assemble import flow_context
    from include.schemas.profile import load_profile
    from tests.bench.ground import NOW

    profile = load_profile(Path(told.environment["DOKU_PROFILES_DIR"]) / f"{told.profile}.toml")

    def look_up(conn_id: str) -> ConnectionSettings:
        return ConnectionSettings.from_env_value(conn_id, told.environment[f"AIRFLOW_CONN_{conn_id.upper()}"])

    with flow_context(profile, look_up, UPath(told.environment["DOKU_ARTEFACTS"]), lambda: NOW) as context:
        yield replace(context, step=clockwork.step)


def _run(context: "FlowContext", kind: str) -> Any:
    from include.domain.states import RunKind
    from include.ledger.runs import RunRequest, open_run
    from tests.bench.ground import DAY

    request = RunRequest(
        kind=RunKind(kind), profile=context.profile.name, external_id=kind, business_date=DAY, today=context.today
    )
    return open_run(context.ledger, request, context.clock())


def submit(told: "Told") -> list[dict[str, Any]]:
    """`doku_submit__<profile>`, one task after the other."""
    clockwork = _Clockwork(told)
    from include.flows.approve import judge_run
    from include.flows.close import close_submit_run
    from include.flows.deliver import deliver
    from include.flows.seal import render_and_seal
    from include.flows.submit import extract_and_claim

    with _context(told, clockwork) as context:
        run = _run(context, "submit")
        clockwork.meter.ends("start")
        batch_ids = clockwork.run("claim", lambda: extract_and_claim(context, run))
        clockwork.run_each("render and seal", lambda one: render_and_seal(context, one, run.run_id), batch_ids)
        clockwork.run("approve", lambda: judge_run(context, run.run_id))
        clockwork.run_each("tell and deliver", lambda one: deliver(context, one, run.run_id), batch_ids)
        clockwork.run("books", lambda: close_submit_run(context, run))
    return [cost.as_json() for cost in added(clockwork.meter.costs)]


def reconcile(told: "Told") -> list[dict[str, Any]]:
    """`doku_reconcile__<profile>`, one task after the other."""
    clockwork = _Clockwork(told)
    from include.flows.fetch import fetch_reports, look_for_reports
    from include.flows.ingest import ingest_fetched
    from include.flows.plan_next import plan_next_attempts
    from include.flows.reconcile import close_reconcile_run, conclude_batches, write_back

    with _context(told, clockwork) as context:
        run = _run(context, "reconcile")
        clockwork.meter.ends("start")
        names = [seen.file_name for seen in look_for_reports(context).listed]
        clockwork.run("fetch", lambda: fetch_reports(context, names))
        clockwork.run("match", lambda: ingest_fetched(context))
        clockwork.run("conclude", lambda: conclude_batches(context, run.run_id))
        clockwork.run("plan next", lambda: plan_next_attempts(context, run.run_id))
        clockwork.run("write back", lambda: write_back(context))
        clockwork.run("books", lambda: close_reconcile_run(context, run))
    return [cost.as_json() for cost in added(clockwork.meter.costs)]


if __name__ == "__main__":
    from tests.bench.ground import Told

    told_now = Told.loads(sys.stdin.read())
    statements = None
    if told_now.profile_to:
        from tests.bench.statements import Statements

        statements = Statements()
    sys.stdout.write(json.dumps({"submit": submit, "reconcile": reconcile}[sys.argv[1]](told_now)) + "\n")
    if statements and told_now.profile_to:
        statements.keep(Path(told_now.profile_to) / f"statements_{sys.argv[1]}.txt")
