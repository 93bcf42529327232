"""What a report line's response code means.

Card codes are "00" and the network's two characters [LEG, certain]; some of DOKU's answers have the two characters
alone [CHK, certain], which are the same code. DOKU's own codes, 55xx, have four. A code that nobody listed is not
success, is not tried again, and is shown to a person (promise 6).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from include.schemas.codes import CodeEntry, CodeTable, Outcome, ResponseClass
from include.schemas.profile import SHIPPED_CONFIG, Profile

OUTCOMES: Final[Mapping[ResponseClass, Outcome]] = {
    "approved": "paid",
    "retry_later": "declined",
    "after_change": "declined",
    "never": "declined",
    "merchant_setup": "declined",
    "check_first": "unknown",
    "unknown": "unknown",
    "reversed": "reversed",
}
"""The outcome that each class decides."""

_SHORT: Final = 2


@dataclass(frozen=True)
class ResponseCode:
    """A response code, looked up.

    Attributes:
        code: In four characters where that is possible, else as it came.
        class_: What may be done after it.
        outcome: What it makes of the attempt: paid, declined or unknown.
        meaning: For the merchant's people; DOKU asks that codes are never shown to customers [LEG, certain].
        source: Where the meaning was read.
        listed: Whether `codes.toml` has it.
        note: More about it.
        few: Another attempt seldom helps.
        ends_mandate: The customer revoked the mandate.
        by_advice_code: The network's merchant advice code decides, where the report has one.
        partial: Approved for a part of the amount.
    """

    code: str
    class_: ResponseClass
    outcome: Outcome
    meaning: str
    source: str
    listed: bool = True
    note: str = ""
    few: bool = False
    ends_mandate: bool = False
    by_advice_code: bool = False
    partial: bool = False


class ResponseCodes:
    """The table of response codes.

    Attributes:
        reversed_words: Words of a report's status column that take back a payment, in capitals.
    """

    def __init__(self, entries: Iterable[CodeEntry], reversed_words: Iterable[str] = ()) -> None:
        self._codes = {entry.code: _known(entry) for entry in entries}
        self.reversed_words = frozenset(word.upper() for word in reversed_words)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read `codes.toml`. ConfigError, with file and key, when it cannot be used."""
        table = CodeTable.from_toml_file(path)
        return cls(table.codes, table.reversed_words)

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """The shipped table, with the profile's own lines in place of or beside it. ConfigError as `load`."""
        table = CodeTable.kept_from(SHIPPED_CONFIG / "codes.toml")
        return cls((*table.codes, *profile.codes), table.reversed_words)

    @property
    def listed(self) -> tuple[ResponseCode, ...]:
        """All codes of the table, in its order."""
        return tuple(self._codes.values())

    def look_up(self, code: str | None) -> ResponseCode:
        """The code of a report line, whatever it is; never an error."""
        written = normalised(code)
        found = self._codes.get(written)
        if found is not None:
            return found
        return ResponseCode(
            code=written,
            class_="unknown",
            outcome=OUTCOMES["unknown"],
            meaning="Not listed: ask DOKU what it means and add it to codes.toml",
            source="",
            listed=False,
        )


def normalised(code: str | None) -> str:
    """A code in the report's four characters: "05" -> "0005", " n7 " -> "00N7"; others stay as they are."""
    written = (code or "").strip().upper()
    return f"00{written}" if len(written) == _SHORT else written


def _known(entry: CodeEntry) -> ResponseCode:
    return ResponseCode(
        code=entry.code,
        class_=entry.class_,
        outcome=OUTCOMES[entry.class_],
        meaning=entry.meaning,
        source=f"{entry.source}, {entry.certainty}",
        note=entry.note,
        few=entry.few,
        ends_mandate=entry.ends_mandate,
        by_advice_code=entry.by_advice_code,
        partial=entry.partial,
    )
