"""Names of batch files and reports: one template each, written and read by the same rules.

Certain: a batch file's name starts with `TKN` and ends with `.TXT`; a report's name ends with `.TXT`. The middle is not
published, so it is a template in the profile. A name is made from the batch alone, never from the clock.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from include.domain.date_pattern import DatePattern
from include.domain.errors import DokuError

MAX_NAME_LENGTH: Final = 100

NameFact = str | int | date

_CODE: Final = "[A-Za-z0-9-]"
_NAME: Final = "[A-Za-z0-9_.+-]"
_DIGIT: Final = "[0-9]"
_SAFE_NAME: Final = re.compile(r"(?!\.)[A-Za-z0-9_.+-]+")
_PART: Final = re.compile(r"\{([a-z_]+)(?::([^{}]*))?\}|([A-Za-z0-9_.+-]+)")
_FIELDS: Final[dict[str, str]] = {
    "merchant": "code",
    "business_date": "date",
    "execute_date": "date",
    "sequence": "number",
    "part": "number",
    "parts": "number",
    "batch_name": "name",
    "batch_stem": "name",
}
_CLASSES: Final = {"code": _CODE, "number": _DIGIT, "name": _NAME}


class FileNameError(DokuError, ValueError):
    """A file name template makes no sense, or a name cannot be made from it."""


@dataclass(frozen=True)
class _Part:
    """A literal, or a placeholder with what it may hold; `width` None: any number of characters, at least one."""

    literal: str = ""
    field: str = ""
    kind: str = ""
    width: int | None = None
    dates: DatePattern | None = None

    @property
    def characters(self) -> str:
        return _CLASSES.get(self.kind, _NAME)

    @property
    def free(self) -> bool:
        """Whether the number of characters is not known beforehand."""
        return not self.literal and self.width is None

    @property
    def regex(self) -> str:
        if self.literal:
            return re.escape(self.literal)
        if self.dates:
            return f"(?P<{self.field}>.{{{self.dates.width}}})"
        return (
            f"(?P<{self.field}>{self.characters}{{{self.width}}})"
            if self.width
            else rf"(?P<{self.field}>{self.characters}+)"
        )


class FileNameTemplate:
    """A template such as `TKN_{merchant}_{business_date:yyyyMMdd}_{sequence:04}.TXT`.

    Placeholders: `{merchant}`; `{business_date:...}` and `{execute_date:...}` with a date form (yyyyMMdd by default);
    `{sequence}`, `{part}`, `{parts}`, with a width (`:04`, then exactly that many digits, zeros in front) or without
    one (no zeros in front); `{batch_name}` and `{batch_stem}` (the batch file's name with and without its extension).

    What is written can be read back: `parse(render(facts))` gives the facts, and `render(parse(name))` the name.

    Attributes:
        text: The template.
        fields: The placeholders in it.

    Raises:
        FileNameError: An unknown placeholder, a character that has no place in a file name, or a template from which
            the values could not be read back in one way only. It is a ValueError too, so that a profile reports it
            with its key.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._parts = _parts_of(text)
        self.fields = frozenset(part.field for part in self._parts if part.field)
        _refuse_ambiguous(text, self._parts)
        self._regex = re.compile("".join(part.regex for part in self._parts))

    def __repr__(self) -> str:
        return f"FileNameTemplate({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileNameTemplate) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def render(self, facts: Mapping[str, NameFact]) -> str:
        """Make the name.

        Args:
            facts: A value for each placeholder; `batch_stem` may be given as `batch_name`. Others are left alone.

        Raises:
            FileNameError: A value is missing or does not fit, or the name would not be safe: more than 100
                characters, a dot in front, anything but letters, digits and `_ . + -`.
        """
        name = "".join(part.literal or _write(part, _fact(part.field, facts)) for part in self._parts)
        if len(name) > MAX_NAME_LENGTH:
            raise FileNameError(
                f"a name made from {self.text!r} has {len(name)} characters; the most is {MAX_NAME_LENGTH}"
            )
        if _SAFE_NAME.fullmatch(name) is None:
            raise FileNameError(f"a name made from {self.text!r} would start with a dot")
        return name

    def parse(self, name: str) -> dict[str, NameFact] | None:
        """Read the values back: dates as `date`, numbers as `int`, else text. None: not a name of this template."""
        if len(name) > MAX_NAME_LENGTH or _SAFE_NAME.fullmatch(name) is None:
            return None
        match = self._regex.fullmatch(name)
        if match is None:
            return None
        try:
            facts = {part.field: _read(part, match[part.field]) for part in self._parts if part.field}
            return facts if self.render(facts) == name else None
        except ValueError:
            return None


def stem_of(name: str) -> str:
    """A file name without its last extension: `TKN_1.TXT` -> `TKN_1`."""
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def _parts_of(text: str) -> tuple[_Part, ...]:
    parts, position, seen = [], 0, set()
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            raise FileNameError(f"file name template {text!r} cannot be read from {text[position:]!r} on")
        part = _Part(literal=match[3]) if match[3] else _placeholder(text, match[1], match[2])
        if part.field in seen:
            raise FileNameError(f"file name template {text!r} names {{{part.field}}} twice")
        seen |= {part.field} - {""}
        parts.append(part)
        position = match.end()
    if not parts:
        raise FileNameError("a file name template is empty")
    return tuple(parts)


def _placeholder(text: str, field: str, form: str | None) -> _Part:
    kind = _FIELDS.get(field)
    if kind is None:
        raise FileNameError(f"file name template {text!r}: no placeholder {{{field}}}; there are {', '.join(_FIELDS)}")
    if kind == "date":
        dates = DatePattern(form or "yyyyMMdd")
        if any(re.fullmatch(_NAME, char) is None for char in dates.literals):
            raise FileNameError(f"file name template {text!r}: {{{field}}} writes a character unfit for a file name")
        return _Part(field=field, kind=kind, width=dates.width, dates=dates)
    if form is None:
        return _Part(field=field, kind=kind)
    if kind != "number" or re.fullmatch(r"0[1-9]", form) is None:
        raise FileNameError(f"file name template {text!r}: {{{field}:{form}}}; only numbers take a width, such as :04")
    return _Part(field=field, kind=kind, width=int(form))


def _refuse_ambiguous(text: str, parts: tuple[_Part, ...]) -> None:
    """Refuse a template that could read one name in two ways.

    One placeholder of unknown width can always be found: what stands before it and after it is known. Of several,
    those to its left must end at a character that they cannot hold, those to its right must begin after one.
    """
    free = [index for index, part in enumerate(parts) if part.free]
    ends = [_bounded(parts, index, index + 1, 0) for index in free]
    begins = [_bounded(parts, index, index - 1, -1) for index in free]
    if free and not any(all(ends[:pivot]) and all(begins[pivot + 1 :]) for pivot in range(len(free))):
        names = " and ".join(f"{{{parts[index].field}}}" for index in free)
        raise FileNameError(
            f"file name template {text!r} could be read in two ways: put a character between {names} that they "
            f"cannot hold,"
            " or give the numbers a width such as :02"
        )


def _bounded(parts: tuple[_Part, ...], index: int, neighbour: int, edge: int) -> bool:
    """Whether the neighbour is a literal whose nearest character the placeholder cannot hold."""
    if not 0 <= neighbour < len(parts) or not parts[neighbour].literal:
        return False
    return re.fullmatch(parts[index].characters, parts[neighbour].literal[edge]) is None


def _fact(field: str, facts: Mapping[str, NameFact]) -> NameFact:
    if field in facts:
        return facts[field]
    if field == "batch_stem" and "batch_name" in facts:
        return stem_of(str(facts["batch_name"]))
    raise FileNameError(f"a file name needs {field}, and it is not known")


def _write(part: _Part, value: NameFact) -> str:
    if part.dates:
        if not isinstance(value, date):
            raise FileNameError(f"{part.field} in a file name must be a date")
        return part.dates.write(value)
    if part.kind == "number":
        if (
            not isinstance(value, int)
            or value < 0
            or len(f"{value:0{part.width or 1}}") > (part.width or MAX_NAME_LENGTH)
        ):
            raise FileNameError(f"{part.field} in a file name must be a whole number of at most {part.width} digits")
        return f"{value:0{part.width or 1}}"
    if not isinstance(value, str) or re.fullmatch(f"{part.characters}+", value) is None:
        raise FileNameError(f"{part.field} has a character that cannot stand in a file name, or is empty")
    return value


def _read(part: _Part, text: str) -> NameFact:
    if part.dates:
        return part.dates.read(text)
    return int(text) if part.kind == "number" else text
