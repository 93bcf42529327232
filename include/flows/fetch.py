"""Reconcile, first half: find reports at DOKU's server that have stopped growing, and keep them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from include.doku.sftp import RemoteFile, SftpServer, remote_path
from include.domain.errors import RemoteError, RemoteRefused
from include.flows.context import FlowContext
from include.ledger.batches import OPEN_STATES, batches_in
from include.ledger.reports import Sighting, is_known, record_report, written_back
from include.schemas.profile import Profile


@dataclass(frozen=True)
class NewReports:
    """One look at the folder of reports.

    Attributes:
        listed: Files that look like reports and were not fetched before.
        open_batches: How many batches still wait for an answer.
    """

    listed: tuple[Sighting, ...]
    open_batches: int

    def stable_since(self, earlier: "NewReports") -> tuple[Sighting, ...]:
        """Those that had the same size and time at an earlier look, and are not empty."""
        before = set(earlier.listed)
        return tuple(seen for seen in self.listed if seen in before and seen.size > 0)


def look_for_reports(context: FlowContext) -> NewReports:
    """List the folder of reports once.

    Raises:
        RemoteError, RemoteRefused, HostKeyError: The server cannot be listed.
    """
    with context.remote() as server:
        listed = server.list(context.profile.report.folder)
    with context.ledger.read() as connection:
        candidates = [_sighting(context.profile, file) for file in listed if _is_report(context.profile, file)]
        new = tuple(seen for seen in candidates if not is_known(connection, context.profile.name, seen))
        waiting = len(batches_in(connection, context.profile.name, OPEN_STATES))
    return NewReports(new, waiting)


def fetch_reports(context: FlowContext, names: Sequence[str]) -> list[int]:
    """Fetch reports by name into the artefact store. One that changed while it was fetched is left for the next time.

    Args:
        names: File names in the profile's folder of reports; names that are not there any more are passed over.

    Returns:
        Ids of the reports, those with known content included.
    """
    if not names:
        return []
    with context.remote() as server:
        found = (_fetch(context, server, name) for name in names)
        return [report_id for report_id in found if report_id is not None]


def delete_written_back(context: FlowContext) -> None:
    """Delete the reports that are written back from the server's folder; also those that an earlier run failed at.

    Each is read once more before: a name that holds another content by now is a report that nobody has read, and stays.

    Raises:
        RemoteError, RemoteRefused, HostKeyError: What is still there is tried again by the next run.
    """
    profile = context.profile
    with context.remote() as server:
        for listed in server.list(profile.report.folder):
            with context.ledger.read() as connection:
                digest = written_back(connection, profile.name, _sighting(profile, listed))
            path = _path(profile, listed.name)
            if digest is not None and _content(server, path) == digest:
                context.step("write back: before a report is deleted")
                server.remove(path)
                context.step("write back: report deleted")


def _content(server: SftpServer, path: str) -> str | None:
    """SHA-256 (hex) of a file; None once another copy of this task has deleted it."""
    try:
        return server.digest(path)[0]
    except RemoteRefused:
        if server.stat(path) is None:
            return None
        raise


def _fetch(context: FlowContext, server: SftpServer, name: str) -> int | None:
    profile = context.profile
    before = server.stat(_path(profile, name))
    if before is None:
        return None
    seen, began = _sighting(profile, before), context.clock()
    context.step("fetch: before a report is kept")
    folder = f"reports/{profile.name}/{context.today.isoformat()}"
    kept = context.artefacts.keep(folder, name, server.read(_path(profile, name), before.size))
    if server.stat(_path(profile, name)) != before:
        context.artefacts.discard(kept.artefact)
        return None
    if kept.size != before.size:
        context.artefacts.discard(kept.artefact)
        raise RemoteError(
            f"{name} came as {kept.size} bytes, the server lists {before.size}. It is fetched again later."
        )
    context.step("fetch: report kept")
    with context.ledger.write() as connection:
        report_id, new = record_report(
            connection, profile.name, seen, digest=kept.digest, artefact=kept.artefact, at=began
        )
    context.step("fetch: committed")
    if not new:
        context.artefacts.discard(kept.artefact)
    return report_id


def _is_report(profile: Profile, file: RemoteFile) -> bool:
    return fnmatch(file.name, profile.report.pattern) and not file.name.startswith(".")


def _sighting(profile: Profile, file: RemoteFile) -> Sighting:
    folder = f"{profile.connections.sftp}:{profile.report.folder.rstrip('/')}"
    return Sighting(folder, file.name, file.size, file.modified)


def _path(profile: Profile, name: str) -> str:
    return remote_path(profile.report.folder, name)
