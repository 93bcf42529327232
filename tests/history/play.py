"""The real flows live through the history: what the tasks of the DAGs do, day by day, and people where one is asked."""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from include.billing.outcomes import create_outcomes_table
from include.domain.errors import DokuError, NotAllowed, RemoteError
from include.domain.states import RunKind
from include.flows.approve import answer_run, judge_run
from include.flows.batch_decisions import file_refused
from include.flows.close import close_submit_run
from include.flows.context import FlowContext
from include.flows.decisions import cancel, hold, lift
from include.flows.deliver import deliver
from include.flows.fetch import fetch_reports, look_for_reports
from include.flows.ingest import ingest_fetched
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import close_reconcile_run, conclude_batches, write_back
from include.flows.seal import render_and_seal
from include.flows.settle import settle
from include.flows.setup_mended import setup_mended
from include.flows.submit import extract_and_claim
from include.ledger.runs import Run, RunRequest, open_run
from include.schemas.profile import load_profile
from tests import flows_harness as harness
from tests.history.doku import Desk, Doku
from tests.history.merchant import Merchant
from tests.history.world import World, chance, days, last_day, world
from tests.stack.toml import changed
from tests.sweeps import ground

MAIN: Final = "insurance"
PARTNER: Final = "partner"

SETTINGS: Final[dict[str, Any]] = {
    "retry": {"enabled": True, "pay_days": [25, 1], "weekdays": ["mon", "tue", "wed", "thu", "fri"]},
    "brakes": {"max_quarantined_share": 1.0, "max_per_customer": 50, "unusual_factor": 1000.0},
    "limits": {"max_rows_per_batch": 300},
}  # fmt: skip

OF_PARTNER: Final[dict[str, Any]] = {
    "merchant": "MCH0002", "billing_source": "partner-billing", "retry": {"enabled": False},
    "connections": {"billing": "partner_billing", "sftp": "partner_sftp"},
}  # fmt: skip

PARTNERS_DAYS: Final = frozenset((*days()[::10], last_day()))
"""The days on which the partner's programs run at all."""

MONDAY: Final = 0

MOST_CALLS: Final = 8
"""Attempts that a person settles in a day."""

WAITED: Final = timedelta(days=9)
"""How long nobody knows what became of an attempt until DOKU is asked."""


@dataclass
class House:
    """One merchant's side: its billing database, the operators, and what the flows need.

    Attributes:
        works: Days on which its charges are submitted.
        reads: Days on which its reports are read.
    """

    people: Merchant
    harness: harness.Merchant
    desk: Desk
    context: FlowContext
    works: frozenset[date] = frozenset(days())
    reads: frozenset[date] = frozenset(days())
    waiting: list[tuple[Run, int]] = field(default_factory=list)

    @property
    def world(self) -> World:
        """Its customers."""
        return self.people.world


@dataclass
class History:
    """What was played.

    Attributes:
        houses: By profile.
        said: Errors that the flows raised, by class; each one is a task that failed and was mended or waited for.
        seconds: What took how long.
    """

    houses: dict[str, House]
    doku: Doku
    keys: Path
    said: Counter[str] = field(default_factory=Counter)
    seconds: Counter[str] = field(default_factory=Counter)

    def play(self) -> None:
        """Sixty days."""
        for day in days():
            at_work = [one for one in self.houses.values() if day in one.works]
            for house in self.houses.values():
                _set(house, day, 6)
                with self._timed("merchant"):
                    operators = house.people.morning(day)
                for act in operators:
                    self._decide(house, act.what, act.charge_id)
            for house in at_work:
                _set(house, day, 6)
                with self._timed("people"):
                    self._tidy_up(house, day)
                self._submit(house, day)
            with self._timed("DOKU"):
                self.doku.work(day)
            for house in (one for one in self.houses.values() if day in one.reads):
                _set(house, day, 16)
                self._reconcile(house, day)
                with self._timed("merchant"):
                    house.people.evening(day)

    def close(self) -> None:
        """Let go of the databases."""
        for house in self.houses.values():
            house.harness.ledger.engine.dispose()
            house.harness.billing.dispose()

    # --- a day of one merchant --------------------

    def _submit(self, house: House, day: date) -> None:
        context, faults = house.context, house.harness.server.faults
        faults.clear()
        if day in house.world.down:
            house.harness.server.plan("connect", times=10**9, before=harness.lost())
        elif day in house.world.unsure:
            house.harness.server.plan("rename", after=harness.lost())
        run = _open(house, RunKind.SUBMIT, day)
        with self._timed("claim"):
            batch_ids = extract_and_claim(context, run)
        if day in house.world.slow:
            house.people.after_the_claim(day)
            house.harness.later(minutes=30)
        with self._timed("seal"):
            for batch_id in batch_ids:
                render_and_seal(context, batch_id, run.run_id)
        self._judge(house, run)
        with self._timed("deliver"):
            for batch_id in batch_ids:
                self._deliver(house, batch_id, run)
        if day not in house.world.down:
            with self._timed("close"):
                close_submit_run(context, run)
        house.people.journal.submits.append(day)

    def _judge(self, house: House, run: Run) -> None:
        """A person looks when a brake asks for one, and lets it go on."""
        judgement = judge_run(house.context, run.run_id)
        if not judgement.may_go:
            self.said["brake: " + ", ".join(sorted(str(one.kind) for one in judgement.brakes))] += 1
            answer_run(house.context, run.run_id, by="Siti", approve=True, words="the figures are right")

    def _deliver(self, house: House, batch_id: int, run: Run) -> None:
        for _ in range(3):  # as Airflow tries again, or a person clears the task
            try:
                deliver(house.context, batch_id, run.run_id)
            except DokuError as caught:
                self.said[type(caught).__name__] += 1
                house.harness.later(minutes=1)
            else:
                return

    def _reconcile(self, house: House, day: date) -> None:
        context, run = house.context, _open(house, RunKind.RECONCILE, day)
        try:
            first = look_for_reports(context)
            names = [seen.file_name for seen in look_for_reports(context).stable_since(first)]
        except RemoteError as caught:
            self.said[type(caught).__name__] += 1
            return
        with self._timed("fetch"):
            fetch_reports(context, names)
        with self._timed("ingest"):
            refused = [one for one in ingest_fetched(context) if one.refused_reason]
        self.said["report refused"] += len(refused)
        with self._timed("conclude"):
            conclude_batches(context, run.run_id)
        with self._timed("plan next"):
            plan_next_attempts(context, run.run_id)
        with self._timed("write back"):
            write_back(context)
        with self._timed("close"):
            close_reconcile_run(context, run)
        house.people.journal.reconciles.append(day)

    def _tidy_up(self, house: House, day: date) -> None:
        """What DOKU says on the telephone: files that it did not take, attempts of which nobody knows anything."""
        journal, context = house.people.journal, house.context
        house.harness.server.faults.clear()
        for told in sorted(house.desk.rejected):
            for name in house.desk.rejected.pop(told) if told < day else ():
                file_refused(context, file_name=name, by="Siti", why="DOKU's letter")
                journal.refused[name] = day
        query = """
            SELECT a.invoice_number, coalesce(max(o.strength), 0) AS strength
            FROM batch b JOIN attempt a ON a.batch_id = b.batch_id
            LEFT JOIN outcome o ON o.invoice_number = a.invoice_number
            WHERE b.profile = :profile AND b.state IN ('delivered', 'reconciled') AND b.execute_date = :day
            GROUP BY a.invoice_number HAVING coalesce(max(o.strength), 0) < 2 ORDER BY a.invoice_number
        """
        waiting = house.harness.sql(query, profile=house.world.name, day=(day - WAITED).isoformat())
        for row in waiting[: min(MOST_CALLS, (len(waiting) + 1) // 2)]:
            rng = chance(self.doku.seed, "asked on the telephone", row["invoice_number"])
            answer = rng.choice(("paid", "paid", "declined", "withdrawn"))
            settle(
                context, invoice_number=row["invoice_number"], outcome=answer, evidence="DOKU's back office",
                by="Siti", why="nobody else says",
            )  # fmt: skip
            journal.settled[row["invoice_number"]] = (answer, day)
        if day.weekday() == MONDAY:
            with suppress(NotAllowed):  # nothing waits for it
                setup_mended(context, by="Siti", why="DOKU changed the settings")
                journal.setup_mended.append(day)

    def _decide(self, house: House, what: str, charge_id: str) -> None:
        """What the merchant asks an operator for; it may be refused."""
        by = {"by": "Budi", "why": "the customer called"}
        try:
            if what == "cancel":
                cancel(house.context, charge_id=charge_id, **by)
            elif what == "hold":
                hold(house.context, scope="charge", subject=charge_id, **by)
            else:
                lift(house.context, scope="charge", subject=charge_id, **by)
        except NotAllowed:
            self.said[f"{what} refused"] += 1

    def _timed(self, what: str) -> "_Timer":
        return _Timer(self.seconds, what)


class _Timer:
    def __init__(self, seconds: Counter[str], what: str) -> None:
        self._seconds, self._what = seconds, what

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._seconds[self._what] += time.perf_counter() - self._began  # type: ignore[assignment]


def history(root: Path, seed: int, customers: int, *, reads_every: int = 1) -> History:
    """Set the stage: an insurer with so many customers, and a partner with a few, who share a ledger and a DOKU.

    Args:
        reads_every: The insurer reads reports on every so-manieth day only, and on the last one.
    """
    keys = ground.keys()
    settings = ground.new_ledger(root)
    main = world(seed, MAIN, customers)
    worlds = {MAIN: main, PARTNER: world(seed, PARTNER, max(20, customers // 40), tokens_of=main)}
    houses = {}
    for name, one in worlds.items():
        place = root / name
        place.mkdir(parents=True)
        people = Merchant(one, place / "billing.db", asks=0.06 if name == MAIN else 0.4)
        people.file.touch()  # the harness makes no table of its own then
        changes = SETTINGS if name == MAIN else changed(SETTINGS, OF_PARTNER)
        made = harness.Merchant(root=place, ledger_settings=settings, keys=keys, changes=changes)
        create_outcomes_table(made.billing)
        people.set_up()
        if name != MAIN:
            made.context = made.context_for(load_profile(made.write_profile(name, changes)))
        houses[name] = House(people, made, Desk(one, made.remote_root), made.context)
    houses[MAIN].reads = frozenset((*days()[::reads_every], last_day()))
    houses[PARTNER].works = houses[PARTNER].reads = PARTNERS_DAYS
    return History(houses, Doku(seed, keys, {name: one.desk for name, one in houses.items()}), keys)


def _set(house: House, day: date, hour: int) -> None:
    """Local time in Jakarta."""
    house.harness.now = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=hour - 7)


def _open(house: House, kind: RunKind, day: date) -> Run:
    request = RunRequest(
        kind=kind, profile=house.context.profile.name, external_id=f"{kind}-{day}", business_date=day,
        today=house.context.today,
    )  # fmt: skip
    return open_run(house.context.ledger, request, house.harness.now)
