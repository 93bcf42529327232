"""The way in: which files of the inbound folder are ready, and how they are taken out of it for good."""

import errno
import os
import shutil
import stat
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

LONGEST_NAME: Final = 150


class Intake:
    """Moves ready files from the inbound folder into the spool, from where they are processed one by one.

    Args:
        is_open: Whether a file is being written through our own SFTP server right now.
    """

    def __init__(self, inbound: Path, spool: Path, pattern: str, is_open: Callable[[Path], bool]) -> None:
        self._inbound, self._spool, self._pattern, self._is_open = inbound, spool, pattern, is_open
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        spool.mkdir(parents=True, exist_ok=True)

    def matches(self, name: str) -> bool:
        """Whether DOKU takes files of this name; a name too long to make other names of is not taken."""
        return fnmatchcase(name, self._pattern) and len(os.fsencode(name)) <= LONGEST_NAME

    def ready(self, settle_seconds: float) -> list[Path]:
        """Files that have lain unchanged for so long, by name. Zero: all that nobody is writing."""
        now, found, present = time.monotonic(), [], set()
        for path in sorted(self._inbound.iterdir()) if self._inbound.is_dir() else []:
            if not self.matches(path.name) or self._is_open(path):
                continue
            try:
                status = path.lstat()
            except FileNotFoundError:  # taken back between the listing and now
                continue
            if not stat.S_ISREG(status.st_mode):
                continue
            state = (status.st_size, status.st_mtime_ns)
            present.add(path.name)
            seen, since = self._seen.get(path.name, (None, now))
            if seen != state:
                since = now
                self._seen[path.name] = (state, now)
            if now - since >= settle_seconds:
                found.append(path)
        self._seen = {name: state for name, state in self._seen.items() if name in present}
        return found

    def take(self, path: Path) -> Path | None:
        """Move one file into the spool; its place there carries a number, so that nothing there is overwritten.

        None: the file is gone.
        """
        target = self._spool / f"{time.time_ns():020d}__{path.name}"
        try:
            path.rename(target)
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # Another file system: copy under a name that the spool does not read, then switch.
            temporary = target.with_name(f".{target.name}")
            shutil.copyfile(path, temporary)
            with temporary.open("rb+") as copied:
                os.fsync(copied.fileno())
            temporary.rename(target)
            path.unlink()
        self._seen.pop(path.name, None)
        return target

    def spooled(self) -> list[Path]:
        """What waits in the spool, in the order of arrival; after a crash also what was being processed."""
        return sorted(path for path in self._spool.iterdir() if not path.name.startswith("."))

    def holds(self, name: str) -> bool:
        """Whether a file of this name lies in the inbound folder or waits in the spool."""
        return (self._inbound / name).is_file() or any(self.name_of(path) == name for path in self.spooled())

    @staticmethod
    def name_of(spooled: Path) -> str:
        return spooled.name.partition("__")[2]
