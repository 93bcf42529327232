"""Append-only files of JSON lines: what the simulator did, kept so that a crash loses nothing of it."""

import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any


def read_records(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a journal, also of one that is being written: an unfinished last line is left out."""
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield json.loads(line)


class Journal:
    """One append-only file. A record is there for good when `append` returns.

    Args:
        path: The file; a last line torn by a crash is removed when the journal is opened.
        sync: Whether to wait for the disk.
    """

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        self.path = path
        self._sync = sync
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self._remove_torn_end()

    def _remove_torn_end(self) -> None:
        size = end = os.fstat(self._handle).st_size
        while end:
            start = max(0, end - 65536)
            position = os.pread(self._handle, end - start, start).rfind(b"\n")
            if position >= 0:
                end = start + position + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._handle, end)

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        data = memoryview("".join(f"{json.dumps(record, separators=(',', ':'))}\n" for record in records).encode())
        with self._lock:
            while data:
                data = data[os.write(self._handle, data) :]
            if self._sync:
                os.fsync(self._handle)

    def records(self) -> Iterator[dict[str, Any]]:
        return read_records(self.path)

    def close(self) -> None:
        os.close(self._handle)
