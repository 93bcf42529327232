"""Plan: what a run would do now, by the very code that would do it, and nothing of it done."""

from dataclasses import dataclass
from datetime import date, timedelta

from include.domain.money import for_people
from include.flows.context import FlowContext
from include.flows.submit import rehearse_day
from include.ledger.books import Line, totals


@dataclass(frozen=True)
class Plan:
    """What a run for a business date would send and what not.

    Attributes:
        count, total: What would go out; smallest units.
        lines: The books that a dry run would have.
    """

    business_date: date
    currency: str
    count: int
    total: int
    lines: list[Line]

    def in_words(self) -> str:
        """One line for a person."""
        others = sorted({(line.term, line.detail) for line in self.lines if line.term not in ("rows", "due")})
        parts = []
        for term, detail in others:
            if (term, detail) == ("held", "dry_run"):
                continue
            count = sum(line.count for line in self.lines if (line.term, line.detail) == (term, detail))
            parts.append(f"{term} {detail}: {count:,}".replace("  ", " "))
        rest = f"; {', '.join(parts)}" if parts else ""
        return f"{self.business_date}: would send {self.count:,} charges, {for_people(self.total, self.currency)}{rest}"


def plans_of(context: FlowContext, first: date, last: date) -> list[Plan]:
    """What each date would send if all of them ran: a charge that is due on several goes out for the first.

    The totals of dates that are over are what the parameter `send_past` of a backfill has to name.
    """
    days = [first + timedelta(days=day) for day in range((last - first).days + 1)]
    return [plan_of(context, day, day - timedelta(days=1) if day > first else None) for day in days]


def plan_of(context: FlowContext, business_date: date, after: date | None = None) -> Plan:
    """Decide on every due charge as a dry run would, and undo it. Raises what `extract_and_claim` raises.

    Args:
        business_date: The date.
        after: Charges due by this day are left to an earlier date.
    """
    lines = rehearse_day(context, business_date, after)
    currency = context.profile.limits.currencies[0]
    would = [line for line in lines if line.term == "held" and line.detail == "dry_run"]
    found = totals(would)
    return Plan(
        business_date=business_date,
        currency=currency,
        count=sum(count for count, _ in found.values()),
        total=sum(amount for _, amount in found.values()),
        lines=lines,
    )
