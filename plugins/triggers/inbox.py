"""Waking a DAG for what is in the inbox, whoever put it there: this Airflow, or the notification paths alone."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseHook
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from include.domain.errors import DokuError
from include.domain.states import NotificationKind
from include.schemas.profile import load_profile_named
from plugins.flow_context import connection_settings

if TYPE_CHECKING:
    from include.domain.connection import ConnectionSettings

log = logging.getLogger(__name__)

PAUSE_SECONDS: Final = 30.0
"""After something went wrong."""


class InboxTrigger(BaseEventTrigger):
    """Looks into the inbox again and again; one event for each look that finds something newer than the last event.

    Its events are hints: a run that is woken, or that comes on schedule, takes in all that waits. So an event that is
    lost delays something and loses nothing. It never ends and never fails.

    :param profile: Name of the profile.
    :param kinds: Only notifications of these kinds.
    :param seconds: The pause between two looks.
    """

    def __init__(self, *, profile: str, kinds: Sequence[str], seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.profile = profile
        self.kinds = list(kinds)
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and arguments."""
        return (
            "plugins.triggers.inbox.InboxTrigger",
            {"profile": self.profile, "kinds": self.kinds, "seconds": self.seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look, wait, look again."""
        seen = 0
        while True:
            newest = await self._newest()
            if newest is not None and newest > seen:
                seen = newest
                yield TriggerEvent({"profile": self.profile, "newest": newest})  # type: ignore[no-untyped-call]
            await asyncio.sleep(PAUSE_SECONDS if newest is None else self.seconds)

    async def _newest(self) -> int | None:
        """The newest that waits, 0 if nothing does; None when that cannot be said now."""
        try:
            profile = await asyncio.to_thread(load_profile_named, self.profile)
            settings = connection_settings(await BaseHook.aget_connection(profile.connections.ledger))
            return await asyncio.to_thread(_look, settings, self.profile, self.kinds)
        except DokuError as caught:
            log.warning("The inbox of %s cannot be looked into: %s", self.profile, caught.message)
        except Exception as caught:  # noqa: BLE001 - its text may hold values, and this must go on
            log.warning("Unexpected %s while looking into the inbox of %s.", caught.__class__.__name__, self.profile)
        return None


def _look(settings: "ConnectionSettings", profile: str, kinds: Sequence[str]) -> int:
    from include.ledger.inbox import newest_waiting
    from include.ledger.store import errors_named, ledger_engine

    engine = ledger_engine(settings)
    try:
        with errors_named(), engine.connect() as connection, connection.begin():
            return newest_waiting(connection, profile, [NotificationKind(kind) for kind in kinds])
    finally:
        engine.dispose()
