"""Rehearsal: what a decision would do, by the very code that would do it, and nothing of it done.

The ledger's part happens in a transaction that is undone; the merchant is told nothing; at DOKU's server things are
looked at and nothing is changed.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any, cast

from include.doku.sftp import RemoteFile, SftpServer
from include.flows.context import FlowContext
from include.ledger.rehearsed import rehearsed


class LookingServer:
    """DOKU's server for somebody who only looks: what would change something there does nothing."""

    def __init__(self, server: SftpServer) -> None:
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    def list(self, folder: str) -> list[RemoteFile]:
        """The files of a folder."""
        return self._server.list(folder)

    def write(self, path: str, chunks: Iterable[bytes]) -> int:  # noqa: ARG002 - as SftpServer
        """Counts the bytes that would be written."""
        return sum(len(chunk) for chunk in chunks)

    def rename(self, old: str, new: str) -> None:
        """Renames nothing."""

    def remove(self, path: str) -> None:
        """Removes nothing."""


@contextmanager
def rehearsal(context: FlowContext) -> Iterator[FlowContext]:
    """The same context, of which nothing is kept. The clock stands still in it."""
    now = context.clock()

    def remote() -> AbstractContextManager[SftpServer]:
        return _looking(context)

    with rehearsed(context.ledger) as ledger:
        yield replace(
            context, ledger=ledger, remote=remote, clock=lambda: now, rehearsing=True, step=lambda _name: None
        )


@contextmanager
def _looking(context: FlowContext) -> Iterator[SftpServer]:
    with context.remote() as server:
        yield cast("SftpServer", LookingServer(server))
