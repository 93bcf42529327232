"""The watchdog's rules: by when each stage is expected, how grave it is that it did not come, which alerts that makes.

Everything here is a pure function; the clock is an argument. What is late is a matter, known by its kind and subject.
An alert is a matter that people are told of: once when it opens, once for each level that it rises to, once when it is
over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from typing import Final


class Watcher(StrEnum):
    """Who looks: the DAG `doku_watchdog`, or the command line, which runs without Airflow."""

    AIRFLOW = "airflow"
    OUTSIDE = "outside"


class Level(IntEnum):
    """How grave a matter is. OVER is told once a matter has ended."""

    OVER = 0
    LATE = 1
    URGENT = 2
    CRITICAL = 3


class Stage(StrEnum):
    """What is expected by a time of its own."""

    CLAIMED = "claimed"
    SENT = "sent"
    SETTLED = "settled"
    ACKNOWLEDGED = "acknowledged"
    REPORTED = "reported"
    RECONCILED = "reconciled"
    TAKEN_IN = "taken_in"
    WRITTEN_BACK = "written_back"
    SERVER = "server"
    SET_UP = "set_up"


class Kind(StrEnum):
    """What can be wrong. A value is stored as it is written here and never renamed."""

    NOT_STARTED = "not_started"
    NOT_CLAIMED = "not_claimed"
    NOT_SENT = "not_sent"
    DELIVERY_UNKNOWN = "delivery_unknown"
    NOT_ACKNOWLEDGED = "not_acknowledged"
    NO_REPORT = "no_report"
    REPORT_INCOMPLETE = "report_incomplete"
    NOT_TAKEN_IN = "not_taken_in"
    REPORT_REFUSED = "report_refused"
    NOT_WRITTEN_BACK = "not_written_back"
    SERVER_SILENT = "server_silent"
    MONEY_AT_RISK = "money_at_risk"
    SET_UP_BROKEN = "set_up_broken"
    BREAKS_OLD = "breaks_old"
    QUARANTINE_OLD = "quarantine_old"
    OUTCOMES_UNKNOWN = "outcomes_unknown"
    KEY_ENDS = "key_ends"
    HOST_KEY_ENDS = "host_key_ends"
    RULES_END = "rules_end"
    WATCH_SILENT = "watch_silent"
    LEDGER_SILENT = "ledger_silent"
    PROFILE_BROKEN = "profile_broken"
    NOT_NOTIFIED = "not_notified"
    STATUS_UNANSWERED = "status_unanswered"
    RECURRING_NOT_STARTED = "recurring_not_started"
    NOTIFICATIONS_WAITING = "notifications_waiting"
    NOTIFICATIONS_FAILED = "notifications_failed"
    CHARGES_MISSING = "charges_missing"
    CHARGES_UNEXPECTED = "charges_unexpected"
    AMOUNTS_NOT_KNOWN = "amounts_not_known"
    TOKENS_OLD = "tokens_old"


SLOW: Final = frozenset(
    {
        Kind.BREAKS_OLD,
        Kind.QUARANTINE_OLD,
        Kind.OUTCOMES_UNKNOWN,
        Kind.KEY_ENDS,
        Kind.HOST_KEY_ENDS,
        Kind.RULES_END,
        Kind.NOT_NOTIFIED,
        Kind.STATUS_UNANSWERED,
        Kind.NOTIFICATIONS_FAILED,
        Kind.CHARGES_MISSING,
    }
)
"""What takes its time: such matters rise by days, all others by minutes."""

BY_SERVER: Final = frozenset({Kind.NOT_ACKNOWLEDGED, Kind.NO_REPORT, Kind.REPORT_INCOMPLETE, Kind.NOT_TAKEN_IN})
"""What cannot be judged while DOKU's server does not answer: such a matter stays as it is until it does."""


@dataclass(frozen=True)
class Matter:
    """Something that is wrong now.

    Attributes:
        late_since: The moment that it was expected by, or from which on it is wrong.
        words: The fact, for a person; no token, no card number.
        action: The safe thing to do now.
        runbook: A page of docs/runbooks.
        at_once: It is critical from the start.
    """

    kind: Kind
    subject: str
    late_since: datetime
    words: str
    action: str
    runbook: str
    at_once: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same matter the next time."""
        return str(self.kind), self.subject


@dataclass(frozen=True)
class Ladder:
    """How long a matter is late before it is urgent, and before it is critical."""

    urgent_after: timedelta
    critical_after: timedelta

    def level(self, late_since: datetime, now: datetime) -> Level:
        """The level of a matter that is late since then."""
        late = now - late_since
        if late >= self.critical_after:
            return Level.CRITICAL
        return Level.URGENT if late >= self.urgent_after else Level.LATE


@dataclass(frozen=True)
class Ladders:
    """One for what is counted in minutes, one for what is counted in days."""

    quick: Ladder
    slow: Ladder

    def level(self, matter: Matter, now: datetime) -> Level:
        """The level of a matter now."""
        if matter.at_once:
            return Level.CRITICAL
        return (self.slow if matter.kind in SLOW else self.quick).level(matter.late_since, now)


@dataclass(frozen=True)
class Patience:
    """How long each stage may take; None: it is not watched.

    Attributes:
        sent: After the claim; and `before_cutoff` before the execute date's cut-off at the latest.
        reported, reconciled: After the cut-off of the execute date, or after the delivery if that was later.
    """

    sent: timedelta | None
    before_cutoff: timedelta
    settled: timedelta | None
    acknowledged: timedelta | None
    reported: timedelta | None
    reconciled: timedelta | None


@dataclass(frozen=True)
class BatchTimes:
    """The moments that a batch's expectations are counted from; None: it has not come so far.

    Attributes:
        cutoff: Until when it must be delivered to be charged on its execute date.
        unsure_since: When its delivery became unknown, if it is.
    """

    created_at: datetime
    cutoff: datetime
    delivered_at: datetime | None = None
    unsure_since: datetime | None = None


def batch_expectations(times: BatchTimes, patience: Patience) -> dict[Stage, datetime]:
    """By when each stage of a batch is expected, as far as that can be said yet."""
    found: dict[Stage, datetime] = {}
    if patience.sent is not None:
        at_last = times.cutoff - patience.before_cutoff
        found[Stage.SENT] = max(times.created_at, min(times.created_at + patience.sent, at_last))
    if patience.settled is not None and times.unsure_since is not None:
        found[Stage.SETTLED] = times.unsure_since + patience.settled
    if times.delivered_at is None:
        return found
    if patience.acknowledged is not None:
        found[Stage.ACKNOWLEDGED] = times.delivered_at + patience.acknowledged
    charged_from = max(times.cutoff, times.delivered_at)
    if patience.reported is not None:
        found[Stage.REPORTED] = charged_from + patience.reported
    if patience.reconciled is not None:
        found[Stage.RECONCILED] = charged_from + patience.reconciled
    return found


@dataclass(frozen=True)
class OpenAlert:
    """An alert that is open, as the ledger has it."""

    alert_id: int
    kind: str
    subject: str
    level: int

    @property
    def key(self) -> tuple[str, str]:
        """Of its matter."""
        return self.kind, self.subject


@dataclass(frozen=True)
class Verdict:
    """What one look comes to.

    Attributes:
        opened: New matters, with their levels.
        still: Open alerts whose matter is still there, with the matter and its level; some have risen.
        over: Open alerts whose matter is gone.
    """

    opened: tuple[tuple[Matter, Level], ...]
    still: tuple[tuple[OpenAlert, Matter, Level], ...]
    over: tuple[OpenAlert, ...]


def judge(
    alerts: Sequence[OpenAlert],
    matters: Iterable[Matter],
    ladders: Ladders,
    now: datetime,
    *,
    unseen: frozenset[Kind] = frozenset(),
) -> Verdict:
    """Compare what is wrong now with what people were told.

    Args:
        alerts: The open ones.
        matters: What is wrong now; of two of the same kind and subject the one that is late for longer.
        unseen: Kinds that could not be judged this time: their open alerts stay as they are.
    """
    found: dict[tuple[str, str], Matter] = {}
    for matter in sorted(matters, key=lambda one: one.late_since):
        found.setdefault(matter.key, matter)
    known = {alert.key: alert for alert in alerts}
    return Verdict(
        opened=tuple((one, ladders.level(one, now)) for key, one in found.items() if key not in known),
        still=tuple(
            (known[key], one, Level(max(known[key].level, ladders.level(one, now))))
            for key, one in found.items()
            if key in known
        ),
        over=tuple(alert for key, alert in known.items() if key not in found and alert.kind not in unseen),
    )


def channels_of(level: Level, by_level: Mapping[Level, Sequence[str]]) -> list[str]:
    """Who is told of a matter of a level: those of that level and of all below it, each once, in order."""
    named = [channel for step in Level if Level.OVER < step <= level for channel in by_level.get(step, ())]
    return list(dict.fromkeys(named))
