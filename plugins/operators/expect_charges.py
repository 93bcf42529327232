"""Third task of recurring."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class ExpectChargesOperator(FlowOperator):
    """Set which charges DOKU should make up to today, and see to the amounts of bills that vary. Safe to repeat.

    Where the profile says so the amounts of the next days are sent to DOKU. What DOKU was answered is compared with the
    merchant's view: an amount that changed afterwards is a break.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """Set; returns how many charges are new, were judged anew, and how many amounts were sent or differ."""
        from include.flows.recurring.amounts import compare_answers
        from include.flows.recurring.expect import expect_charges
        from include.flows.recurring.push_amounts import Pushed, push_amounts
        from plugins.runs import ledger_run

        run = ledger_run(flow, RunKind.RECURRING, context)
        found = expect_charges(flow)
        pushed = Pushed() if run.dry_run else push_amounts(flow)
        for words in pushed.refused:
            self.log.warning("DOKU refused an amount: %s", words)
        counts = {"new": found.new, "judged": found.judged, "sent": pushed.taken, "differ": compare_answers(flow)}
        self.log.info("Expected: %s", counts)
        return counts
