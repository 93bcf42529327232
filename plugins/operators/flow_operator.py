"""The base of our operators."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from plugins.errors import errors_in_words

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class FlowOperator(BaseOperator):
    """Looks up what a flow needs, calls it, and says errors in words.

    :param profile: Name of the profile to work for.
    """

    template_fields: Sequence[str] = ("profile",)
    ui_color = "#eaf3ea"

    def __init__(self, *, profile: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile

    def execute(self, context: Any) -> Any:
        """Run the flow; what it returns goes to XCom: ids, counts and digests only."""
        from plugins.flow_context import flow_context_of

        with errors_in_words(), flow_context_of(self.profile) as flow:
            return self.run_flow(flow, context)

    @abstractmethod
    def run_flow(self, flow: "FlowContext", context: Any) -> Any:
        """Call the flow."""
