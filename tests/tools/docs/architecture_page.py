"""`docs/architecture.md` is written by hand, but for the drawing of a batch's states."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from include.domain.states import BATCH_TRANSITIONS, BatchState

PAGE: Final = Path(__file__).resolve().parents[3] / "docs" / "architecture.md"
_DRAWING: Final = re.compile(r"```mermaid\nstateDiagram-v2\n.*?```", re.DOTALL)


def render() -> str:
    """The page with the states as the code has them now."""
    drawing = "\n".join(["```mermaid", "stateDiagram-v2", *_lines(), "```"])
    text, drawings = _DRAWING.subn(lambda _: drawing, PAGE.read_text(encoding="utf-8"))
    if drawings != 1:
        raise ValueError("docs/architecture.md has lost its drawing of a batch's states; write an empty one")
    return text


def _lines() -> Iterator[str]:
    for old, following in BATCH_TRANSITIONS.items():
        for new in BatchState:  # in the order of a life
            if new in following:
                yield f"  {'[*]' if old is None else old} --> {new}"
