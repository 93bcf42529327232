"""First task of reconcile."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from plugins.errors import errors_in_words
from plugins.triggers.new_reports import NewReportsTrigger


class ReportsReadySensor(BaseSensorOperator):
    """Waits for reports that have stopped growing, and hands on their names.

    It does not wait at all when no batch is open and nothing new is there, and it waits no longer than the profile says
    (`schedule.report_wait_minutes`): "nothing yet" is a normal end and skips the rest of the run. That a report is late
    is for the watchdog to say.

    It looks once itself before it defers, since most runs find nothing to wait for and then need no triggerer.

    :param profile: Name of the profile.
    """

    template_fields: Sequence[str] = ("profile",)
    ui_color = "#eaf3ea"

    def __init__(self, *, profile: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.profile = profile

    def execute(self, context: Any) -> list[str]:  # noqa: ARG002 - Airflow's signature
        """Look; then wait in the triggerer if there is something to wait for."""
        from include.flows.fetch import look_for_reports
        from include.flows.notices import take_in_report_notices
        from include.flows.reconcile import has_pending_work
        from plugins.flow_context import flow_context_of

        with errors_in_words(), flow_context_of(self.profile) as flow:
            told = take_in_report_notices(flow, None)
            pending = has_pending_work(flow)
            found = look_for_reports(flow)
            minutes = flow.profile.schedule.report_wait_minutes
        if told:
            self.log.info("DOKU has told %s times that a report is there.", told)
        if not found.listed and pending:
            return []
        if not found.listed and not found.open_batches:
            raise AirflowSkipException("Nothing yet: no batch is open and no new report is there.")
        until = datetime.now(UTC) + timedelta(minutes=minutes)
        self.log.info("%s open batches, new files: %s", found.open_batches, [seen.file_name for seen in found.listed])
        # The trigger ends by itself; the timeout is for a triggerer that does not come back.
        raise TaskDeferred(
            trigger=NewReportsTrigger(profile=self.profile, until=until.isoformat()),
            method_name="execute_complete",
            timeout=timedelta(minutes=minutes) + timedelta(minutes=5),
        )

    def execute_complete(self, context: Any, event: dict[str, Any]) -> list[str]:  # noqa: ARG002 - Airflow's signature
        """Take the trigger's event: names, nothing yet, or an error in words."""
        if "error" in event:
            raise (AirflowException if event["retryable"] else AirflowFailException)(event["error"])
        if not event["file_names"]:
            raise AirflowSkipException("Nothing yet: no report came while this run waited.")
        self.log.info("Reports: %s", event["file_names"])
        return list(event["file_names"])
