"""Fourth task of recurring."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class AskForChargesOperator(FlowOperator):
    """Ask DOKU for charges that did not come, as far as the profile says by which id, and show what is missing.

    That DOKU's API is silent does not fail the task: it is logged and kept, and the watchdog tells if it lasts.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """Ask; returns how many charges were asked for, decided by that, and are missing since."""
        from include.flows.recurring.ask import ask_for_charges
        from plugins.runs import ledger_run

        if ledger_run(flow, RunKind.RECURRING, context).dry_run:
            self.log.info("A dry run asks DOKU for nothing.")
            return {"asked": 0, "decided": 0, "missing": 0}
        found = ask_for_charges(flow)
        if found.problem:
            self.log.warning("DOKU does not answer: %s", found.problem)
        counts = {"asked": found.asked, "decided": found.decided, "missing": found.missing}
        self.log.info("Asked for: %s", counts)
        return counts
