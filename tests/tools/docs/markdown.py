"""The little Markdown that the generators need."""

import re
from collections.abc import Iterable, Iterator, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table, with nothing in a cell that would break it, and an empty line after it."""
    yield _row(head)
    yield "|" + "---|" * len(head)
    yield from (_row(row) for row in rows)
    yield ""


def demoted(text: str, by: int) -> str:
    """Markdown with every heading so many levels further down."""
    return re.sub(r"(?m)^(#+ )", "#" * by + r"\1", text.strip())


def code(text: str) -> str:
    """As code; nothing for an empty text."""
    return f"`{text}`" if text else ""


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", r"\|").split()) for cell in cells) + " |"
