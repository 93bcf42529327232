"""A summary as an HTML page of its own: no script, nothing loaded from elsewhere, readable on a phone."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from include.domain.days_in_words import moment
from include.flows import summary_charts
from include.flows.summary_figures import WINDOW_DAYS
from include.flows.templating import ours, render


def page_of(figures: Mapping[str, Any], digest: str, made_at: datetime, run_id: int | None) -> str:
    """The page.

    Args:
        figures: See `summary_figures.figures_of`.
        digest: Of the figures.
        made_at: With a timezone.
        run_id: The reconciliation after which it was made; None for one that a person asks for.
    """
    return render(
        "summary.html.j2",
        f=figures,
        charts={currency: _charts(found) for currency, found in figures["currencies"].items()},
        digest=digest,
        made_at=moment(made_at.astimezone(ZoneInfo(figures["timezone"]))),
        run_id=run_id,
        window_days=WINDOW_DAYS,
    )


def _charts(found: Mapping[str, Any]) -> dict[str, Any]:
    drawn = {
        "days": summary_charts.paid_and_declined(found["days"]),
        "recovered": summary_charts.recovered(found["days"]),
        "declines": summary_charts.declines(found["codes"]),
        "ages": summary_charts.ages(found["ages"]),
    }
    return {name: ours(chart) for name, chart in drawn.items()}
