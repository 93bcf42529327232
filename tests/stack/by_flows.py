"""A business day by the flows alone, without Airflow: what the DAGs do, in one process and in seconds."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from upath import UPath

from include.domain.connection import ConnectionSettings
from include.domain.states import RunKind
from include.flows.assemble import flow_context
from include.flows.books import books_of_day
from include.flows.close import close_submit_run
from include.flows.context import FlowContext
from include.flows.deliver import deliver
from include.flows.fetch import fetch_reports, look_for_reports
from include.flows.ingest import ingest_fetched
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import close_reconcile_run, conclude_batches, write_back
from include.flows.seal import render_and_seal
from include.flows.submit import extract_and_claim
from include.ledger.runs import Run, RunRequest, open_run
from include.schemas.profile import load_profile
from tests.stack.scene import Scene

Clock = Callable[[], datetime]

_numbers = itertools.count(1)


@contextmanager
def context_of(scene: Scene, clock: Clock = lambda: datetime.now(UTC)) -> Iterator[FlowContext]:
    """The context that an operator would make for this scene."""
    profile = load_profile(scene.profiles / f"{scene.profile}.toml")
    values = scene.environment()

    def look_up(conn_id: str) -> ConnectionSettings:
        return ConnectionSettings.from_env_value(conn_id, values[f"AIRFLOW_CONN_{conn_id.upper()}"])

    with flow_context(profile, look_up, UPath(scene.artefacts.as_uri()), clock) as context:
        yield context


def run_of(context: FlowContext, kind: RunKind, scene: Scene, external_id: str = "") -> Run:
    """A new run of the scene's day, or the one of that external id again."""
    request = RunRequest(
        kind=kind,
        profile=scene.profile,
        external_id=external_id or f"by_flows_{next(_numbers)}",
        business_date=scene.business_date,
        today=context.today,
    )
    return open_run(context.ledger, request, context.clock())


def submit(scene: Scene, clock: Clock = lambda: datetime.now(UTC), external_id: str = "") -> list[int]:
    """What `doku_submit__<profile>` does; the ids of its batches."""
    with context_of(scene, clock) as context:
        run = run_of(context, RunKind.SUBMIT, scene, external_id)
        batch_ids = extract_and_claim(context, run)
        for batch_id in batch_ids:
            render_and_seal(context, batch_id, run.run_id)
            deliver(context, batch_id, run.run_id)
        close_submit_run(context, run)
        return batch_ids


def reconcile(scene: Scene, clock: Clock = lambda: datetime.now(UTC), external_id: str = "") -> list[str]:
    """What `doku_reconcile__<profile>` does with the reports that lie there now; the names of batches still open."""
    with context_of(scene, clock) as context:
        run = run_of(context, RunKind.RECONCILE, scene, external_id)
        first = look_for_reports(context)
        time.sleep(0.1)
        stable = look_for_reports(context).stable_since(first)
        fetch_reports(context, [seen.file_name for seen in stable])
        ingest_fetched(context)
        concluded = conclude_batches(context, run.run_id)
        plan_next_attempts(context, run.run_id)
        write_back(context)
        close_reconcile_run(context, run)
        return list(concluded.waiting)


def reconcile_until_done(scene: Scene, clock: Clock = lambda: datetime.now(UTC), timeout: float = 30.0) -> None:
    """Reconcile again and again, as the schedule would, until no batch is open.

    Raises:
        TimeoutError: A batch is still open after `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while waiting := reconcile(scene, clock):
        if time.monotonic() > deadline:
            raise TimeoutError(f"still open after {timeout:.0f} s: {waiting}")
        time.sleep(0.2)


def books(scene: Scene) -> dict[str, Any]:
    """The books of the scene's day."""
    with context_of(scene) as context:
        return books_of_day(context, scene.business_date)
