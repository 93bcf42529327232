"""What is wrong with bills that DOKU charges, in words, and the safe thing to do about it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from include.domain.watch import Kind, Matter
from include.domain.watch_words import Place

_PAGE: Final = "recurring.md"
_CLI: Final = "python -m include.cli"
_SHOWS: Final = "A decision shows what it would do; --apply does it."


def recurring(place: Place) -> str:
    """The DAG of bills."""
    return f"doku_recurring__{place.profile}"


def recurring_not_started(place: Place, scheduled: datetime, expected_by: datetime, waiting: str) -> Matter:
    """No run of recurring has begun since one was due; `waiting` says what it would do."""
    return Matter(
        Kind.RECURRING_NOT_STARTED, "recurring", expected_by,
        f"{recurring(place)} was due at {place.at(scheduled)} and no run of it has begun since. {waiting}",
        f"In Airflow, unpause {recurring(place)} if it is paused, and look whether scheduler and DAG processor run; "
        "then trigger it once. Whatever it does counts once, however often it runs.",
        f"{_PAGE}#not-started",
    )  # fmt: skip


def notifications_waiting(place: Place, count: int, oldest: datetime, expected_by: datetime) -> Matter:
    """What DOKU told is stored and not taken in."""
    return Matter(
        Kind.NOTIFICATIONS_WAITING, "inbox", expected_by,
        f"{count:,} notifications of DOKU wait in the inbox, the oldest since {place.at(oldest)}: what they say is in "
        "no books yet.",
        f"Read the log of take_in of {recurring(place)} in Airflow, do what its sentence says, and clear it; if the "
        "DAG is paused, unpause it. Nothing is lost meanwhile.",
        f"{_PAGE}#notifications-wait",
    )  # fmt: skip


def notifications_failed(place: Place, count: int, oldest: datetime, named: Sequence[int]) -> Matter:
    """Notifications that could not be taken in."""
    numbers = ", ".join(str(one) for one in named)
    return Matter(
        Kind.NOTIFICATIONS_FAILED, "inbox", oldest,
        f"{count:,} notifications of DOKU could not be taken in, the oldest of {place.at(oldest)}: {numbers}"
        f"{', ...' if count > len(named) else ''}.",
        f"`{_CLI} inbox --profile {place.profile}` says why of each. Mend what it names, and let it be taken in again "
        "as the runbook says.",
        f"{_PAGE}#notifications-failed",
    )  # fmt: skip


def charges_missing(place: Place, count: int, what: str, oldest: datetime) -> Matter:
    """Charges that DOKU should have made, and of which nothing came; `what`: how much, for people."""
    return Matter(
        Kind.CHARGES_MISSING, "charges", oldest,
        f"{count:,} charges that DOKU should have made did not come ({what}), the first missed since "
        f"{place.at(oldest)}.",
        f"`{_CLI} breaks --profile {place.profile}` lists them. Ask DOKU what became of each, or to send its "
        f"notification again; else `{place.decision('settle', '<charge id> --as declined --evidence <words>')}`. "
        f"{_SHOWS}",
        f"{_PAGE}#missing-charges",
    )  # fmt: skip


def charges_unexpected(place: Place, count: int, most: int, what: str, oldest: datetime) -> Matter:
    """An unusual number of charges that nobody expected: the register and DOKU do not agree."""
    return Matter(
        Kind.CHARGES_UNEXPECTED, "charges", oldest,
        f"DOKU made {count:,} charges that nobody expected ({what}); more than {most} are unusual. The register of "
        "bills and DOKU's do not agree.",
        f"`{_CLI} breaks --profile {place.profile}` lists them. Compare with DOKU's dashboard (Manage Recurring) "
        "before the next day's charges: bills that nobody wants are ended there. Refund what was not owed.",
        f"{_PAGE}#unexpected-charges",
    )  # fmt: skip


def charges_unknown(place: Place, count: int, named: Sequence[str], oldest: datetime, late_since: datetime) -> Matter:
    """DOKU's transactions of which its answer says neither paid nor declined."""
    more = ", ..." if count > len(named) else ""
    return Matter(
        Kind.OUTCOMES_UNKNOWN, "transactions of bills", late_since,
        f"{count:,} of DOKU's transactions for bills are unknown, the oldest since {place.at(oldest)}: "
        f"{', '.join(named)}{more}.",
        "Ask DOKU what became of each, by its reference. With their answer "
        f"`{place.decision('settle', '<reference> --as paid --evidence <words>')}`, or `--as declined`. {_SHOWS}",
        f"{_PAGE}#unknown",
    )  # fmt: skip


def charges_not_told(place: Place, since: datetime, expected_by: datetime) -> Matter:
    """The merchant's table does not say yet what the ledger knows of bills."""
    return Matter(
        Kind.NOT_WRITTEN_BACK, "charges of bills", expected_by,
        f"What became of charges of bills is in the ledger since {place.at(since)} and not in the merchant's table of "
        "outcomes.",
        f"Read the log of write_back of {recurring(place)} in Airflow, do what its sentence says, and clear it; if the "
        "DAG is paused, unpause it.",
        f"{_PAGE}#not-told",
    )  # fmt: skip


def amounts_not_known(place: Place, count: int, named: Sequence[str], asked_at: datetime) -> Matter:
    """DOKU asked what to charge, and nobody knew: it charges nothing."""
    more = ", ..." if count > len(named) else ""
    return Matter(
        Kind.AMOUNTS_NOT_KNOWN, "amounts", asked_at,
        f"DOKU asked for {count:,} amounts of today or later that nobody knows, the first at {place.at(asked_at)}: "
        f"{', '.join(named)}{more}. Without an amount DOKU charges nothing.",
        "Enter them in the merchant's view of amounts. DOKU may ask again; what it was not told it was not told.",
        f"{_PAGE}#amounts-not-known",
    )  # fmt: skip
