"""First task of submit."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class ExtractAndClaimOperator(FlowOperator):
    """Read the due charges of the business date, check each, quarantine the bad and claim the good in batches.

    Returns the ids of the batches. Run again, it finds what it claimed and changes nothing.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> list[int]:
        """Claim."""
        from include.flows.submit import extract_and_claim
        from plugins.runs import ledger_run

        run = ledger_run(flow, RunKind.SUBMIT, context)
        batch_ids = extract_and_claim(flow, run)
        self.log.info("Business date %s, run %s: batches %s", run.business_date, run.run_id, batch_ids or "none")
        return batch_ids
