"""Reconcile, middle: open a report, read it whole, match every line; in whole or not at all (promise 5)."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import pandas as pd  # noqa: TID253 - frames flow through here

from include.doku.codes import ResponseCodes
from include.doku.envelope import looks_sealed, open_envelope
from include.doku.layouts.read import FileReader
from include.domain.errors import EnvelopeError, FileRefused
from include.domain.states import ReportState
from include.flows.at_once import each_at_once
from include.flows.context import FlowContext
from include.flows.manifests import keep_report_manifest
from include.ledger.breaks import judge_complete
from include.ledger.bulk import insert_frame
from include.ledger.events import Note, add_decision
from include.ledger.layouts import keep_layout
from include.ledger.matching import SpecialCodes, lock_answered, match, note_matched, tie
from include.ledger.reports import Report, advance_report, find_report, reports_in
from include.ledger.store import Workspace
from include.ledger.work_tables import staged_line
from include.schemas.layout import Layout
from include.schemas.report_lines import check_report_lines

_KEPT_COLUMNS = tuple(column.name for column in staged_line.columns if column.name not in ("line_no", "status"))


@dataclass(frozen=True)
class Ingested:
    """How taking in a report ended.

    Attributes:
        classes: Lines by class; empty for a report that was refused.
        refused_reason: Why it was refused; None if it was not.
    """

    report_id: int
    file_name: str
    classes: dict[str, int]
    refused_reason: str | None = None


def ingest_report(context: FlowContext, report_id: int) -> Ingested:
    """Take a fetched report in: all of its lines, outcomes and breaks in one transaction, or none of them.

    Returns:
        What it came to. A report that cannot be read, whose totals do not tie, or of which no line is ours is refused:
        that is recorded with its reason, and nothing else of it is kept.

    Raises:
        LedgerError, ArtefactError, ConfigError, KeyFileError: Nothing was decided; the report stays fetched.
    """
    with context.ledger.read() as connection:
        report = find_report(connection, report_id)
    if report.state is not ReportState.FETCHED:
        return Ingested(report.report_id, report.file_name, {}, report.refused_reason)
    (ingested,) = _ingest_each(context, [report])
    return ingested


def ingest_fetched(context: FlowContext) -> list[Ingested]:
    """Take in every report of the profile that was fetched; one that is refused does not stop the others."""
    with context.ledger.read() as connection:
        fetched = reports_in(connection, context.profile.name, ReportState.FETCHED)
    return _ingest_each(context, fetched)


def _ingest_each(context: FlowContext, reports: Sequence[Report]) -> list[Ingested]:
    """A report is read while another is matched: reading is work for us, matching is work for the database."""
    layout, codes, reading = context.report_layout(), ResponseCodes.of(context.profile), Lock()

    def take_in(report: Report) -> Ingested:
        with context.ledger.workspace() as workspace:
            try:
                with reading:
                    reader, special = stage_report(context, workspace, report, layout, codes)
                return _match(context, workspace, report, layout, reader, special)
            except (FileRefused, EnvelopeError) as caught:
                reason = caught.message
        return _refuse(context, report, reason)

    return each_at_once(context.ledger, reports, take_in)


def stage_report(
    context: FlowContext, workspace: Workspace, report: Report, layout: Layout, codes: ResponseCodes
) -> tuple[FileReader, SpecialCodes]:
    """Open a report, read it whole into `staged_line`, and look up what its codes mean.

    Returns:
        The reader, with what the file says of itself; and the codes in it that are a break of their own.

    Raises:
        FileRefused, EnvelopeError: It cannot be read, or its sums do not tie.
    """
    reader, found, seen = FileReader(layout, report.file_name), _Sums(), set[str]()
    for frame in reader.frames(_plaintext(context, report)):
        staged = _staged(check_report_lines(frame), codes, reader.currency)
        found.add(staged)
        seen.update(staged["response_code"].unique())
        with workspace.stage() as connection:
            insert_frame(connection, staged_line, staged)
    for said in (reader.header, reader.trailer):
        _refuse_unless_success_ties(report.file_name, said, found)
    meanings = [codes.look_up(code) for code in sorted(seen)]
    return reader, SpecialCodes(
        partial=[one.code for one in meanings if one.partial], unlisted=[one.code for one in meanings if not one.listed]
    )


def _plaintext(context: FlowContext, report: Report) -> Iterator[bytes]:
    """The report's bytes, opened if they are sealed."""
    settings = context.profile.report
    if report.size > settings.max_bytes:
        reason = f"it has {report.size} bytes, more than report.max_bytes ({settings.max_bytes}) of the profile allows"
        raise FileRefused(report.file_name, None, None, reason)
    chunks = context.artefacts.read_proved(report.artefact, report.content_digest)
    first = next(chunks, b"")
    whole = itertools.chain([first], chunks)
    sealed = looks_sealed(first, settings.envelope) if settings.sealed == "detect" else settings.sealed == "yes"
    return open_envelope(whole, context.private_key(), settings.envelope) if sealed else whole


def _staged(lines: pd.DataFrame, codes: ResponseCodes, currency: str) -> pd.DataFrame:
    """Add what each code means: paid, declined, unknown or reversed. Each different code is looked up once."""
    meanings = {code: codes.look_up(code) for code in lines["response_code"].unique()}
    kept = lines[["line_no", *(name for name in _KEPT_COLUMNS if name in lines.columns)]]
    written = lines["response_code"].map({code: found.code for code, found in meanings.items()})
    status = lines["response_code"].map({code: str(found.outcome) for code, found in meanings.items()})
    if "status" in lines:
        taken_back = lines["status"].str.strip().str.upper().isin(codes.reversed_words).fillna(False)
        status = status.where(~taken_back.astype(bool), "reversed")
    if "currency" not in kept:
        kept = kept.assign(currency=currency)
    return kept.assign(response_code=written, status=status)


@dataclass
class _Sums:
    """Lines and their amounts (smallest units) by what their codes mean: paid, declined or unknown."""

    count: Counter[str] = field(default_factory=Counter)
    total: Counter[str] = field(default_factory=Counter)

    def add(self, staged: pd.DataFrame) -> None:
        for status, amounts in staged["amount"].groupby(staged["status"]):
            self.count[str(status)] += len(amounts)
            self.total[str(status)] += int(amounts.sum())


def _refuse_unless_success_ties(file_name: str, said: Mapping[str, Any], found: _Sums) -> None:
    """A report's own count (and sum) of successful lines against their codes; unknown ones may count as either.

    It is the only thing that shows an altered code: the envelope has no seal of its own, and a code is in no total.
    """
    for name, sums in (("success_count", found.count), ("success_total", found.total)):
        least, most = sums["paid"], sums["paid"] + sums["unknown"] + sums["reversed"]
        claimed = said.get(name)
        if claimed is not None and not least <= claimed <= most:
            between = str(least) if least == most else f"between {least} and {most}"
            reason = f"says {name} {claimed}, and by the codes of its lines {between} was successful"
            raise FileRefused(file_name, None, None, reason)


def _match(
    context: FlowContext,
    workspace: Workspace,
    report: Report,
    layout: Layout,
    reader: FileReader,
    special: SpecialCodes,
) -> Ingested:
    context.step("ingest: before the manifest is kept")
    manifest = keep_report_manifest(context, report, layout=layout.digest, count=reader.count, total=reader.total)
    context.step("ingest: everything staged")
    said = _of_what(reader)
    with workspace.write() as connection:
        tie(connection)
        lock_answered(connection, report.profile, said["batch_name"])
        current = find_report(connection, report.report_id, for_update=True)
        if current.state is not ReportState.FETCHED:  # another copy of this task was first
            return Ingested(report.report_id, report.file_name, {}, current.refused_reason)
        now = context.clock()
        matched = match(connection, report_id=report.report_id, profile=report.profile, codes=special, at=now)
        if not matched.ours:
            raise FileRefused(
                report.file_name, None, None, f"none of its {reader.count} lines answers an attempt of {report.profile}"
            )
        keep_layout(connection, digest=layout.digest, name=layout.name, kind=layout.kind, text=layout.text, at=now)
        advance_report(
            connection, report.report_id, ReportState.INGESTED, ingested_at=now,
            layout_digest=layout.digest, line_count=reader.count, total_amount=reader.total, **said,
        )  # fmt: skip
        if said["batch_name"] and said["parts"]:
            judge_complete(connection, report.profile, said["batch_name"], said["parts"], now)
        details = {
            "content": report.content_digest, "count": reader.count, "total": reader.total, "classes": matched.classes,
            "manifest": manifest.artefact, "manifest_sha256": manifest.digest,
        }  # fmt: skip
        add_decision(connection, report.profile, "report", report.file_name, Note(now, "ingest", None, details))
    context.step("ingest: committed")
    with workspace.stage() as connection:
        note_matched(connection, matched)
    return Ingested(report.report_id, report.file_name, matched.classes)


def _of_what(reader: FileReader) -> dict[str, Any]:
    """Which batch file the report says it answers, and which part of how many it says it is."""
    said = {**reader.header, **reader.trailer}
    part, parts = said.get("part"), said.get("parts")
    if part is None and parts is None and said.get("batch_count") == reader.count:
        part = parts = 1
    return {"batch_name": said.get("batch_name"), "part": part, "parts": parts}


def _refuse(context: FlowContext, report: Report, reason: str) -> Ingested:
    # A kept file that was altered here is no fault of DOKU's file: ArtefactError, and the report stays fetched.
    for _ in context.artefacts.read_proved(report.artefact, report.content_digest):
        pass
    context.step("ingest: before a report is refused")
    with context.ledger.write() as connection:
        current = find_report(connection, report.report_id, for_update=True)
        if current.state is ReportState.FETCHED:
            advance_report(connection, report.report_id, ReportState.REFUSED, refused_reason=reason)
    context.step("ingest: report refused")
    return Ingested(report.report_id, report.file_name, {}, reason)
