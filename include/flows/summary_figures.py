"""The figures of a summary: what became of a business date, and of the days before it. Counts and amounts only.

They are kept as JSON with the summary and are all that the page and the CSV file are made of, so that a page can be
made again years later. Amounts are in smallest units.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from include.doku.codes import ResponseCodes
from include.flows.books import books_of_day
from include.flows.context import FlowContext
from include.ledger.books import submit_runs
from include.ledger.claims import batches_of_run
from include.ledger.summaries import Breaks, Cell, Open, Planned, breaks, cube, open_matters, planned

WINDOW_DAYS: Final = 60
"""How many days a summary looks back."""

AGES: Final = ((1, "0 to 1 day"), (3, "2 to 3 days"), (7, "4 to 7 days"), (30, "8 to 30 days"), (None, "over 30 days"))
"""Buckets of age, each up to so many days."""

_PAID: Final = ("paid", "reversed")
_LISTED_BANKS: Final = 15
OTHERS: Final = "others"


@dataclass(frozen=True)
class Window:
    """What the summaries of one reconciliation share: read once, however many days it changed."""

    first: date
    last: date
    cells: list[Cell]
    open: list[Open]
    breaks: list[Breaks]
    planned: list[Planned]


def read_window(context: FlowContext, earliest: date | None = None) -> Window:
    """Read the last `WINDOW_DAYS` days, and further back where a day to be summarised is older."""
    last = context.today
    first = last - timedelta(days=WINDOW_DAYS - 1)
    with context.ledger.read() as connection:
        name = context.profile.name
        return Window(
            first=first,
            last=last,
            cells=cube(connection, name, min(first, earliest or first), last + timedelta(days=366)),
            open=open_matters(connection, name),
            breaks=breaks(connection, name),
            planned=planned(connection, name, last),
        )


def figures_of(context: FlowContext, business_date: date, window: Window) -> dict[str, Any]:
    """All figures of a day's summary, as they are written to JSON.

    Returns:
        `day`: the books of the day's runs, and its declines; `currencies`: for each, totals, days, codes, classes,
        channels, banks, ages and planned attempts; `breaks`.
    """
    codes = ResponseCodes.of(context.profile)
    cells = [cell for cell in window.cells if cell.business_date >= window.first]
    of_day = [cell for cell in window.cells if cell.business_date == business_date]
    currencies = sorted({one.currency for one in (*cells, *of_day)} | set(context.profile.limits.currencies))
    return {
        "profile": context.profile.name,
        "title": context.profile.title,
        "environment": context.profile.environment,
        "timezone": context.profile.timezone,
        "ledger": context.ledger.ledger_id,
        "business_date": business_date.isoformat(),
        "window": {"first": window.first.isoformat(), "last": window.last.isoformat()},
        "books": _books(context, business_date),
        "currencies": {
            currency: _of_currency(
                [cell for cell in cells if cell.currency == currency],
                [cell for cell in of_day if cell.currency == currency],
                [one for one in window.open if one.currency == currency],
                [one for one in window.planned if one.currency == currency],
                window, codes,
            )
            for currency in currencies
        },
        "breaks": [
            {"kind": one.kind, "state": one.state, "days": (window.last - one.since.date()).days, **_sum([one])}
            for one in window.breaks
        ],
    }  # fmt: skip


def digest_of(figures: dict[str, Any]) -> str:
    """SHA-256 (hex) of what a day's summary says of that day: another one is made only when this changes."""
    own = {
        "books": figures["books"],
        "day": {currency: found["day"] for currency, found in figures["currencies"].items()},
        "breaks": [{name: one[name] for name in ("kind", "state", "count", "amount")} for one in figures["breaks"]],
    }
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def _books(context: FlowContext, business_date: date) -> list[dict[str, Any]]:
    """The books of the day's runs that sent something, or of its last run; none where no run looked at it."""
    with context.ledger.read() as connection:
        runs = submit_runs(connection, context.profile.name, business_date)
        sent = [run_id for run_id in runs if batches_of_run(connection, run_id)]
    return [_without_places(books_of_day(context, business_date, run_id)) for run_id in sent or runs[-1:]]


def _without_places(books: dict[str, Any]) -> dict[str, Any]:
    """The names of files are enough for a page: where they are kept is for those who keep them."""
    names = ("file_name", "state", "count", "amount", "execute_date")
    files = [{name: file[name] for name in names} for file in books["files"]]
    return {**books, "files": files, "reports": [report["file_name"] for report in books["reports"]]}


def _of_currency(
    cells: Sequence[Cell],
    of_day: Sequence[Cell],
    open_now: Sequence[Open],
    further: Sequence[Planned],
    window: Window,
    codes: ResponseCodes,
) -> dict[str, Any]:
    again = [cell for cell in cells if cell.again]
    return {
        "day": {**_by_status(of_day), "recovered": _sum(_of(of_day, "paid", again=True))},
        "total": {**_by_status(cells), "recovered": _sum(_of(cells, "paid", again=True)), "again": _sum(again)},
        "days": _days(cells),
        "codes": _codes(cells, of_day, codes),
        "classes": _classes(cells, of_day, codes),
        "channels": _shares(cells, lambda cell: cell.channel),
        "banks": _shares(cells, lambda cell: cell.bank, _LISTED_BANKS),
        "ages": _ages(open_now, window.last),
        "planned": [{"day": one.day.isoformat(), **_sum([one])} for one in further],
    }


def _by_status(cells: Sequence[Cell]) -> dict[str, Any]:
    names = ("paid", "declined", "withdrawn", "unknown", "awaiting", "reversed")
    return {"sent": _sum(cells), **{name: _sum(cell for cell in cells if cell.status == name) for name in names}}


def _days(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """A row for each day of the window on which something was sent."""
    found: dict[date, list[Cell]] = {}
    for cell in cells:
        found.setdefault(cell.business_date, []).append(cell)
    return [
        {
            "day": day.isoformat(),
            "paid": _sum(_of(of_day, *_PAID)),
            "declined": _sum(_of(of_day, "declined")),
            "open": _sum(_of(of_day, "unknown", "awaiting")),
            "recovered": _sum(_of(of_day, "paid", again=True)),
        }
        for day, of_day in sorted(found.items())
    ]


def _codes(cells: Sequence[Cell], of_day: Sequence[Cell], codes: ResponseCodes) -> list[dict[str, Any]]:
    declined, today = _of(cells, "declined"), _of(of_day, "declined")
    rows = []
    for code in {cell.code for cell in (*declined, *today)}:
        found = codes.look_up(code)
        rows.append({
            "code": found.code, "meaning": found.meaning, "class": found.class_, "listed": found.listed,
            "day": _sum(cell for cell in today if cell.code == code),
            "window": _sum(cell for cell in declined if cell.code == code),
        })  # fmt: skip
    return sorted(rows, key=lambda row: (-row["window"]["count"], -row["day"]["count"], row["code"]))


def _classes(cells: Sequence[Cell], of_day: Sequence[Cell], codes: ResponseCodes) -> list[dict[str, Any]]:
    class_of = {cell.code: codes.look_up(cell.code).class_ for cell in (*cells, *of_day) if cell.status == "declined"}
    rows = [
        {
            "class": name,
            "day": _sum(cell for cell in _of(of_day, "declined") if class_of[cell.code] == name),
            "window": _sum(cell for cell in _of(cells, "declined") if class_of[cell.code] == name),
        }
        for name in sorted(set(class_of.values()))
    ]
    return sorted(rows, key=lambda row: (-row["window"]["count"], row["class"]))


def _shares(cells: Sequence[Cell], name_of: Callable[[Cell], str], most: int | None = None) -> list[dict[str, Any]]:
    """Paid and declined by a name, the largest first; what is beyond `most` names is `others`."""
    found: dict[str, list[Cell]] = {}
    for cell in _of(cells, *_PAID, "declined"):
        found.setdefault(name_of(cell), []).append(cell)
    ranked = sorted(found, key=lambda name: (-sum(cell.count for cell in found[name]), name))
    kept, rest = ranked[:most], ranked[len(ranked[:most]) :]
    groups = [(name, found[name]) for name in kept]
    groups += [(OTHERS, [cell for name in rest for cell in found[name]])] if rest else []
    return [
        {"name": name, "paid": _sum(_of(group, *_PAID)), "declined": _sum(_of(group, "declined"))}
        for name, group in groups
    ]


def _ages(open_now: Sequence[Open], today: date) -> list[dict[str, Any]]:
    rows = []
    for matter in ("awaiting", "unknown", "quarantined"):
        aged = [(max(0, (today - one.since).days), one) for one in open_now if one.matter == matter]
        least = 0
        for most, words in AGES:
            within = [one for age, one in aged if age >= least and (most is None or age <= most)]
            rows.append({"matter": matter, "age": words, **_sum(within)})
            least = (most or 0) + 1
    return rows


def _of(cells: Iterable[Cell], *statuses: str, again: bool = False) -> list[Cell]:
    return [cell for cell in cells if cell.status in statuses and (cell.again or not again)]


def _sum(parts: Iterable[Any]) -> dict[str, int]:
    listed = list(parts)
    return {"count": sum(one.count for one in listed), "amount": sum(one.amount for one in listed)}
