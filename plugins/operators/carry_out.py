"""Second task of operate."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class CarryOutOperator(FlowOperator):
    """Carry the operation out, if it would still do what was shown; skipped in a dry run.

    Safe to clear: the same run carries it out once.

    :param shown: What `ShowOperationOperator` returned.
    """

    template_fields: Sequence[str] = (*FlowOperator.template_fields, "shown")

    def __init__(self, *, shown: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shown = shown

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, str]:
        """Carry out; returns which operation. What it did is in the log."""
        from include.flows.operate import carry_out
        from plugins.asked import asked_of

        asked = asked_of(context)
        if asked.dry_run:
            raise AirflowSkipException("A dry run: nothing was done. Trigger it again with dry_run switched off.")
        said = carry_out(
            flow, asked.operation, asked.about, by=asked.by, why=asked.why, shown=str(self.shown), request=asked.request
        )
        self.log.info("%s", said)
        return {"operation": asked.operation}
