"""Where envelopes and reports are kept: any object storage path (a folder, a bucket), so that workers can share it."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Final, Protocol

from include.domain.errors import ArtefactError

ARTEFACTS_VARIABLE: Final = "DOKU_ARTEFACTS"
CHUNK_BYTES: Final = 768 * 1024


class StoragePath(Protocol):
    """The part of a `pathlib`-like object storage path (Airflow's ObjectStoragePath, a UPath) that is used here."""

    def __truediv__(self, other: str) -> "StoragePath":
        """A path below."""

    @property
    def parent(self) -> "StoragePath":
        """The folder it is in."""

    def mkdir(self, *, parents: bool, exist_ok: bool) -> None:
        """Make the folder."""

    def open(self, mode: str) -> IO[Any]:
        """Open the file."""

    def exists(self) -> bool:
        """Whether there is such a file."""

    @property
    def name(self) -> str:
        """The last part."""

    def iterdir(self) -> "Iterable[StoragePath]":
        """The paths in the folder."""

    def rglob(self, pattern: str) -> "Iterable[StoragePath]":
        """The paths below the folder, at any depth."""

    def unlink(self) -> None:
        """Remove the file."""

    @property
    def fs(self) -> Any:
        """The fsspec file system that it is in."""

    @property
    def path(self) -> str:
        """Where it is in there."""


@dataclass(frozen=True)
class Kept:
    """A file that was kept.

    Attributes:
        artefact: Its path, relative to the store.
        digest: SHA-256 of its bytes, hex.
        size: In bytes.
    """

    artefact: str
    digest: str
    size: int


class Artefacts:
    """A store of files that are written once and never changed."""

    def __init__(self, base: StoragePath) -> None:
        self._base = base

    def keep(self, folder: str, name: str, chunks: Iterable[bytes], suffix: str = "") -> Kept:
        """Write a new file, under a name that no other file has.

        Args:
            folder: Relative, with slashes.
            name: The name for people; a random ending is added, so that two copies of a task cannot meet.
            chunks: The bytes. An error of theirs is passed on, and nothing is kept.
            suffix: Comes after that ending, for programs that go by it, as ".html".

        Raises:
            ArtefactError: The store refused.
        """
        artefact = f"{folder}/{name}.{secrets.token_hex(4)}{suffix}"
        digest, size = hashlib.sha256(), 0
        path = self._base / artefact
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with path.open("wb") as file:
                    for chunk in chunks:
                        file.write(chunk)
                        digest.update(chunk)
                        size += len(chunk)
            except BaseException:
                with suppress(OSError):
                    path.unlink()  # a part that no record would ever name
                raise
        except OSError as caught:
            raise ArtefactError(
                f"The artefact store cannot take {artefact} "
                f"({caught.__class__.__name__}: {caught.strerror or caught}). "
                f"Check the space and the rights of {ARTEFACTS_VARIABLE}."
            ) from None
        return Kept(artefact, digest.hexdigest(), size)

    def read(self, artefact: str) -> Iterator[bytes]:
        """The bytes of a kept file. ArtefactError when it is not there."""
        try:
            with (self._base / artefact).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except FileNotFoundError:
            raise ArtefactError(
                f"The kept file {artefact} is gone. Restore it from the backup of {ARTEFACTS_VARIABLE}; "
                "until then nothing of it is sent or read."
            ) from None

    def read_proved(self, artefact: str, digest: str) -> Iterator[bytes]:
        """The bytes of a kept file; at their end ArtefactError if they are not what the ledger says they are."""
        found = hashlib.sha256()
        for chunk in self.read(artefact):
            found.update(chunk)
            yield chunk
        if found.hexdigest() != digest:
            raise ArtefactError(
                f"The kept file {artefact} was altered: its SHA-256 is {found.hexdigest()}, the ledger says {digest}. "
                "Restore it from the backup; nothing of it is sent."
            )

    def names(self, folder: str) -> list[str]:
        """The kept files of a folder, relative to the store, sorted; empty where there is no such folder."""
        try:
            found = [f"{folder}/{path.name}" for path in (self._base / folder).iterdir()]
        except (FileNotFoundError, NotADirectoryError):  # which of the two, is each store's own affair
            return []
        return sorted(found)

    def below(self, folder: str) -> list[str]:
        """Every file and folder below a folder, relative to the store, sorted; links are not followed.

        Raises:
            ArtefactError: The store cannot be listed.
        """
        top = self._base / folder
        start = f"{top}/"
        try:
            found = [str(path) for path in top.rglob("*")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as caught:
            raise _refusal(f"does not list {folder}", caught) from None
        return sorted(f"{folder}/{path.removeprefix(start)}" for path in found if path.startswith(start))

    def kept_at(self, artefact: str) -> datetime | None:
        """When a file was written, by the store's clock; None: it is gone, or the store does not say.

        Raises:
            ArtefactError: The store refuses to tell.
        """
        path = self._base / artefact
        try:
            path.fs.invalidate_cache()  # a listing that is remembered would hide what another process did meanwhile
            found: datetime = path.fs.modified(path.path)
        except (FileNotFoundError, NotImplementedError):
            return None
        except OSError as caught:
            raise _refusal(f"does not say when {artefact} was kept", caught) from None
        return found if found.tzinfo else found.replace(tzinfo=UTC)

    def discard(self, artefact: str) -> None:
        """Remove a file that no record names (a copy of a task lost a race)."""
        (self._base / artefact).unlink()

    def remove(self, artefact: str) -> None:
        """Remove a kept file whose time is over; nothing when it is gone already. ArtefactError: the store refuses."""
        try:
            self.discard(artefact)
        except FileNotFoundError:
            return
        except OSError as caught:
            raise _refusal(f"does not remove {artefact}", caught) from None

    def place(self, artefact: str) -> str:
        """Where a kept file is, for people."""
        return str(self._base / artefact)


def _refusal(what: str, caught: OSError) -> ArtefactError:
    return ArtefactError(
        f"The artefact store {what} ({caught.__class__.__name__}: {caught.strerror or caught}). "
        f"Check the rights of {ARTEFACTS_VARIABLE}; then run it again."
    )
