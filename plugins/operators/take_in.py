"""First task of recurring."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class TakeInOperator(FlowOperator):
    """Take in the notifications about bills that wait in the inbox, each in one transaction.

    One that cannot be read, or that belongs to nothing, is kept as failed and does not stop the others.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, Any]:
        """Take in; returns how many ended in each state."""
        from include.flows.recurring.take_in import take_in
        from plugins.runs import ledger_run

        taken = take_in(flow, ledger_run(flow, RunKind.RECURRING, context).run_id)
        for words in taken.failed:
            self.log.warning("Waits for a person: %s", words)
        self.log.info("Taken in: %s", taken.states or "nothing")
        return taken.states
