"""HTML pages from templates: everything that is put into one is escaped, unless it is our own chart or style."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from include.domain.days_in_words import weekday
from include.domain.money import CURRENCY_EXPONENT, for_people, to_major
from include.flows.books_text import TERMS

_FOLDER: Final = Path(__file__).resolve().parent / "templates"


def render(template: str, **values: Any) -> str:
    """A page.

    Args:
        template: Its file's name.
        values: What it speaks of; text of other people may be among it.
    """
    return _environment().get_template(template).render(style=_style(), terms=TERMS, **values)


def ours(markup: str) -> Markup:
    """Markup that we made ourselves, such as a chart: not escaped again."""
    return Markup(markup)  # noqa: S704


@cache
def _environment() -> Environment:
    loader = FileSystemLoader(_FOLDER)
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "day": _day,
        "count": lambda count: f"{count:,}",
        "money": for_people,
        "figure": _figure,
        "words": lambda name: name.replace("_", " "),
        "details": _details,
        "share": _share,
    }
    return environment


@cache
def _style() -> Markup:
    return ours((_FOLDER / "style.css").read_text(encoding="utf-8"))


def _day(value: date | str) -> str:
    return weekday(date.fromisoformat(value) if isinstance(value, str) else value)


def _figure(amount: int, currency: str) -> str:
    """An amount below a heading that names its currency."""
    return f"{Decimal(to_major(amount, currency)):,f}" if currency in CURRENCY_EXPONENT else f"{amount:,}"


def _details(term: Mapping[str, Any]) -> list[tuple[str, Mapping[str, int]]]:
    """The parts of a term of the books, the largest first."""
    parts: Mapping[str, Mapping[str, int]] = term.get("by_reason") or term.get("by_code") or {}
    return sorted(parts.items(), key=lambda item: (-item[1]["count"], item[0]))


def _share(one: Mapping[str, Mapping[str, int]]) -> str:
    answered = one["paid"]["count"] + one["declined"]["count"]
    return f"{100 * one['paid']['count'] / answered:.0f}" if answered else ""
