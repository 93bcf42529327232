"""What a response code means, from the table of codes as data."""

import tomllib
from functools import cache
from typing import Final, NamedTuple

from tests.history.forms import CONFIG

DECIDES: Final = {
    "approved": "paid", "retry_later": "declined", "after_change": "declined", "never": "declined",
    "merchant_setup": "declined", "check_first": "unknown", "unknown": "unknown",
}  # fmt: skip

TAKEN_BACK: Final = ("VOIDED", "REFUNDED", "CHARGEBACK")
"""Words of a line's status that take back a payment."""


class Code(NamedTuple):
    """A code of the table; `listed` is False for one that is not there."""

    code: str
    class_: str
    partial: bool = False
    few: bool = False
    ends_mandate: bool = False
    by_advice: bool = False
    listed: bool = True

    @property
    def status(self) -> str:
        """What it makes of an attempt."""
        return DECIDES[self.class_]


@cache
def table() -> dict[str, Code]:
    """All codes that are listed."""
    told = tomllib.loads((CONFIG / "codes.toml").read_text(encoding="utf-8"))["codes"]
    flags = ("partial", "few", "ends_mandate")
    return {
        one["code"]: Code(
            one["code"], one["class"], **{name: one.get(name, False) for name in flags},
            by_advice=one.get("by_advice_code", False),
        )
        for one in told
    }  # fmt: skip


def meaning(written: str) -> Code:
    """The code that a line shows, in two characters or four."""
    whole = f"00{written}" if len(written) == 2 else written
    return table().get(whole, Code(whole, "unknown", listed=False))


@cache
def of_class(class_: str) -> tuple[str, ...]:
    """Codes of a class, without those that approve a part."""
    return tuple(one.code for one in table().values() if one.class_ == class_ and not one.partial)
