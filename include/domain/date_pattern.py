"""How a date is written in a file or a name: `yyyyMMdd`, `dd/MM/yyyy`, `yyyy-MM-dd HH:mm:ss`.

DOKU publishes the date form of neither its batch file nor its report (its old interfaces used `yyyyMMdd`), so the
form is always configuration.
"""

import re
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

TOKENS: Final[dict[str, tuple[int, int]]] = {
    "yyyy": (0, 4),
    "MM": (5, 7),
    "dd": (8, 10),
    "HH": (11, 13),
    "mm": (14, 16),
    "ss": (17, 19),
}
"""Each token and where its digits stand in ISO text, `2026-01-31 23:59:59`."""

_DATE_TOKENS: Final = ("yyyy", "MM", "dd")
_TIME_TOKENS: Final = ("HH", "mm")
_PIECE: Final = re.compile(r"(yyyy|MM|dd|HH|mm|ss)|'([^']+)'|([^A-Za-z0-9'])")


@dataclass(frozen=True)
class Piece:
    """A run of a pattern: the digits of a token, or literal characters (then `token` is None)."""

    token: str | None
    text: str

    @property
    def width(self) -> int:
        """Characters that the piece takes."""
        return len(self.text)


@dataclass(frozen=True)
class DatePattern:
    """A fixed-width way to write a date, or a date with a time.

    Attributes:
        text: The pattern. Tokens: yyyy MM dd HH mm ss. Other letters and digits must stand in single quotes (`'T'`).
        with_time: Whether hours and minutes are part of it.

    Raises:
        ValueError: A token is unknown, repeated or missing.
    """

    text: str
    with_time: bool = False
    pieces: tuple[Piece, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pieces", _pieces_of(self.text))
        tokens = [piece.token for piece in self.pieces if piece.token]
        wanted = _DATE_TOKENS + (_TIME_TOKENS if self.with_time else ())
        allowed = (*wanted, "ss") if self.with_time else wanted
        if len(set(tokens)) != len(tokens):
            raise ValueError(f"date format {self.text!r} names a token twice")
        missing = [token for token in wanted if token not in tokens]
        if missing:
            raise ValueError(f"date format {self.text!r} lacks {' '.join(missing)}")
        surplus = [token for token in tokens if token not in allowed]
        if surplus:
            raise ValueError(f"date format {self.text!r} has {' '.join(surplus)}, which a date without a time has not")

    @property
    def width(self) -> int:
        """Characters of every date that is written so."""
        return sum(piece.width for piece in self.pieces)

    @property
    def literals(self) -> frozenset[str]:
        """The characters between the digits."""
        return frozenset(char for piece in self.pieces if piece.token is None for char in piece.text)

    def write(self, value: date) -> str:
        """Write a date; a pattern with a time takes a datetime and drops what it has no token for."""
        iso = value.isoformat(" ", "seconds")[:19] if isinstance(value, datetime) else f"{value.isoformat()} 00:00:00"
        return "".join(iso[slice(*TOKENS[piece.token])] if piece.token else piece.text for piece in self.pieces)

    def read(self, text: str) -> date:
        """Read a date (a naive datetime where the pattern has a time), exactly as `write` would have written it.

        Raises:
            ValueError: Not in this form, or no such day.
        """
        parts, position = {}, 0
        for piece in self.pieces:
            found = text[position : position + piece.width]
            position += piece.width
            if piece.token:
                parts[piece.token] = found
            elif found != piece.text:
                raise ValueError(f"not a date written as {self.text}")
        if position != len(text) or not all(found.isascii() and found.isdigit() for found in parts.values()):
            raise ValueError(f"not a date written as {self.text}")
        numbers = {token: int(found) for token, found in parts.items()}
        try:
            day = date(numbers["yyyy"], numbers["MM"], numbers["dd"])
            if not self.with_time:
                return day
            return datetime(day.year, day.month, day.day, numbers["HH"], numbers["mm"], numbers.get("ss", 0))  # noqa: DTZ001
        except ValueError:
            raise ValueError(f"no such day or time, as {self.text}") from None


def _pieces_of(text: str) -> tuple[Piece, ...]:
    pieces, position = [], 0
    while position < len(text):
        match = _PIECE.match(text, position)
        if match is None:
            raise ValueError(
                f"date format {text!r}: {text[position:]!r} is not made of yyyy MM dd HH mm ss and punctuation"
            )
        pieces.append(Piece(match[1], match[1] or match[2] or match[3]))
        position = match.end()
    return tuple(pieces)
