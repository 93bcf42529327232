"""What is wrong with keeping tokens current, in words, and the safe thing to do about it."""

from datetime import datetime

from include.domain.watch import Kind, Matter
from include.domain.watch_words import Place


def tokens_old(place: Place, last: datetime | None, scheduled: datetime, expected_by: datetime) -> Matter:
    """No run of tokens has come to its end since one was due."""
    dag = f"doku_tokens__{place.profile}"
    since = f"the last one that did began at {place.at(last)}" if last else "none ever has"
    return Matter(
        Kind.TOKENS_OLD, "tokens", expected_by,
        f"{dag} was due at {place.at(scheduled)} and no run of it has come to its end since; {since}. What DOKU gives "
        "customers may have changed, and charges of a dead token are tried.",
        f"Read the log of the last task of {dag} that failed in Airflow, do what its sentence says, and clear it. If "
        "the DAG is paused, unpause it; if none has run, trigger it once.",
        "tokens.md#not-up-to-date",
    )  # fmt: skip
