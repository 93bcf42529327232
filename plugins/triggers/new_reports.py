"""Waiting for reports without holding a worker."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.domain.connection import ConnectionSettings
from include.domain.errors import DokuError
from include.schemas.profile import Profile, load_profile_named
from plugins.flow_context import connection_settings, flow_context_of

if TYPE_CHECKING:
    from include.flows.fetch import NewReports


class NewReportsTrigger(BaseTrigger):
    """Looks at DOKU's folder of reports until new ones have stopped growing, or until the time is over.

    Its one event carries the file names (none when the time is over), or an error in words. It looks through the same
    flow as every task, in a thread.

    :param profile: Name of the profile.
    :param until: Moment (ISO, with offset) at which to stop waiting.
    """

    def __init__(self, *, profile: str, until: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.profile = profile
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return "plugins.triggers.new_reports.NewReportsTrigger", {"profile": self.profile, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again; one event."""
        try:
            names = await self._wait()
        except DokuError as caught:
            event = {"error": caught.message, "retryable": caught.retryable}
        except Exception as caught:  # noqa: BLE001 - the task turns it into a failure in words
            event = {"error": f"Unexpected {caught.__class__.__name__} while waiting for reports.", "retryable": True}
        else:
            event = {"file_names": names}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def _wait(self) -> list[str]:
        profile = await asyncio.to_thread(load_profile_named, self.profile)
        connections = {conn_id: await self._connection(conn_id) for conn_id in _needed(profile)}
        until = datetime.fromisoformat(self.until)
        earlier: NewReports | None = None
        failure: DokuError | None = None
        while True:
            try:
                now: NewReports | None = await asyncio.to_thread(_look, profile, connections)
                failure = None
            except DokuError as caught:
                if not caught.retryable:
                    raise
                now, failure = None, caught  # a server that is down for a moment: the next look may do
            stable = now.stable_since(earlier) if now and earlier else ()
            if now and stable and len(stable) == len(now.listed):  # those still growing are waited for
                return [seen.file_name for seen in stable]
            pause = (
                profile.schedule.report_stable_seconds if now and now.listed else profile.schedule.report_poll_seconds
            )
            if datetime.now(UTC).timestamp() + pause > until.timestamp():
                if failure:
                    raise failure
                return [seen.file_name for seen in stable]
            earlier = now or earlier
            await asyncio.sleep(pause)

    async def _connection(self, conn_id: str) -> ConnectionSettings:
        return connection_settings(await BaseHook.aget_connection(conn_id))


def _needed(profile: Profile) -> tuple[str, ...]:
    return profile.connections.ledger, profile.connections.sftp


def _look(profile: Profile, connections: dict[str, ConnectionSettings]) -> "NewReports":
    from include.flows.fetch import look_for_reports

    with flow_context_of(profile, connections) as flow:
        return look_for_reports(flow)
