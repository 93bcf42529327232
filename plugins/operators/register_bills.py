"""Second task of recurring."""

from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class RegisterBillsOperator(FlowOperator):
    """Take over what the merchant's view wants of bills, ask DOKU for it, and tell the merchant; in a dry run DOKU is
    asked for nothing. Safe to clear: what was asked for is asked for once.
    """  # noqa: D205 - the contract is one sentence

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:
        """Register; returns rows of the view, bills that changed, rows that cannot be used, bills told of."""
        from include.flows.recurring.run import register
        from plugins.runs import ledger_run

        done = register(flow, ledger_run(flow, RunKind.RECURRING, context))
        for line in done.lines():
            self.log.info("%s", line)
        wanted = done.wanted
        counts = {"told": done.told}
        if wanted is not None:
            counts |= {"listed": wanted.listed, "changed": wanted.changed, "rejected": wanted.rejected}
        return counts
