"""Random days: hypothesis mixes what people, DOKU, the network and the clock do, by seed, and the promises must hold.

`python -m tests.sweeps.mixes --seed 7` plays the mixes of one seed again, and shrinks what fails to the fewest steps.
"""

import argparse
import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from include.domain.errors import ApprovalMissing, ApprovalRefused, NotAllowed
from include.flows.approve import answer_run
from include.flows.decisions import cancel, hold, lift, withdraw
from tests.doku_simulator.behaviour import Behaviour, Fault
from tests.doku_simulator.menu import MENU
from tests.flows_harness import TOKEN, charge
from tests.sweeps.office import Office, office
from tests.sweeps.promises import broken, broken_so_far, lies

EXAMPLES: Final = 5
"""Mixes of one seed."""

STEPS: Final = 14
LEAST_STEPS: Final = 7
BRAKE_ABOVE: Final = 8
"""Charges of a run from which on a person has to approve."""

# Only time is lost by these; the table of faults plays them.
_NOT_MIXED: Final = {"slow", "hang", "report_growing"}
# Faults after which DOKU never answers, or nobody can say whether it was asked.
_LASTING: Final = {
    "file_rejected", "file_ignored", "report_never", "lines_missing", "rename_cut", "upload_cut", "disk_full",
    "answers_unknown", "lines_code_unlisted", "report_truncated", "report_bit_flipped", "report_empty",
    "report_trailing_garbage", "report_wrong_totals", "report_wrong_key",
}  # fmt: skip
_PARAMS: Final[dict[str, dict[str, Any]]] = {
    "upload_cut": {"at": 700}, "disk_full": {"at": 700}, "download_cut": {"at": 700},
    **{name: {"repair_after_seconds": 1800} for name in (
        "report_truncated", "report_bit_flipped", "report_empty", "report_trailing_garbage", "report_wrong_totals",
        "report_wrong_key",
    )},
}  # fmt: skip
_PEOPLE: Final = st.sampled_from(("Ani", "Budi"))


class Days(RuleBasedStateMachine):
    """An office in which anything may happen next."""

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        root = Path(tempfile.mkdtemp(prefix="doku-mix-"))
        self._stack.callback(shutil.rmtree, root, ignore_errors=True)
        changes = {"brakes": {"max_count": BRAKE_ABOVE}}
        self.office: Office = self._stack.enter_context(office(root, changes))
        self._numbers = itertools.count(1)
        self._runs: list[str] = []
        self._orders: list[Fault] = []
        self._held: list[tuple[str, str]] = []

    # Few rules with many branches: hypothesis leaves rules out at random, and a mix needs each kind of them.

    @initialize(count=st.integers(2, 6))
    def first_charges(self, count: int) -> None:
        self._bill(count)

    @rule(
        names=st.lists(st.sampled_from(sorted(set(MENU) - _NOT_MIXED)), min_size=1, max_size=4), after=st.integers(0, 2)
    )
    def a_day_with_faults(self, names: list[str], after: int) -> None:
        for name in names:
            self._order(name, after)
        self._bill(3)
        self.a_whole_day()

    @rule()
    def a_whole_day(self) -> None:
        """What most days are, so that there is something that can go wrong later."""
        self.runs("submit", None)
        self.office.doku.process_once()
        self.runs("reconcile", None)

    @rule(what=st.sampled_from(("submit", "clear", "clear", "reconcile", "DOKU works")), data=st.data())
    def runs(self, what: str, data: Any) -> None:
        """One side does something."""
        if what == "clear" and self._runs:
            self.office.submit(data.draw(st.sampled_from(self._runs), label="run"))
        elif what == "submit":
            self._runs.append(f"submit {next(self._numbers)}")
            self.office.submit(self._runs[-1])
        elif what == "reconcile":
            self.office.reconcile()
        else:
            self.office.doku.process_once()
        found = list(broken_so_far(self.office))
        assert not found, found

    @rule(what=st.sampled_from(("bill", "bill badly", "mend", "ask again", "change")), data=st.data())
    def the_merchant(self, what: str, data: Any) -> None:
        """Changes what is due."""
        one = self.office.merchant
        if what == "bill":
            self._bill(data.draw(st.integers(1, 6), label="count"))
        elif what == "bill badly":
            due = self.office.today.isoformat()
            self.office.bill(charge(f"BAD{next(self._numbers):02}", token=None, due_date=due))
        elif what == "mend":
            one.change_charges("token = :token WHERE token IS NULL", token=TOKEN)
        elif what == "ask again" and (declined := self._declined()):
            charge_id, number = data.draw(st.sampled_from(declined), label="charge")
            one.change_charges("attempt_no = :number WHERE charge_id = :id", number=number + 1, id=charge_id)
        elif what == "change":
            charge_id = data.draw(st.sampled_from(self.office.charges), label="charge")
            one.change_charges("amount = amount + 1000 WHERE charge_id = :id", id=charge_id)

    @rule(what=st.sampled_from(("hold", "lift", "withdraw", "cancel", "approve", "approve", "refuse")), data=st.data())
    def somebody(self, what: str, data: Any) -> None:
        """Decides something, allowed or not."""
        context, by = self.office.context, data.draw(_PEOPLE, label="by")
        decision = {"by": by, "why": "a mix"}
        if what == "hold":
            scope, subject = data.draw(st.sampled_from(self._subjects()), label="subject")
            hold(context, scope=scope, subject=subject, **decision)
            self._held.append((scope, subject))
        elif what == "lift" and self._held:
            self._lift(*data.draw(st.sampled_from(self._held), label="hold"))
        elif what == "withdraw" and (names := list(self.office.batches())):
            name = data.draw(st.sampled_from(names), label="batch")
            _allowed_or_not(lambda: withdraw(context, file_name=name, **decision))
        elif what == "cancel":
            charge_id = data.draw(st.sampled_from(self.office.charges), label="charge")
            _allowed_or_not(lambda: cancel(context, charge_id=charge_id, **decision))
        elif what in ("approve", "refuse") and (run_ids := self._submit_runs()):
            run_id = data.draw(st.sampled_from(run_ids), label="run")
            self._answer(run_id, by, approve=what == "approve")

    @rule(name=st.sampled_from(sorted(set(MENU) - _NOT_MIXED)), after=st.integers(0, 2))
    def a_fault_is_to_come(self, name: str, after: int) -> None:
        self._order(name, after)

    @rule(hours=st.sampled_from((1, 5, 16, 24)))
    def time_passes(self, hours: int) -> None:
        self.office.later(hours=hours)

    def _bill(self, count: int) -> None:
        self.office.bill_some(count, f"C{next(self._numbers):02}")

    def _order(self, name: str, after: int) -> None:
        number = next(self._numbers)
        after = 0 if MENU[name].place == "batch" else after
        params = _PARAMS.get(name, {})
        self._orders.append(Fault(name, seed=number, after=after, params=params, id=f"{name} {number}"))
        self.office.doku.behave(Behaviour(faults=tuple(self._orders)))

    def _subjects(self) -> list[tuple[str, str]]:
        charges = self.office.charges
        return [
            ("profile", "insurance"),
            *(("batch", name) for name in self.office.batches()),
            *(("charge", name) for name in charges),
            *(("customer", f"K-{name}") for name in charges),
        ]

    def _answer(self, run_id: int, by: str, *, approve: bool) -> None:
        _allowed_or_not(lambda: answer_run(self.office.context, run_id, by=by, approve=approve, words="a mix"))

    # --- what must hold --------------------

    def teardown(self) -> None:
        """The operators tidy up; then everything must tie, and what is still open must be open for a reason."""
        try:
            if self.office.charges:
                self._tidy_up()
                found = broken(self.office, lied_about=lies(self.office))
                found += self._stuck()
                assert not found, found
        finally:
            self._stack.close()

    def _tidy_up(self) -> None:
        one = self.office
        one.doku.behave()
        for scope, subject in self._held:
            self._lift(scope, subject)
        one.next_morning()
        for names in (self._runs, [*self._runs, "tidy up"]):
            for name in names:
                one.submit(name)
            for run_id in self._submit_runs():
                self._answer(run_id, "Ani", approve=True)
        for name in [*self._runs, "tidy up"]:
            one.submit(name)
        one.doku.process_once()
        one.later(hours=2)
        one.doku.process_once()
        one.doku.release_reports()
        one.reconcile()
        one.reconcile()

    def _stuck(self) -> list[str]:
        """Batches that have not ended although nothing that lasts happened to any."""
        fired = {record["name"] for record in self.office.doku.faults_fired}
        if fired & _LASTING:
            return []
        return [
            f"{name} is still {state}, and only {sorted(fired) or 'nothing'} happened"
            for name, state in self.office.batches().items()
            if state not in ("reconciled", "withdrawn")
        ]

    def _lift(self, scope: str, subject: str) -> None:
        _allowed_or_not(lambda: lift(self.office.context, scope=scope, subject=subject, by="Ani", why="a mix"))

    def _declined(self) -> list[tuple[str, int]]:
        rows = self.office.merchant.sql(
            "SELECT a.charge_id, max(a.attempt_no) AS attempt_no FROM attempt a GROUP BY a.charge_id ORDER BY 1"
        )
        told = self.office.merchant.told()
        pairs = [(row["charge_id"], row["attempt_no"]) for row in rows]
        return [pair for pair in pairs if told.get(pair, {}).get("status") == "declined"]

    def _submit_runs(self) -> list[int]:
        rows = self.office.merchant.sql("SELECT run_id FROM run WHERE kind = 'submit' AND state <> 'open' ORDER BY 1")
        return [row["run_id"] for row in rows]


def _allowed_or_not(decide: Callable[[], object]) -> None:
    """A person's decision may be refused, in words; nothing else may come of it."""
    try:
        decide()
    except (NotAllowed, ApprovalRefused, ApprovalMissing):
        return


def play(number: int, *, shrink: bool, examples: int = EXAMPLES) -> None:
    """Play the mixes of a seed.

    Raises:
        AssertionError: A promise does not hold; has the steps.
    """
    machine = seed(number)(type("Days", (Days,), {}))
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    chosen = settings(
        max_examples=examples, stateful_step_count=STEPS, deadline=None, database=None, phases=phases,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=chosen, _min_steps=LEAST_STEPS)


def main() -> int:
    """Play one seed; 1 when a promise does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.sweeps.mixes", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--no-shrink", action="store_true", help="stop at the first mix that fails")
    options = parser.parse_args()
    play(options.seed, shrink=not options.no_shrink)
    sys.stdout.write(f"Seed {options.seed}: the promises hold in {EXAMPLES} mixes of up to {STEPS} steps.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
