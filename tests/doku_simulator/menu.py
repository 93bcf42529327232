"""The fault menu: every way in which the simulator can misbehave, by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class FaultKind:
    """One entry of the menu.

    Attributes:
        place: What the fault's `match` is compared with and when it is looked at: connection (the user's name),
            file (base name of the path of an SFTP operation), batch (name of the batch file), path (of a request),
            transaction (its id in a status question), notification (`kind:subject`, as
            `payment:BILL1/2026-12-05`, `registration:BILL1`, `report_ready:RPT_X.TXT`), charge (billing number and due
            day, as `BILL1/2026-12-05`), token (a charge, or the customer id of a get-token question).
        summary: What happens.
        moved: What is true about files and money afterwards, whatever the merchant believes.
        params: Parameter name to default and meaning.
    """

    name: str
    place: str
    summary: str
    moved: str
    params: Mapping[str, tuple[Any, str]]


_AT: Final = ("seeded 1..4096", "byte at which it happens, or the file's end if it is shorter")
_COUNT: Final = (1, "how many lines")
_REPAIR: Final = (
    None,
    "seconds after which the right report comes, under a name of its own (`_R1`); null: never",
)
_UNCHANGED: Final = "charges as answered"
_CARRIED_OUT: Final = (False, "whether what was asked for is done all the same")


def _kind(name: str, place: str, summary: str, moved: str, **params: tuple[Any, str]) -> FaultKind:
    return FaultKind(name, place, summary, moved, params)


_KINDS: Final = (
    # The line and the login
    _kind("connection_refused", "connection", "The connection is cut before the login", "nothing"),
    _kind("login_refused", "connection", "The right password or key is refused", "nothing"),
    _kind("host_key_changed", "connection", "The server shows another host key", "nothing"),
    _kind(
        "slow",
        "file",
        "Operations take longer",
        "as without",
        seconds=(0.05, "per operation"),
        op=("*", "only this operation: open, read, write, close, rename, stat, list, remove, mkdir"),
    ),
    _kind(
        "hang",
        "file",
        "An operation is never answered",
        "nothing by this operation",
        seconds=(3600, "how long the server stays silent"),
        op=("*", "only this operation"),
    ),
    # Upload
    _kind(
        "upload_cut",
        "file",
        "The connection is cut while an upload reaches byte n",
        "the first n bytes lie under the name written to",
        at=_AT,
    ),
    _kind("write_refused", "file", "Opening a file for writing is refused: permission denied", "nothing"),
    _kind(
        "disk_full",
        "file",
        "Writing fails from byte n on, as on a full disk",
        "the first n bytes lie under the name written to",
        at=_AT,
    ),
    _kind("close_answer_lost", "file", "A written file is closed, but the answer is lost", "the whole file is there"),
    _kind("rename_refused", "file", "A rename is refused with a general failure", "the old name is still there"),
    _kind(
        "rename_cut",
        "file",
        "The connection is cut when a rename arrives, before it is carried out",
        "the old name is still there",
    ),
    _kind(
        "rename_answer_lost",
        "file",
        "A rename is carried out, but the connection is cut before its answer",
        "the file is delivered",
    ),
    _kind(
        "taken_at_once",
        "file",
        "A file is taken away before the rename (or the close of a direct upload) is answered",
        "the file is delivered and will be processed",
    ),
    _kind("remove_refused", "file", "Deleting a file is refused: permission denied", "the file is still there"),
    # Download and listing
    _kind("download_cut", "file", "The connection is cut while a download reaches byte n", _UNCHANGED, at=_AT),
    _kind("listing_refused", "file", "Listing a folder fails (match: the folder's name)", _UNCHANGED),
    _kind(
        "listing_stale",
        "file",
        "A listing leaves out the newest files (match: the folder's name)",
        _UNCHANGED,
        count=(1, "how many"),
    ),
    _kind(
        "outbound_litter",
        "batch",
        "Things that are no reports lie beside them: a cut-off .filepart, an empty file, a folder named like a report",
        _UNCHANGED,
    ),
    _kind(
        "report_growing",
        "batch",
        "The report is written slowly under its final name: a listing shows it half-written",
        _UNCHANGED,
        steps=(4, "pieces"),
        seconds=(1.0, "between pieces"),
    ),
    _kind(
        "clock_skew",
        "(always while listed)",
        "The server's clock is wrong: times of files and times in reports",
        _UNCHANGED,
        seconds=(-86400, "how far off"),
    ),
    # What DOKU does with the batch
    _kind(
        "file_rejected",
        "batch",
        "The whole file is rejected; a note says so if notes are configured, and no report comes",
        "nothing",
        reason=("FORMAT ERROR", "reason in the note"),
    ),
    _kind(
        "line_rejected",
        "batch",
        "Lines are rejected (status REJECTED, code 5505) and the others are charged",
        "nothing for these lines",
        count=_COUNT,
    ),
    _kind(
        "answers_unknown",
        "batch",
        "Lines answered 5536: DOKU itself does not know",
        "moved where the issuer said yes",
        count=_COUNT,
    ),
    _kind(
        "file_ignored",
        "batch",
        "The file is taken away, and nothing is ever heard of it",
        "nothing",
    ),
    # The report as a whole
    _kind("report_late", "batch", "The report comes late", _UNCHANGED, days=(2, "days"), seconds=(0, "and seconds")),
    _kind("report_never", "batch", "All is charged, but the report never comes", _UNCHANGED),
    _kind(
        "report_half_then_rest",
        "batch",
        "A report answers half of the lines, another one the rest later",
        _UNCHANGED,
        seconds=(5.0, "until the rest comes"),
    ),
    _kind(
        "report_truncated",
        "batch",
        "The end of the report is missing",
        _UNCHANGED,
        bytes=("seeded", "how many bytes are missing"),
        where=("sealed", "sealed: of the delivered file; plain: before sealing"),
        repair_after_seconds=_REPAIR,
    ),
    _kind(
        "report_bit_flipped",
        "batch",
        "One bit of the report is wrong",
        _UNCHANGED,
        where=("sealed", "sealed or plain"),
        repair_after_seconds=_REPAIR,
    ),
    _kind("report_empty", "batch", "The report has no bytes at all", _UNCHANGED, repair_after_seconds=_REPAIR),
    _kind(
        "report_trailing_garbage",
        "batch",
        "Something follows the end of the report",
        _UNCHANGED,
        repair_after_seconds=_REPAIR,
    ),
    _kind(
        "report_wrong_totals",
        "batch",
        "The report's own count and total do not tie with its lines",
        _UNCHANGED,
        repair_after_seconds=_REPAIR,
    ),
    _kind(
        "report_wrong_key",
        "batch",
        "The report is sealed with somebody else's public key",
        _UNCHANGED,
        repair_after_seconds=_REPAIR,
    ),
    _kind("report_duplicated", "batch", "The same report comes again under another name", _UNCHANGED),
    _kind(
        "report_repeated",
        "batch",
        "The same lines come again in another file: new envelope, another order",
        _UNCHANGED,
    ),
    _kind(
        "report_foreign",
        "batch",
        "A report of another merchant's batch lies beside ours",
        _UNCHANGED,
        sealed_for=("us", "us: we can open it; other: only its owner can"),
    ),
    # The report's lines
    _kind("lines_duplicated", "batch", "Lines stand in the report twice", _UNCHANGED, count=_COUNT),
    _kind("lines_conflicting", "batch", "Lines stand twice, with different answers", "by the first", count=_COUNT),
    _kind("lines_missing", "batch", "Lines are missing from the report", _UNCHANGED, count=_COUNT),
    _kind("lines_unexpected", "batch", "Lines nobody asked for", "nothing for these lines", count=_COUNT),
    _kind("lines_reordered", "batch", "The lines come in another order", _UNCHANGED),
    _kind("lines_amount_changed", "batch", "Lines show another amount", _UNCHANGED, count=_COUNT),
    _kind("lines_code_unlisted", "batch", "Lines show a response code that nobody listed", _UNCHANGED, count=_COUNT),
)

_HTTP_KINDS: Final = (
    # DOKU's API
    _kind("api_slow", "path", "A request is answered late", "as without", seconds=(1.0, "how late")),
    _kind("api_error", "path", "A request is answered 500", "by `carried_out`", carried_out=_CARRIED_OUT),
    _kind(
        "api_cut", "path", "The connection is cut in place of an answer", "by `carried_out`", carried_out=_CARRIED_OUT
    ),
    _kind(
        "api_refused",
        "path",
        "A request is refused",
        "nothing",
        status=(412, "of the answer"),
        shape=("error", "of the body: error, error_messages, message"),
        code=("PRECONDITION_FAILED", "in the shape `error`"),
        words=("merchant is not configured", "of the message"),
    ),
    _kind("api_wrong_signature", "path", "An answer is signed with another key", "as without"),
    _kind("api_unsigned", "path", "An answer is not signed", "as without"),
    _kind(
        "status_answer",
        "transaction",
        "The status question is answered with another status",
        "as without",
        status=("PENDING", "PENDING, SUCCESS, FAILED, EXPIRED, REFUNDED, TIMEOUT, REDIRECT, VOIDED"),
    ),
    _kind("token_dead", "token", "A token is dead from now on", "nothing by this token"),
    # Scheduled charges
    _kind("charge_missed", "charge", "A scheduled charge is not made", "nothing for that day"),
    _kind("charge_late", "charge", "A scheduled charge is made days late", "as answered", days=(1, "how late")),
    _kind("charge_twice", "charge", "A scheduled charge is made twice, with two references", "twice, as answered"),
    _kind(
        "charge_other_amount",
        "charge",
        "Another amount is charged than was registered or answered, and told so",
        "the other amount",
        more=(10_000, "than the right amount"),
    ),
    _kind("charge_after_cancel", "charge", "A bill that was cancelled is charged on its day", "as answered"),
    _kind("amount_asked_twice", "charge", "The amount is asked twice; the second answer counts", "as answered"),
    _kind(
        "amount_answer_unseen",
        "charge",
        "The answer to an amount question is not seen: it is asked again, if it is asked again at all",
        "as answered",
    ),
    # Notifications
    _kind("notification_lost", "notification", "A notification is never sent", "as answered"),
    _kind(
        "notification_repeated",
        "notification",
        "A notification comes again, though it was taken",
        "as answered",
        seconds=(600, "between"),
        count=(1, "how often"),
        request_id=("same", "same or new"),
    ),
    _kind(
        "notification_reordered",
        "notification",
        "A notification comes behind the next one, whatever that is",
        "as answered",
        seconds=(86400, "when it comes if there is no next one"),
    ),
    _kind(
        "notification_delayed",
        "notification",
        "A notification comes late",
        "as answered",
        seconds=(7200, "how late"),
    ),
    _kind(
        "notification_forged",
        "notification",
        "Beside a notification comes one that DOKU never sent, and that says a payment or a registration succeeded",
        "nothing by the forged one",
        how=("seeded", "other_key (another account's), other_client, altered (after signing), no_signature"),
    ),
    _kind(
        "notification_truncated",
        "notification",
        "The end of one try of a notification is missing",
        "as answered",
        at=("seeded 0..40", "bytes that are left"),
        signed=("whole", "whole: the signature is that of the whole; cut: of what is left"),
    ),
    _kind(
        "notification_unknown_kind",
        "notification",
        "Beside a notification comes one of a kind that nobody knows, signed rightly",
        "nothing by that one",
    ),
    _kind("notification_extra_fields", "notification", "A notification has fields that nobody knows", "as answered"),
    _kind(
        "notification_answer_unseen",
        "notification",
        "The merchant's answer is not seen: the notification is tried again",
        "as answered",
    ),
)

MENU: Final[Mapping[str, FaultKind]] = {kind.name: kind for kind in _KINDS}
"""Faults of the line, of files and of reports."""

HTTP_MENU: Final[Mapping[str, FaultKind]] = {kind.name: kind for kind in _HTTP_KINDS}
"""Faults of the HTTP side: the API, notifications, bills."""

ALL: Final[Mapping[str, FaultKind]] = {**MENU, **HTTP_MENU}


def table() -> str:
    """The menu as a Markdown table; the README carries exactly this text, and a test compares."""
    lines = [
        "| name | match | what happens | parameters (default) | files and money in truth |",
        "|---|---|---|---|---|",
    ]
    for kind in ALL.values():
        params = "; ".join(f"`{name}` ({default}): {meaning}" for name, (default, meaning) in kind.params.items())
        lines.append(f"| `{kind.name}` | {kind.place} | {kind.summary} | {params} | {kind.moved} |")
    return "\n".join(lines) + "\n"
