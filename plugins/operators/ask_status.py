"""A task of reconcile beside the others, where the profile asks DOKU."""

from typing import TYPE_CHECKING, Any

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class AskStatusOperator(FlowOperator):
    """Ask DOKU what became of attempts that stay unknown, each at growing distances. Never above a report.

    That DOKU's API is silent does not fail the task: it is logged and kept, and the watchdog tells if it lasts.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, int]:  # noqa: ARG002 - one form for all operators
        """Ask; returns how many attempts were asked for, and how many were decided, by outcome."""
        from collections import Counter

        from include.flows.ask_status import ask_status

        found = ask_status(flow)
        for one in found.answers:
            self.log.info("%s: %s; %s", one.invoice_number, one.words, one.outcome or "decides nothing")
        for problem in (found.problem, found.clock_problem):
            if problem:
                self.log.warning("%s", problem)
        decided = Counter(str(one.outcome) for one in found.answers if one.outcome is not None)
        return {"asked": len(found.answers), **decided}
