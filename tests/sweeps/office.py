"""A merchant's office: its DAGs' tasks as Airflow runs them, against the simulated DOKU over real SFTP.

An error that may pass by itself is tried again, three times; any other fails the task and waits for a person, who
clears it later: the same run again. Nothing is slept for; the clock is the office's own, and DOKU's.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

from include.doku.sftp import SftpSettings, connect
from include.domain.connection import ConnectionSettings
from include.domain.errors import DokuError, ReportRefused
from include.domain.states import RunKind
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
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.simulator import Simulator
from tests.flows_harness import BUSINESS_DATE, Merchant, charge
from tests.sweeps import ground

RETRIES = 3
"""As `plugins.dag_parts.DEFAULT_ARGS` has it."""

ANSWER_SECONDS = 3.0
"""How long the office waits for an answer of the server (30 seconds in real life)."""

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """What a person could read in the log of a task: the error's class, its words, and whether Airflow tries again."""

    task: str
    error: str
    words: str
    retried: bool


class TaskFailed(Exception):
    """A task failed for good; the tasks behind it do not run."""


class Office:
    """One merchant with a simulated DOKU of its own; use `office(...)`."""

    def __init__(self, merchant: Merchant, doku: Simulator) -> None:
        self.merchant, self.doku = merchant, doku
        self.said: list[Said] = []
        self.charges: list[str] = []
        self.looks_apart = 0.0
        """Real seconds between the two looks that show whether a report still grows."""
        self.after_looks: Callable[[], object] = lambda: None
        """Called once after the two looks."""

    @property
    def context(self) -> FlowContext:
        """What an operator would look up."""
        return self.merchant.context

    @property
    def today(self) -> date:
        """The merchant's calendar day."""
        return self.context.today

    # --- the billing database --------------------

    def bill(self, *rows: Mapping[str, Any]) -> None:
        """List charges that are due."""
        self.merchant.list_charges(*rows)
        self.charges += [str(row["charge_id"]) for row in rows]

    def bill_some(self, count: int, prefix: str) -> None:
        """List so many good charges that are due today."""
        due = self.today.isoformat()
        self.bill(*(charge(f"{prefix}-{number:03}", 50_000 + 1_000 * number, due_date=due) for number in range(count)))

    # --- the tasks --------------------

    def submit(self, external_id: str, business_date: date | None = None) -> bool:
        """Run, or clear and run again, `doku_submit__<profile>`; whether it went through."""
        try:
            run = self._task("open", lambda: self._run(RunKind.SUBMIT, external_id, business_date))
            batch_ids = self._task("extract_and_claim", lambda: extract_and_claim(self.context, run))
            self._each("render_and_seal", batch_ids, lambda one: render_and_seal(self.context, one, run.run_id))
            self._each("deliver", batch_ids, lambda one: deliver(self.context, one, run.run_id))
            self._task("record", lambda: close_submit_run(self.context, run))
        except TaskFailed:
            return False
        return True

    def reconcile(self, external_id: str = "") -> bool:
        """Run `doku_reconcile__<profile>`; whether it went through. A refused report fails its last task, as there."""
        name = external_id or f"reconcile {self.merchant.now.isoformat()} {time.monotonic_ns()}"
        try:
            run = self._task("open", lambda: self._run(RunKind.RECONCILE, name, None))
            stable = self._task("wait_for_reports", self._stable_reports)
            self._task("fetch", lambda: fetch_reports(self.context, stable))
            ingested = self._task("ingest", lambda: ingest_fetched(self.context))
            self._task("reconcile", lambda: conclude_batches(self.context, run.run_id))
            self._task("plan_next_attempts", lambda: plan_next_attempts(self.context, run.run_id))
            self._task("write_back", lambda: write_back(self.context))
            self._task("close_books", lambda: close_reconcile_run(self.context, run))
        except TaskFailed:
            return False
        refused = [one.refused_reason for one in ingested if one.refused_reason]
        if refused:
            self.said.append(
                Said("close_books", "ReportRefused", ReportRefused.because(refused).message, retried=False)
            )
        return not refused

    def later(self, **delta: float) -> None:
        """Let time pass, for both sides."""
        self.merchant.later(**delta)

    def next_morning(self) -> None:
        """06:00 of the next day, in the merchant's timezone."""
        now = self.merchant.now.astimezone(self.merchant.profile.zone)
        self.merchant.now = (
            (now + timedelta(days=1)).replace(hour=6, minute=0, second=0).astimezone(self.merchant.now.tzinfo)
        )

    def _run(self, kind: RunKind, external_id: str, business_date: date | None) -> Run:
        request = RunRequest(
            kind=kind,
            profile=self.merchant.profile.name,
            external_id=external_id,
            business_date=business_date or self.today,
            today=self.today,
        )
        return open_run(self.context.ledger, request, self.merchant.now)

    def _stable_reports(self) -> list[str]:
        first = look_for_reports(self.context)
        time.sleep(self.looks_apart)
        stable = [seen.file_name for seen in look_for_reports(self.context).stable_since(first)]
        self.after_looks()
        self.after_looks = lambda: None
        return stable

    def _task(self, name: str, work: Callable[[], T]) -> T:
        for tries_left in range(RETRIES, -1, -1):
            try:
                return work()
            except DokuError as caught:
                retried = caught.retryable and tries_left > 0
                self.said.append(Said(name, type(caught).__name__, caught.message, retried))
                if not retried:
                    raise TaskFailed from None
                self.later(minutes=1)
        raise AssertionError

    def _each(self, name: str, items: Iterable[int], work: Callable[[int], object]) -> None:
        """Mapped tasks: one that fails does not stop the others, only what is behind them."""
        failed = 0
        for item in items:
            try:
                self._task(name, lambda item=item: work(item))  # type: ignore[misc]
            except TaskFailed:
                failed += 1
        if failed:
            raise TaskFailed

    # --- what is there --------------------

    def batches(self) -> dict[str, str]:
        """State by file name, in order."""
        return {row["file_name"]: row["state"] for row in self.merchant.sql("SELECT * FROM batch ORDER BY batch_id")}

    def reports(self) -> dict[str, int]:
        """How many reports are in each state."""
        rows = self.merchant.sql("SELECT state, count(*) AS n FROM report_file GROUP BY state ORDER BY state")
        return {row["state"]: row["n"] for row in rows}

    def breaks(self) -> dict[str, int]:
        """How many open breaks there are of each kind."""
        rows = self.merchant.sql("SELECT kind, count(*) AS n FROM recon_break WHERE state = 'open' GROUP BY kind")
        return {row["kind"]: row["n"] for row in sorted(rows, key=lambda row: row["kind"])}

    def statuses(self) -> dict[str, int]:
        """How many attempts the merchant was told of, by status."""
        found: dict[str, int] = {}
        for row in self.merchant.told().values():
            found[row["status"]] = found.get(row["status"], 0) + 1
        return dict(sorted(found.items()))


@contextmanager
def office(root: Path, changes: Mapping[str, Any] | None = None, **settings: Any) -> Iterator[Office]:
    """An office with an empty ledger and no charges; the simulated DOKU works when told to (`doku.process_once`)."""
    merchant = Merchant(
        root=root / "merchant", ledger_settings=ground.new_ledger(root), keys=ground.keys(), changes=changes or {}
    )
    doku_root = root / "doku"
    (doku_root / "keys").mkdir(parents=True)
    for file in ground.keys().iterdir():
        (doku_root / "keys" / file.name).write_bytes(file.read_bytes())
    config = SimulatorConfig(
        root=doku_root, sftp_root=merchant.remote_root, auto=False, process_after=0, sync=False,
        clock=lambda: merchant.now.timestamp(),
    )  # fmt: skip
    try:
        with Simulator(replace(config, **settings)) as doku:
            sftp = SftpSettings.from_connection(
                ConnectionSettings(
                    "insurance_sftp", "sftp", host=doku.host, port=doku.port, login=doku.user, password=doku.password,
                    extra={"host_key": doku.host_key, "conn_timeout": ANSWER_SECONDS},
                )
            )  # fmt: skip
            merchant.context = replace(merchant.context, remote=lambda: connect(sftp))
            yield Office(merchant, doku)
    finally:
        merchant.ledger.engine.dispose()
        merchant.billing.dispose()


__all__ = ["ANSWER_SECONDS", "BUSINESS_DATE", "Office", "Said", "TaskFailed", "office"]
