"""Second task of submit, once for each batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from include.domain.states import RunKind
from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class RenderAndSealOperator(FlowOperator):
    """Render a batch from the ledger by its layout, seal it for DOKU and keep the envelope.

    :param batch_id: The ledger's id of the batch.
    """

    template_fields: Sequence[str] = (*FlowOperator.template_fields, "batch_id")

    def __init__(self, *, batch_id: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, Any]:
        """Seal; returns name, count, total and digests."""
        from dataclasses import asdict

        from include.flows.seal import render_and_seal
        from plugins.runs import ledger_run

        run = ledger_run(flow, RunKind.SUBMIT, context)
        sealed = render_and_seal(flow, int(self.batch_id), run.run_id)
        self.log.info("%s: %s attempts, %s in all, sealed", sealed.file_name, sealed.count, sealed.total)
        return asdict(sealed)
