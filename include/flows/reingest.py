"""Reading a report again that was taken in: for a code that is listed by now, or an attempt that was recovered since.

What a line decided is never taken back; only what decided nothing may come to mean something.
"""

from include.doku.codes import ResponseCodes
from include.domain.errors import NotAllowed
from include.domain.states import ReportState
from include.flows.context import FlowContext
from include.flows.ingest import stage_report
from include.flows.people import refuse_nobody
from include.ledger.breaks import judge_charges, resolve_missing
from include.ledger.events import Note, add_decision
from include.ledger.layouts import layout_text
from include.ledger.matching import lock_matching, match_again
from include.ledger.reports import Report, find_report, note_read_again, reports_named
from include.schemas.layout import parse_layout


def reingest(context: FlowContext, *, file_name: str, by: str, why: str) -> str:
    """Read the kept copy of a report again, by its own layout and today's codes; says what came of it.

    Raises:
        NotAllowed: Nobody in particular; no such report was taken in; or lines that decided an attempt would now mean
            something else.
        ArtefactError: The kept copy is missing or altered.
    """
    refuse_nobody(by, why)
    with context.ledger.read() as connection:
        reports = reports_named(connection, context.profile.name, file_name)
    taken_in = [one for one in reports if one.state in (ReportState.INGESTED, ReportState.WRITTEN_BACK)]
    if not taken_in:
        raise NotAllowed(f"No report {file_name} of profile {context.profile.name} was taken in.")
    codes = ResponseCodes.of(context.profile)
    return " ".join(_again(context, report, codes, by, why) for report in taken_in)


def _again(context: FlowContext, report: Report, codes: ResponseCodes, by: str, why: str) -> str:
    with context.ledger.read() as connection:
        name, text = layout_text(connection, report.layout_digest or "")
    with context.ledger.workspace() as workspace:
        _, special = stage_report(context, workspace, report, parse_layout(text, name), codes)
        context.step("reingest: everything staged")
        with workspace.write() as connection:
            lock_matching(connection, report.profile)
            now = context.clock()
            find_report(connection, report.report_id, for_update=True)  # nobody writes it back meanwhile
            changed = match_again(connection, report_id=report.report_id, profile=report.profile, codes=special, at=now)
            if changed:  # what comes next is decided on again, and the merchant is told again
                note_read_again(connection, report.report_id)
            judge_charges(connection, report.profile, now)
            resolve_missing(connection, report.profile, now)
            note = Note(now, by, None, {"why": why, "content": report.content_digest, "changed": changed})
            add_decision(connection, report.profile, "reingest", report.file_name, note)
    context.step("reingest: committed")
    if not changed:
        return f"{report.file_name} was read again: every one of its {report.line_count} lines means what it meant."
    listed = ", ".join(f"{words}: {count}" for words, count in sorted(changed.items()))
    return (
        f"{report.file_name} was read again: {listed}. The next run of doku_reconcile__{report.profile} concludes the "
        "batches and tells the merchant."
    )
