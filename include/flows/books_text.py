"""The books of a day as lines for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

TERMS: Final = (
    (0, "rows"),
    (1, "settled"),
    (1, "due"),
    (2, "quarantined"),
    (2, "held"),
    (2, "deferred"),
    (2, "in_flight"),
    (2, "sent"),
    (3, "paid"),
    (3, "declined"),
    (3, "withdrawn"),
    (3, "unknown"),
    (3, "awaiting"),
)


def as_text(books: Mapping[str, Any]) -> str:
    """A table of the terms with their reasons and codes, the files and the reports; see `books.books_of_day`."""
    return "\n".join(_lines(books))


def _lines(books: Mapping[str, Any]) -> Iterator[str]:
    if books["run_id"] is None:
        yield f"{books['profile']}, {books['business_date']}: no run has looked at this day yet."
        return
    yield f"{books['profile']}, business date {books['business_date']}, run {books['run_id']}"
    yield f"{'':<40}{'count':>10}{books['currency']:>22}"
    for depth, name in TERMS:
        term = books[name]
        yield _line("  " * depth + name, term)
        parts = term.get("by_reason") or term.get("by_code") or {}
        for detail, part in sorted(parts.items(), key=lambda item: (-item[1]["count"], item[0])):
            yield _line("  " * (depth + 1) + detail, part)
    if books["difference"]["count"]:
        yield _line("reported above or below (breaks)", books["difference"])
    yield "The books tie." if books["ties"] else f"THE BOOKS DO NOT TIE. {books['why_not']}"
    if books["breaks"]:
        yield "breaks: " + ", ".join(f"{count} {state}" for state, count in sorted(books["breaks"].items()))
    for file in books["files"]:
        yield f"batch file {file['file_name']}: {file['state']}, {file['count']} attempts; kept at {file['kept']}"
    for report in books["reports"]:
        yield f"report {report['file_name']}; kept at {report['kept']}"


def _line(label: str, term: Mapping[str, Any]) -> str:
    return f"{label:<40}{term['count']:>10,}{term['amount']:>22,}"
