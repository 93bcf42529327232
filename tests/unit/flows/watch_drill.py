"""Silence drills: a merchant's days, with Airflow, DOKU and the watchdogs each running or not.

Nothing is slept for; the alerts go out through a real webhook.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from include.domain.alert_text import Notice
from include.domain.errors import AlertNotSent, DokuError
from include.domain.watch import Watcher
from include.flows.watch import Looked, watch
from include.flows.watch_profiles import sender
from tests.alert_servers import Webhook
from tests.flows_harness import Merchant, lost

ZONE = ZoneInfo("Asia/Jakarta")
HOUR, QUARTER = timedelta(hours=1), timedelta(minutes=15)


class Drill:
    """A merchant, and who is at work.

    Attributes:
        airflow: Scheduler and all DAGs run.
        paused: Of them, the DAGs that are paused: submit, reconcile, watchdog.
        outside: The watchdog of the command line runs.
        doku_takes: DOKU moves batch files into its archive folder.
    """

    def __init__(self, merchant: Merchant, hook: Webhook) -> None:
        self.merchant, self.hook = merchant, hook
        self.airflow, self.outside, self.doku_takes = True, False, True
        self.paused: set[str] = set()
        self.send = sender({"alerts": hook.connection()}.__getitem__)
        self.told: list[tuple[str, str, str, str]] = []
        self._read: set[str] = set()

    def till(self, day: int, clock: str) -> list[tuple[str, str, str, str]]:
        """Let time pass until a local day (of November 2026) and time; what was told meanwhile.

        By full hours, and the last one by quarters: what is told at a quarter is told no earlier.

        Returns:
            (day and time, state, kind, subject) of each alert that arrived.
        """
        hour, minute = map(int, clock.split(":"))
        end = datetime(2026, 11, day, hour, minute, tzinfo=ZONE)
        before = len(self.told)
        while self.merchant.now < end:
            far = end - self.merchant.now > HOUR
            self.merchant.now += HOUR - self._past_the_hour() if far else QUARTER
            self._play()
        return self.told[before:]

    def look(self, watcher: Watcher = Watcher.AIRFLOW) -> Looked:
        """One look."""
        before = len(self.hook.documents)

        def send(channel: str, notice: Any) -> None:
            self.send(channel, notice, ["ops@merchant.example"])

        looked = watch(self.merchant.context, watcher, send)
        moment = f"{self.merchant.now.astimezone(ZONE):%d %H:%M}"
        self.told += [(moment, one["state"], one["kind"], one["subject"]) for one in self.hook.documents[before:]]
        return looked

    def _past_the_hour(self) -> timedelta:
        return timedelta(minutes=self.merchant.now.minute)

    def _reports(self) -> set[str]:
        return set(self.merchant.server.files("/outbound"))

    def _play(self) -> None:
        local = self.merchant.now.astimezone(ZONE)
        if self.airflow and "submit" not in self.paused and (local.hour, local.minute) == (6, 0):
            with suppress(DokuError):
                self.merchant.submit(f"scheduled {local.date()}", business_date=local.date())
        if self.doku_takes:
            for name, content in self.merchant.server.files("/inbound").items():
                self.merchant.server.put(f"/archive/{name}", content)
                (self.merchant.remote_root / "inbound" / name).unlink()
        # As its sensor: without anything new the run is skipped.
        if self.airflow and "reconcile" not in self.paused and (lying := self._reports()) != self._read:
            with suppress(DokuError):
                self.merchant.reconcile()
                self._read = lying
        if self.airflow and "watchdog" not in self.paused:
            self.look()
        if self.outside:
            self.look(Watcher.OUTSIDE)


@contextmanager
def server_down(merchant: Merchant) -> Iterator[None]:
    """DOKU's server does not answer."""
    fault = merchant.server.plan("connect", before=lost("the greeting"), times=10**6)
    yield
    merchant.server.faults.remove(fault)


class Told(list[tuple[str, str, str, str]]):
    """Notices that were sent, as (channel, state, kind, subject); `refuse` names channels that take nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[Notice] = []
        self.refuse: set[str] = set()

    def __call__(self, channel: str, notice: Notice) -> None:
        if channel in self.refuse:
            raise AlertNotSent(f"An alert could not be sent through connection {channel}.")
        self.notices.append(notice)
        self.append((channel, notice.state, notice.kind, notice.subject))


def look(merchant: Merchant, told: Told, watcher: Watcher = Watcher.AIRFLOW) -> Looked:
    """One look of a watchdog."""
    return watch(merchant.context, watcher, told)


def kinds(looked: Looked) -> list[tuple[str, str]]:
    """Kind and subject of the alerts that are open."""
    return [(one.kind, one.subject) for one in looked.alerts]


def open_break(merchant: Merchant, kind: str, subject: str = "s") -> None:
    """A break that was opened at 07:00 of the business date."""
    with merchant.ledger.write() as connection:
        connection.exec_driver_sql(
            "INSERT INTO recon_break (profile, kind, subject, amount, details, state, opened_at) VALUES "
            f"('insurance', '{kind}', '{subject}', 1, 'both sides', 'open', '2026-11-20 00:00:00.000000')"
        )
