"""After each reconciliation: a summary of every business date that it changed, as an HTML page and a CSV file.

Both are kept in the artefact store beside the day's batch files, and noted in the ledger with their digests. A day
whose figures are as they were gets no other page; a run makes at most one of each day, however often its task runs.
"""

import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from include.flows.context import FlowContext
from include.flows.summary_figures import Window, digest_of, figures_of, read_window
from include.flows.summary_page import page_of
from include.flows.summary_sheet import sheet_of
from include.ledger.batches import OPEN_STATES
from include.ledger.summaries import days_to_summarise, keep_summary, last_summary


@dataclass(frozen=True)
class Made:
    """A summary that was made: of which day, and where its page and its CSV file are."""

    business_date: date
    page: str
    sheet: str


def summarise(context: FlowContext, run_id: int) -> list[Made]:
    """Make the summaries of the days that a reconciliation changed. Safe to repeat.

    Raises:
        ArtefactError: The store refused; nothing is noted that is not kept.
    """
    with context.ledger.read() as connection:
        days = days_to_summarise(connection, context.profile.name, run_id, OPEN_STATES)
    if not days:
        return []
    window = read_window(context, min(days))
    return [made for day in days if (made := _of_day(context, day, run_id, window)) is not None]


def summary_now(context: FlowContext, business_date: date) -> tuple[str, str]:
    """The page and the CSV file of a day as it is now; nothing is kept."""
    figures = figures_of(context, business_date, read_window(context, business_date))
    return page_of(figures, digest_of(figures), context.clock(), None), sheet_of(figures)


def _of_day(context: FlowContext, day: date, run_id: int, window: Window) -> Made | None:
    figures = figures_of(context, day, window)
    digest = digest_of(figures)
    with context.ledger.read() as connection:
        last = last_summary(connection, context.profile.name, day)
    if last is not None and (last.figures_digest == digest or last.run_id == run_id):
        return None
    return _keep(context, day, run_id, figures, digest)


def _keep(context: FlowContext, day: date, run_id: int, figures: dict[str, Any], digest: str) -> Made | None:
    made_at = context.clock()
    folder = f"summaries/{context.profile.name}/{day.isoformat()}"
    context.step("summarise: before the page is kept")
    page = context.artefacts.keep(folder, "summary", [page_of(figures, digest, made_at, run_id).encode()], ".html")
    sheet = context.artefacts.keep(folder, "summary", [sheet_of(figures).encode()], ".csv")
    context.step("summarise: page kept")
    with context.ledger.write() as connection:
        first = keep_summary(connection, {
            "profile": context.profile.name, "business_date": day, "run_id": run_id, "figures_digest": digest,
            "figures": json.dumps(figures, sort_keys=True), "page": page.artefact, "page_digest": page.digest,
            "sheet": sheet.artefact, "sheet_digest": sheet.digest, "made_at": made_at,
        })  # fmt: skip
    context.step("summarise: committed")
    if not first:  # another copy of this task was first
        context.artefacts.discard(page.artefact)
        context.artefacts.discard(sheet.artefact)
        return None
    return Made(day, context.artefacts.place(page.artefact), context.artefacts.place(sheet.artefact))
