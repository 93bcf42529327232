"""Who decides: a person with a name and a reason."""

from typing import Final

from include.domain.errors import NotAllowed

ANONYMOUS: Final = frozenset({"", "anonymous"})


def refuse_nobody(by: str, why: str) -> None:
    """NotAllowed for nobody in particular, or without a reason in words."""
    if by.strip().lower() in ANONYMOUS:
        raise NotAllowed("A decision needs the name of a person (--by).")
    if not why.strip():
        raise NotAllowed("A decision needs a reason in words (--why).")
