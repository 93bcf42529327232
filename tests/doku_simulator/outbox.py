"""Reports on their way: planned, kept over a restart, and put into the outbound folder when their time has come."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.doku_simulator.reports import PlannedFile


@dataclass(frozen=True)
class Waiting:
    """One planned file in the state folder: `path` holds the bytes, `path` with .json how and when it is put out."""

    path: Path
    name: str
    publish_at: float
    steps: int
    step_seconds: float


class Outbox:
    """The queue of planned files in `folder`, and the outbound folder that they go to."""

    def __init__(self, folder: Path, outbound: Path) -> None:
        self._folder = folder
        self._outbound = outbound
        folder.mkdir(parents=True, exist_ok=True)

    def plan(self, submission_key: str, files: list[PlannedFile], moment: float) -> None:
        """Keep the files of one batch; planning the same batch again replaces its files."""
        for number, file in enumerate(files):
            stem = f"{submission_key}-{number:03d}"
            (self._folder / f"{stem}.bin").write_bytes(file.data)
            facts = {
                "name": file.name,
                "publish_at": moment + file.delay,
                "steps": file.steps,
                "step_seconds": file.step_seconds,
            }
            temporary = self._folder / f"{stem}.new"
            temporary.write_text(json.dumps(facts), encoding="utf-8")
            temporary.replace(self._folder / f"{stem}.json")

    def waiting(self) -> list[Waiting]:
        """What is still to come, in the order in which it comes."""
        found = []
        for meta in self._folder.glob("*.json"):
            facts = json.loads(meta.read_text(encoding="utf-8"))
            found.append(Waiting(path=meta.with_suffix(".bin"), **facts))
        return sorted(found, key=lambda item: (item.publish_at, item.path.name))

    def publish(self, item: Waiting, shift: float = 0.0) -> None:
        """Put one file out, with its time shifted. A crash in the middle puts the same bytes out again."""
        data = item.path.read_bytes()
        if item.steps > 1:
            self._grow(item, data)
        else:
            self._rename_in(item.name, data, shift)
        item.path.with_suffix(".json").unlink()
        with suppress(FileNotFoundError):
            item.path.unlink()

    def note(self, name: str, text: str) -> None:
        self._rename_in(name, text.encode("ascii", errors="replace"))

    def litter(self, report_name: str) -> None:
        """Things beside a report that are none."""
        stem, _, ending = report_name.rpartition(".")
        (self._outbound / f"{report_name}.filepart").write_bytes(b"0344")
        (self._outbound / f"{stem}_EMPTY.{ending}").write_bytes(b"")
        (self._outbound / f"{stem}_FOLDER.{ending}").mkdir(exist_ok=True)

    def _rename_in(self, name: str, data: bytes, shift: float = 0.0) -> None:
        temporary = self._outbound / f".{name}.part"
        temporary.write_bytes(data)
        if shift:
            moment = time.time() + shift
            os.utime(temporary, (moment, moment))
        self._give_away(temporary)
        temporary.replace(self._outbound / name)

    def _grow(self, item: Waiting, data: bytes, sleep: Callable[[float], None] = time.sleep) -> None:
        size = max(1, -(-len(data) // item.steps))
        target = self._outbound / item.name
        with target.open("wb") as file:
            self._give_away(target)
            for start in range(0, len(data), size):
                if start:
                    sleep(item.step_seconds)
                file.write(data[start : start + size])
                file.flush()

    def _give_away(self, path: Path) -> None:
        """Beside an OpenSSH server run by root, a report belongs to whom the folder belongs to."""
        path.chmod(0o644)
        owner = self._outbound.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid)
