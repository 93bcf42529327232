"""Sets of characters that a column may hold, in a form that validators, the writer and the reader share.

A set is a list of ranges. From it come a regular expression class that RE2 (pyarrow) and Python read alike, and the
plain bytes for a fast check of a whole column at once.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal

Encoding = Literal["ascii", "latin-1", "utf-8"]
Ranges = tuple[tuple[int, int], ...]

_ASCII_PRINTABLE: Final[Ranges] = ((0x20, 0x7E),)
_PRINTABLE: Final[dict[str, Ranges]] = {
    "ascii": _ASCII_PRINTABLE,
    "latin-1": (*_ASCII_PRINTABLE, (0xA0, 0xAC), (0xAE, 0xFF)),
    # Without what a person cannot see and a comparison would miss: zero-width, direction and format characters,
    # line separators, byte order marks, private use.
    "utf-8": (
        *_ASCII_PRINTABLE,
        (0xA0, 0xAC),
        (0xAE, 0x200A),
        (0x2010, 0x2027),
        (0x202F, 0x205F),
        (0x2070, 0xD7FF),
        (0xF900, 0xFEFE),
        (0xFF00, 0xFFEF),
        (0x10000, 0x1FFFF),
    ),
}
_NAMED: Final[dict[str, str]] = {
    "digits": "[0-9]",
    "upper": "[A-Z]",
    "alpha": "[A-Za-z]",
    "alphanumeric": "[A-Za-z0-9]",
    "upper-alphanumeric": "[A-Z0-9]",
    "hex": "[0-9A-Fa-f]",
    "reference": "[A-Za-z0-9._/-]",
    "token": "[A-Za-z0-9_.:-]",
    "masked-card": "[0-9Xx*]",
    "ansi-printable": "[ -~]",
}
NAMES: Final = (*_NAMED, "printable")
"""The named sets; `printable` is all that the file's encoding can show, `ansi-printable` is space to tilde ("ans")."""

_REGEX_PREFIX: Final = "regex:"
_ITEM: Final = re.compile(r"(\\.|[^\\\]\[^])(?:-(\\.|[^\\\]\[^-]))?", re.DOTALL)


@dataclass(frozen=True)
class CharacterSet:
    """A set of characters.

    Attributes:
        ranges: Code points, first and last included; sorted, apart from each other.
    """

    ranges: Ranges

    @classmethod
    def of(cls, ranges: Iterable[tuple[int, int]]) -> "CharacterSet":
        """A set from ranges in any order, that may overlap."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted(ranges):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(merged[-1][1], last))
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    @classmethod
    def printable(cls, encoding: Encoding) -> "CharacterSet":
        """Every character that the encoding can hold and a person can see; the space too."""
        return cls(_PRINTABLE[encoding])

    @classmethod
    def parse(cls, text: str, encoding: Encoding) -> "CharacterSet":
        r"""A set by name (`digits`), or from a class of characters (`regex:[A-Z0-9_\-]`).

        Raises:
            ValueError: Neither; or it holds a character that the encoding cannot hold or nobody can see.
        """
        if text == "printable":
            return cls.printable(encoding)
        written = _NAMED.get(text) or (text.removeprefix(_REGEX_PREFIX) if text.startswith(_REGEX_PREFIX) else None)
        if written is None:
            raise ValueError(
                f"character set {text!r} is none of {', '.join(NAMES)}, nor regex: followed by a class such as [A-Z0-9]"
            )
        found = cls.of(_ranges_of(written))
        if not found <= cls.printable(encoding):
            raise ValueError(f"character set {text!r} holds characters that cannot be printed in {encoding}")
        return found

    def __contains__(self, char: str) -> bool:
        code = ord(char)
        return any(first <= code <= last for first, last in self.ranges)

    def __le__(self, other: "CharacterSet") -> bool:
        return all(
            any(first <= mine_first and mine_last <= last for first, last in other.ranges)
            for mine_first, mine_last in self.ranges
        )

    def __and__(self, other: "CharacterSet") -> "CharacterSet":
        both = [(max(a, c), min(b, d)) for a, b in self.ranges for c, d in other.ranges]
        return CharacterSet.of(part for part in both if part[0] <= part[1])

    def without(self, characters: Iterable[str]) -> "CharacterSet":
        """The set less some characters."""
        ranges = list(self.ranges)
        for code in map(ord, characters):
            ranges = [part for first, last in ranges for part in _cut(first, last, code)]
        return CharacterSet(tuple(ranges))

    @cached_property
    def pattern(self) -> str:
        """A regular expression class, `[0-9A-Z]`, that Python and RE2 read alike."""
        parts = (
            _escape(first) if first == last else f"{_escape(first)}-{_escape(last)}" for first, last in self.ranges
        )
        return f"[{''.join(parts)}]"

    @cached_property
    def ascii_bytes(self) -> bytes:
        """The characters below 128, as bytes."""
        return bytes(code for first, last in self.ranges for code in range(first, min(last, 127) + 1))

    def holds(self, utf8: bytes) -> bool:
        """Whether every character of a UTF-8 text is in the set; fast for a whole column in one piece."""
        rest = utf8.translate(None, self.ascii_bytes)
        return not rest or all(char in self for char in set(rest.decode("utf-8", "replace")))


def _cut(first: int, last: int, code: int) -> list[tuple[int, int]]:
    if not first <= code <= last:
        return [(first, last)]
    return [part for part in ((first, code - 1), (code + 1, last)) if part[0] <= part[1]]


def _escape(code: int) -> str:
    char = chr(code)
    return f"\\{char}" if code < 128 and not char.isalnum() and char != " " else char


def _ranges_of(written: str) -> list[tuple[int, int]]:
    if not (written.startswith("[") and written.endswith("]")) or len(written) < 3:
        raise ValueError(f"character set {written!r} is not a class such as [A-Z0-9]")
    inside, position, ranges = written[1:-1], 0, []
    while position < len(inside):
        match = _ITEM.match(inside, position)
        if match is None:
            raise ValueError(f"character set {written!r} cannot be read from {inside[position:]!r} on")
        first, last = _code(match[1], written), _code(match[2] or match[1], written)
        if last < first:
            raise ValueError(f"character set {written!r} has a range that runs backwards")
        ranges.append((first, last))
        position = match.end()
    return ranges


def _code(item: str, written: str) -> int:
    if len(item) == 2 and item[1].isalnum():
        raise ValueError(f"character set {written!r}: {item!r} stands for many characters; write them out")
    return ord(item[-1])
