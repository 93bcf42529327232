"""The books of a day, as `include.cli books --json` gives them, for a person's eyes."""

from collections.abc import Iterator, Mapping
from typing import Any

_TERMS = (
    "rows",
    "  settled",
    "  due",
    "    quarantined",
    "    held",
    "    deferred",
    "    in_flight",
    "    sent",
    "      paid",
    "      declined",
    "      withdrawn",
    "      unknown",
    "      awaiting",
)

_WIDTH = 60

# Each line: what is on the left must equal the sum of what is on the right, in count and in amount.
BALANCES = (
    ("rows", ("due", "settled")),
    ("due", ("sent", "quarantined", "held", "deferred", "in_flight")),
    ("sent", ("paid", "declined", "withdrawn", "unknown", "awaiting")),
)


def balances_that_fail(books: Mapping[str, Any]) -> list[str]:
    """The balances that do not hold, each as a sentence; empty when the books tie. Computed here, not believed."""
    found = []
    for left, right in BALANCES:
        for unit in ("count", "amount"):
            total = sum(books[term][unit] for term in right)
            if books[left][unit] != total:
                found.append(f"{unit} of {left} is {books[left][unit]:,}, but {' + '.join(right)} is {total:,}")
    return found


def table(books: Mapping[str, Any]) -> str:
    """The books as lines: each term with count and amount, indented as the balances nest."""
    currency = books.get("currency", "IDR")
    lines = [f"{'':<{_WIDTH}}{'count':>10}{currency:>22}"]
    for label in _TERMS:
        term = books[label.strip()]
        lines.append(_line(label, term))
        indent = " " * (len(label) - len(label.lstrip()) + 2)
        lines += [_line(f"{indent}{name}", one) for name, one in _details(term)]
    return "\n".join(lines)


def files(books: Mapping[str, Any]) -> str:
    """The batch files and the reports of the day, and where our copies lie."""
    lines = [f"{one['file_name']}  {one['count']:,} lines, {one['state']}, {one['kept']}" for one in books["files"]]
    lines += [f"{one['file_name']}  {one['kept']}" for one in books["reports"]]
    return "\n".join(lines)


def _details(term: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The parts of a term, by reason or by response code, the most frequent first."""
    parts = term.get("by_reason") or term.get("by_code") or {}
    yield from sorted(parts.items(), key=lambda part: (-part[1]["count"], part[0]))


def _line(label: str, term: Mapping[str, Any]) -> str:
    # A row that breaks many rules has a long list of reasons; the figures stay in their columns.
    label = label if len(label) <= _WIDTH else f"{label[: _WIDTH - 3]}..."
    return f"{label:<{_WIDTH}}{term['count']:>10,}{term['amount']:>22,}"
