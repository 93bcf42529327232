"""One report for several batches: which batches are waiting for it, kept over a restart."""

import json
from pathlib import Path
from typing import Any


class Merging:
    """The batches whose answers wait for a common report, in `state/merge.json`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def close_with(self, submission_key: str, wanted: int) -> list[str] | None:
        """Add a batch; the batches of the report that is due now, or None while more are to come.

        Asked again for the batch that made it due (after a crash), the answer is the same.
        """
        state = self._load()
        if state["closed_by"] not in (None, submission_key):
            state = {"held": [], "closed_by": None}
        if submission_key not in state["held"]:
            state["held"].append(submission_key)
        if len(state["held"]) >= wanted:
            state["closed_by"] = submission_key
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps(state), encoding="utf-8")
        temporary.replace(self._path)
        return list(state["held"]) if state["closed_by"] == submission_key else None

    @property
    def open(self) -> bool:
        """Whether batches are waiting for a common report."""
        state = self._load()
        return bool(state["held"]) and state["closed_by"] is None

    def _load(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"held": [], "closed_by": None}
        state: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8"))
        return state
