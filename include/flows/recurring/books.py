"""The books of DOKU's charges: stored with the run, and the run fails where they do not tie."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, Final

from include.domain.errors import BooksDoNotTie
from include.domain.money import for_people
from include.domain.states import RunState
from include.flows.context import FlowContext
from include.ledger.bill_books import (
    APART,
    TERMS,
    DayLine,
    as_lines,
    day_lines,
    days_worked_on,
    refuse_unless_charges_tie,
)
from include.ledger.books import Line, keep_lines
from include.ledger.break_life import bill_breaks_by_kind
from include.ledger.runs import Run, advance_run, find_run

MOST_DAYS: Final = 366


def close_recurring_run(context: FlowContext, run: Run) -> list[Line]:
    """Store the books of the days that this run worked on, and prove that they tie.

    Raises:
        BooksDoNotTie: With both sides and the rows; the books are stored all the same.
    """
    profile = context.profile.name
    context.step("close: before the books of charges are kept")
    with context.ledger.write() as connection:
        current = find_run(connection, run.run_id, for_update=True)
        days = days_worked_on(connection, profile, run.run_id, current.opened_at) | {current.business_date}
        lines = [line for day in sorted(days) for line in day_lines(connection, profile, day, day)]
        if current.state is not RunState.CLOSED:  # the books of a closed run stay as they were
            keep_lines(connection, run.run_id, as_lines(lines))
    context.step("close: books of charges kept")
    with context.ledger.read() as connection:
        refuse_unless_charges_tie(connection, profile, lines)
    if current.state is not RunState.CLOSED:
        with context.ledger.write() as connection:
            advance_run(connection, run.run_id, state=RunState.CLOSED, closed_at=context.clock())
    context.step("close: recurring run closed")
    return as_lines(lines)


def books_of_charges(context: FlowContext, first: date, last: date) -> dict[str, Any]:
    """What became of the charges that DOKU should have made on some days, now.

    Returns:
        profile, first, last, ties, why_not, days (each with day, currency, and {count, amount} by term: those of the
        balance, and apart from it `unexpected` and `collected`), breaks (how many of bills are unresolved, by kind).
        Amounts in major units, which for rupiah are the smallest.

    Raises:
        ConfigError: More than a year is asked for.
    """
    last = min(last, first + timedelta(days=MOST_DAYS))
    with context.ledger.read() as connection:
        lines = day_lines(connection, context.profile.name, first, last)
        try:
            refuse_unless_charges_tie(connection, context.profile.name, lines)
            why_not = None
        except BooksDoNotTie as caught:
            why_not = caught.message
        breaks = bill_breaks_by_kind(connection, context.profile.name)
    keys = sorted({(line.day, line.currency) for line in lines})
    return {
        "profile": context.profile.name, "first": first.isoformat(), "last": last.isoformat(),
        "ties": why_not is None, "why_not": why_not,
        "days": [_day(day, currency, [one for one in lines if (one.day, one.currency) == (day, currency)])
                 for day, currency in keys],
        "breaks": breaks,
    }  # fmt: skip


def charges_as_text(books: dict[str, Any]) -> str:
    """The books of charges for a terminal."""
    rows = [f"DOKU's charges of {books['profile']}, {books['first']} to {books['last']}"]
    for day in books["days"]:
        rows.append(f"{day['day']} {day['currency']}")
        for term in (*TERMS, *APART):
            one = day[term]
            if one["count"] or term == "expected":
                details = ", ".join(f"{name}: {value['count']:,}" for name, value in one.get("by_detail", {}).items())
                amount = for_people(one["amount"], day["currency"])
                rows.append(f"  {term + ':':<12}{one['count']:>8,}  {amount}{f'  ({details})' if details else ''}")
    rows += ["No charge was expected on these days."] if not books["days"] else []
    rows += [f"Unresolved breaks: {', '.join(f'{kind} {count}' for kind, count in books['breaks'].items()) or 'none'}"]
    rows += ["The books tie." if books["ties"] else books["why_not"]]
    return "\n".join(rows)


def _day(day: date, currency: str, lines: list[DayLine]) -> dict[str, Any]:
    return {
        "day": day.isoformat(),
        "currency": currency,
        **{term: _term(one for one in lines if one.term == term) for term in (*TERMS, *APART)},
    }


def _term(lines: Iterable[DayLine]) -> dict[str, Any]:
    listed = list(lines)
    found: dict[str, Any] = {"count": sum(one.count for one in listed), "amount": sum(one.amount for one in listed)}
    details = {one.detail: {"count": one.count, "amount": one.amount} for one in listed if one.detail}
    return {**found, **({"by_detail": details} if details else {})}
