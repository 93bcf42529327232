"""What an alert says, as text: pure, the same for mail, webhook and terminal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from include.domain.watch import Level

_SAID: Final = {Level.OVER: "over", Level.LATE: "late", Level.URGENT: "urgent", Level.CRITICAL: "critical"}


@dataclass(frozen=True)
class Notice:
    """One message about one matter.

    Attributes:
        key: The same for every try to send it, so that a receiver can tell a second copy.
        profile: Which merchant account.
        level: How grave; `Level.OVER` says that it has ended.
        late_since: The moment that it was expected by.
        runbook: Address or path of the page.
    """

    key: str
    profile: str
    kind: str
    subject: str
    level: Level
    words: str
    action: str
    runbook: str
    late_since: datetime
    zone: str

    @property
    def state(self) -> str:
        """late, urgent, critical or over."""
        return _SAID[self.level]

    @property
    def headline(self) -> str:
        """One line without line breaks: the subject of a mail."""
        return " ".join(f"[DOKU {self.profile}] {self.state}: {self.kind.replace('_', ' ')}, {self.subject}".split())

    @property
    def text(self) -> str:
        """The whole message."""
        since = f"{local_time(self.late_since, ZoneInfo(self.zone))} ({self.zone})"
        if self.level is Level.OVER:
            return (
                f"{self.headline}\n\nThis is over; nothing is to be done. It was wrong since {since}:\n{self.words}\n"
            )
        return (
            f"{self.headline}\n\n{self.words}\n\nDo this: {self.action}\nMore: {self.runbook}\n\n"
            f"Late since {since}. You are told once for each level (late, urgent, critical) and once when it is "
            "over.\n"
        )

    def as_json(self) -> dict[str, object]:
        """For a webhook; `text` is what chat systems show."""
        return {
            "text": self.text,
            "key": self.key,
            "profile": self.profile,
            "kind": self.kind,
            "subject": self.subject,
            "state": self.state,
            "level": int(self.level),
            "words": self.words,
            "action": self.action,
            "runbook": self.runbook,
            "late_since": self.late_since.isoformat(),
        }


def local_time(moment: datetime, zone: ZoneInfo) -> str:
    """A moment for people: the merchant's local time, to the minute."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
