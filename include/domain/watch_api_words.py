"""What is wrong with DOKU's HTTP API, in words, and the safe thing to do about it. Nothing of a charge waits for it."""

from datetime import datetime
from typing import Final

from include.domain.watch import Kind, Matter
from include.domain.watch_words import Place

_PAGE: Final = "doku-api.md"


def not_notified(place: Place, name: str, why: str, delivered_at: datetime, late_since: datetime) -> Matter:
    """DOKU was not told of a batch file that lies there; `why`: what it answered, empty if it was never tried."""
    return Matter(
        Kind.NOT_NOTIFIED, name, late_since,
        f"DOKU was not told of {name}, which was delivered at {place.at(delivered_at)}. "
        f"{why or 'No run has tried to tell it since.'} The file is delivered all the same.",
        f"See to what this names, then clear the task notify of that run of {place.submit()} in Airflow: DOKU takes "
        "it once, however often it is told.",
        f"{_PAGE}#not-told",
    )  # fmt: skip


def status_unanswered(place: Place, why: str, since: datetime, late_since: datetime) -> Matter:
    """DOKU has answered no status question for some time."""
    return Matter(
        Kind.STATUS_UNANSWERED, "status", late_since,
        f"Since {place.at(since)} DOKU has answered no question about attempts that are unknown; they stay so. {why}",
        f"See to what this names. The next run of {place.reconcile()} asks again by itself.",
        f"{_PAGE}#status-not-answered",
    )  # fmt: skip
