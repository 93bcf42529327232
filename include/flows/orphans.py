"""Orphans: kept files that nothing in the ledger refers to.

A file is kept before the ledger names it. A process that is killed between the two leaves one that no row ever names;
so does a batch that is sealed anew, or withdrawn, after another look. They hold customers' data like the others, and go
as soon as it is sure that they are nobody's. What may be evidence stays, and is shown with the reason: the ledger may
have been restored from an older state, and then it is the ledger that lacks something, not the file that is too much.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from include.domain.errors import ArtefactError
from include.flows.context import FlowContext
from include.flows.manifests import Witnessed, witnessed_by_manifests
from include.ledger.housekeeping import is_named, knows_all_since, unnamed
from include.ledger.reports import Report, reports_like

AGE: Final = timedelta(days=7)
"""From then on a file that no row names is an orphan: a task names what it keeps in the same try, which its time limit
ends after two hours, and people have a week to notice that the ledger is not the one it was."""

_REPORTS: Final = "reports"
_FOLDERS: Final = ("sealed", _REPORTS, "registrations", "summaries")
_NAME: Final = re.compile(r"\d{4}-\d\d-\d\d/[^/]+\.[0-9a-f]{8}(\.html|\.csv)?")
"""How `Artefacts.keep` names the files of a profile's folder; others are somebody else's."""
_ENDING: Final = len(".0123abcd")


@dataclass(frozen=True)
class Orphan:
    """A kept file that nothing in the ledger refers to.

    Attributes:
        artefact: Its path, relative to the store.
        kept_at: By the store's clock; None: the store does not say.
        words: Why it goes, or why it stays.
    """

    artefact: str
    kept_at: datetime | None
    words: str


def find_orphans(context: FlowContext) -> tuple[tuple[Orphan, ...], tuple[Orphan, ...]]:
    """The profile's orphans that may go, and those that stay; nothing is changed.

    Raises:
        ArtefactError: The store cannot be listed or read.
    """
    kept = _kept_files(context)  # before the ledger is read: what is kept from now on is none of ours
    with context.ledger.read() as connection:
        nobodys = unnamed(connection, kept)
        since = knows_all_since(connection, context.profile.name)
    ages = {artefact: context.artefacts.kept_at(artefact) for artefact in nobodys}
    old = {artefact: at for artefact, at in ages.items() if at is None or at < context.clock() - AGE}
    if not old:
        return (), ()
    witnessed = witnessed_by_manifests(context, since)
    go: list[Orphan] = []
    stay: list[Orphan] = []
    for artefact, at in old.items():
        why = _why_it_stays(context, artefact, at, since, witnessed)
        words = f"kept on {at.astimezone(context.profile.zone):%Y-%m-%d}" if at else "nobody knows since when"
        (stay if why else go).append(Orphan(artefact, at, f"{words}; {why or 'nothing in the ledger refers to it'}"))
    return tuple(go), tuple(stay)


def is_still_one(context: FlowContext, connection: Connection, one: Orphan) -> bool:
    """Whether an orphan is one now: no row names it by now, and it is the same file as when it was found."""
    return not is_named(connection, one.artefact) and context.artefacts.kept_at(one.artefact) == one.kept_at


def content_of(context: FlowContext, artefact: str) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes of a kept file. ArtefactError: it is gone."""
    digest, size = hashlib.sha256(), 0
    for chunk in context.artefacts.read(artefact):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _kept_files(context: FlowContext) -> list[str]:
    found = []
    for folder in (f"{family}/{context.profile.name}" for family in _FOLDERS):
        paths = context.artefacts.below(folder)
        found += [path for path in paths if _NAME.fullmatch(path.removeprefix(f"{folder}/"))]
    return found


def _why_it_stays(
    context: FlowContext, artefact: str, at: datetime | None, since: datetime, witnessed: Witnessed
) -> str | None:
    if witnessed.doubt is not None:
        return witnessed.doubt
    if at is None:
        return "the store does not say when a file was kept"
    if at < since:
        return "that is before this ledger was made, or was last recovered"
    if artefact in witnessed.artefacts:
        return "a manifest names it: it was sent or taken in, or was about to be"
    if artefact.startswith(f"{_REPORTS}/") and not _is_in_a_known_report(context, artefact):
        return "the ledger has no report with what it holds"
    return None


def _is_in_a_known_report(context: FlowContext, artefact: str) -> bool:
    """Whether all that a kept report holds stands in one that the ledger knows: the same, or the beginning of it."""
    digest, size = content_of(context, artefact)
    with context.ledger.read() as connection:
        known = reports_like(connection, context.profile.name, artefact.rpartition("/")[2][:-_ENDING], digest)
    return size == 0 or any(one.content_digest == digest or _begins_with(context, one, digest, size) for one in known)


def _begins_with(context: FlowContext, report: Report, digest: str, size: int) -> bool:
    found, left = hashlib.sha256(), size
    try:
        for chunk in context.artefacts.read(report.artefact):
            found.update(chunk[:left])
            left -= min(left, len(chunk))
            if not left:
                break
    except ArtefactError:  # its time was over, or it is lost: `verify` knows the difference
        return False
    return found.hexdigest() == digest
