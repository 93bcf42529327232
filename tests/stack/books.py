"""A second opinion on the books of a day, as `include.cli books --json` gives them."""

from collections.abc import Mapping
from typing import Any

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
