"""The assumed batch file and report, written and read in plain Python by the columns of their layouts (as data)."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

CONFIG: Final = Path(__file__).resolve().parents[2] / "include" / "config"
"""Configuration is data: what stands in it is read, never who reads it."""

Facts = dict[str, str]
"""Text by fact: `invoice_number`, `amount`, ..."""


class NotReadable(Exception):
    """A file that is not what its layout says."""


@dataclass(frozen=True)
class Column:
    """A column: the fact that it shows, or its constant."""

    fact: str
    constant: str
    kind: str


@dataclass(frozen=True)
class Form:
    """A file's form."""

    header: tuple[Column, ...]
    detail: tuple[Column, ...]
    delimiter: str
    line_end: str

    def write(self, header: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> bytes:
        """A file, with its end of line behind each line."""
        rows = [_row(self.header, header, self.delimiter), *(_row(self.detail, one, self.delimiter) for one in lines)]
        return "".join(f"{row}{self.line_end}" for row in rows).encode("ascii")

    def read(self, content: bytes) -> tuple[Facts, list[Facts]]:
        """Header and lines of a file that is whole by its own count and total.

        Raises:
            NotReadable: It is not.
        """
        rows = content.decode("ascii", "replace").split(self.line_end)
        if rows.pop() or not rows:
            raise NotReadable("the last line does not end")
        header = _cells(self.header, rows[0].split(self.delimiter))
        lines = [_cells(self.detail, row.split(self.delimiter)) for row in rows[1:]]
        if int(header["count"]) != len(lines) or rupiah(header["total"]) != sum(rupiah(one["amount"]) for one in lines):
            raise NotReadable("count or total is another")
        return header, lines


def form(layout: str) -> Form:
    """The form of a shipped layout."""
    told = tomllib.loads((CONFIG / "layouts" / f"{layout}.toml").read_text(encoding="utf-8"))
    file = told["file"]
    return Form(_columns(told["header"]), _columns(told["detail"]), file["delimiter"], file["line_end"])


def rupiah(written: str) -> int:
    """Whole rupiah of `150000.00`."""
    whole, _, cents = written.partition(".")
    if cents.strip("0"):
        raise NotReadable(f"{written} is no whole rupiah")
    return int(whole)


def _columns(section: Mapping[str, Any]) -> tuple[Column, ...]:
    return tuple(
        Column(one.get("source", ".").partition(".")[2], one.get("value", ""), one.get("type", "text"))
        for one in section["columns"]
    )


def _row(columns: Iterable[Column], facts: Mapping[str, Any], delimiter: str) -> str:
    return delimiter.join(one.constant or _written(one, facts.get(one.fact)) for one in columns)


def _written(column: Column, value: Any) -> str:
    if value is None:
        return ""
    if column.kind == "amount":
        return f"{value}.00"
    if isinstance(value, datetime):
        return value.strftime("%Y%m%d%H%M%S")
    return value.strftime("%Y%m%d") if isinstance(value, date) else str(value)


def _cells(columns: Sequence[Column], cells: list[str]) -> Facts:
    if len(cells) != len(columns) or any(
        one.constant and one.constant != cell for one, cell in zip(columns, cells, strict=True)
    ):
        raise NotReadable(f"a line has other columns: {cells[:2]}")
    return {one.fact: cell for one, cell in zip(columns, cells, strict=True) if one.fact}
