"""Beside the last task of submit: telling DOKU that files are there."""

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from plugins.operators.flow_operator import FlowOperator

if TYPE_CHECKING:
    from include.flows.context import FlowContext


class NotifyOperator(FlowOperator):
    """Tell DOKU of the batch files that were delivered; each is taken once, by its request id.

    A courtesy: the batches are delivered whatever comes of it. What DOKU does not take is tried again by Airflow; if it
    stays, the task is skipped with the reason, the run is not marked as failed for it, and the watchdog tells.
    """

    def run_flow(self, flow: "FlowContext", context: Any) -> dict[str, list[str]]:
        """Tell; returns the names of the files that DOKU took notice of."""
        from include.flows.notify import notify_delivered

        notified = notify_delivered(flow)
        for name in notified.told:
            self.log.info("DOKU was told of %s", name)
        if notified.clock_problem:
            self.log.warning("%s", notified.clock_problem)
        if not notified.failed:
            return {"told": list(notified.told)}
        words = f"{' '.join(notified.failed)} The files are delivered all the same."
        instance = context["ti"]
        if instance.try_number <= instance.max_tries:
            raise AirflowException(words)
        self.log.warning("%s", words)
        raise AirflowSkipException(words)
