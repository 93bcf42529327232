"""Third task of submit, once for each batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class DeliverOperator(FlowOperator):
    """Deliver a sealed batch to DOKU's SFTP server; ends as delivered, withdrawn (cut-off), or with an error that says
    whether it was refused or is unknown. Clearing it is always safe: it looks at the server before it sends.

    :param batch_id: The ledger's id of the batch.
    """  # noqa: D205 - the contract is one sentence

    template_fields: Sequence[str] = (*FlowOperator.template_fields, "batch_id")

    def __init__(self, *, batch_id: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, Any]:
        """Deliver; returns name, state, count and total."""
        from dataclasses import asdict

        from include.flows.deliver import deliver
        from plugins.runs import ledger_run

        run = ledger_run(flow, RunKind.SUBMIT, context)
        delivery = deliver(flow, int(self.batch_id), run.run_id)
        self.log.info("%s: %s", delivery.file_name, delivery.state)
        return {**asdict(delivery), "state": str(delivery.state)}
