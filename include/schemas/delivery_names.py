"""Where files are delivered and under which temporary name: the same rules for every kind of file."""

import fnmatch
from typing import Annotated

from pydantic import Field

Folder = Annotated[str, Field(min_length=1, pattern=r"^[^\x00-\x1f]+$")]
TemporaryName = Annotated[str, Field(pattern=r"^[^{}/]*\{digest\}[^{}/]*$")]


def refuse_what_is_picked_up(temporary_name: str, pickup_pattern: str) -> None:
    """ValueError where DOKU would take a half-written file."""
    sample = temporary_name.format(digest="0" * 16)
    if fnmatch.fnmatch(sample, pickup_pattern):
        raise ValueError(f"temporary_name {sample!r} matches pickup_pattern: DOKU would take a half-written file")
