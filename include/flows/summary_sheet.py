"""A summary as CSV: one figure a line, for a spreadsheet. Amounts in major units."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

from include.domain.money import CURRENCY_EXPONENT, to_major
from include.flows.books_text import TERMS

HEADER: Final = ("profile", "business_date", "section", "item", "detail", "currency", "count", "amount")

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would take for a formula."""

Line = tuple[str, str, str, str, Mapping[str, int]]


def sheet_of(figures: Mapping[str, Any]) -> str:
    """The file's text, with a header line. See `summary_figures.figures_of`."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(HEADER)
    for section, item, detail, currency, part in _lines(figures):
        amount = to_major(part["amount"], currency) if currency in CURRENCY_EXPONENT else part["amount"]
        cells = (figures["profile"], figures["business_date"], section, item, detail, currency)
        writer.writerow([*map(_plain, cells), part["count"], amount])
    return file.getvalue()


def _lines(figures: Mapping[str, Any]) -> Iterator[Line]:
    for document in figures["books"]:
        yield from _books(document)
    for currency, found in figures["currencies"].items():
        yield from (("day", name, "", currency, part) for name, part in found["day"].items())
        yield from (("window", name, "", currency, part) for name, part in found["total"].items())
        for one in found["days"]:
            yield from (("by day", one["day"], name, currency, part) for name, part in one.items() if name != "day")
        for section, key in (("declined by code", "code"), ("declined by class", "class")):
            for one in found["codes" if key == "code" else "classes"]:
                yield from ((section, one[key], span, currency, one[span]) for span in ("day", "window"))
        for section, rows in (("by channel", found["channels"]), ("by bank", found["banks"])):
            for one in rows:
                yield from ((section, one["name"], name, currency, one[name]) for name in ("paid", "declined"))
        yield from (("open", one["matter"], one["age"], currency, one) for one in found["ages"])
        yield from (("planned", one["day"], "", currency, one) for one in found["planned"])
    yield from (("break", one["kind"], one["state"], "", one) for one in figures["breaks"])


def _books(document: Mapping[str, Any]) -> Iterator[Line]:
    currency, run = document["currency"], f"run {document['run_id']}"
    for _, term in TERMS:
        yield "books", term, run, currency, document[term]
        parts: Mapping[str, Mapping[str, int]] = document[term].get("by_reason") or document[term].get("by_code") or {}
        yield from (("books", term, f"{run}: {name}", currency, part) for name, part in sorted(parts.items()))


def _plain(cell: str) -> str:
    """A cell that a spreadsheet shows as it is: names of banks and channels are other people's text."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
