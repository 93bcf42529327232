"""Who decides: a person with a name and a reason."""

import unicodedata
from typing import Final

from include.domain.errors import NotAllowed

ANONYMOUS: Final = frozenset({"", "anonymous"})


def is_nobody(by: str) -> bool:
    """Whether a name is nobody's in particular."""
    return _plain(by) in ANONYMOUS


def same_person(one: str, other: str) -> bool:
    """Whether two names are one person's: letter case, spaces and what cannot be seen make no other person."""
    return _plain(one) == _plain(other)


def refuse_nobody(by: str, why: str) -> None:
    """NotAllowed for nobody in particular, or without a reason in words."""
    if is_nobody(by):
        raise NotAllowed("A decision needs the name of a person (--by).")
    if not why.strip():
        raise NotAllowed("A decision needs a reason in words (--why).")


def _plain(name: str) -> str:
    seen = "".join(letter for letter in name if unicodedata.category(letter) != "Cf")
    return " ".join(unicodedata.normalize("NFKC", seen).casefold().split())
