"""Where each fault of the simulator's menu ends, what a person sees, and what is safe to do next.

`docs/faults.md` is generated from this table, and `test_faults.py` plays every row against the real flows and holds
them to it. One day is played as an office would live it: submit, DOKU, reconcile; then `reaction`; then the next day,
with a few more charges.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

# What people do. Each is a method of `tests.sweeps.faults.Played`.
CLEAR = "clear the failed task"
RECONCILE = "wait for the next run of reconcile"
TWO_DAYS = "wait two days"
REPAIR = "ask DOKU for the report again"
MEND = "have the cause mended"
SETUP = "mend the set-up with DOKU and say so"


@dataclass(frozen=True)
class Row:
    """One fault, played.

    Attributes:
        fault: Name in the menu.
        when: What sets this row apart from others of the same fault; for people.
        settings: Of the simulator's fault: match, times, after, params.
        also: Other faults that have to happen for this one to matter.
        profile: Laid over the shipped profile.
        sees: The error that a task ends with, or that Airflow tries again after; empty: no task fails.
        words: A part of its message that says what is wrong.
        next_words: A part of its message that says what is safe to do now.
        retried: Airflow tries again by itself, and that is enough.
        batch, reports: After the first submit and reconcile: the batch's state, and how many reports are in which.
        reaction: What people do then, in order.
        ends: The batch in the end.
        ends_reports: The reports in the end; None: as `reports`.
        told: Statuses that the merchant was told in the end, of the first day's charges; the others are paid.
        breaks: Open breaks in the end, by kind.
        action: The safe next action, for docs.
        looks_apart: Real seconds between two looks at a growing report.
    """

    fault: str
    action: str
    when: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[Mapping[str, Any], ...] = ()
    profile: Mapping[str, Any] = field(default_factory=dict)
    sees: str = ""
    words: str = ""
    next_words: str = ""
    retried: bool = False
    batch: str = "reconciled"
    reports: Mapping[str, int] = field(default_factory=lambda: {"written_back": 1})
    reaction: tuple[str, ...] = ()
    ends: str = "reconciled"
    ends_reports: Mapping[str, int] | None = None
    told: Mapping[str, int] = field(default_factory=dict)
    breaks: Mapping[str, int] = field(default_factory=dict)
    looks_apart: float = 0.0

    @property
    def name(self) -> str:
        """For test ids and headings."""
        return f"{self.fault}, {self.when}" if self.when else self.fault


CHARGES: Final = 20
"""Good charges of the first day."""

_DIRECT: Final = {"batch": {"delivery": "direct"}}
_REPAIRED: Final = {"params": {"repair_after_seconds": 3600}}
_NONE: Final = "Nothing: it mends itself."
_IN_FLIGHT: Final = (
    "Ask DOKU's support what became of the file. Its charges stay in flight and no run sends them again."
)
_ASK_AGAIN: Final = "Ask DOKU for the report again; a file with other content is taken in by the next run."


def _refused(fault: str, words: str, **more: Any) -> Row:
    """A report that is refused in whole, and comes again in good order an hour later."""
    values = {
        "settings": _REPAIRED, "sees": "ReportRefused", "next_words": "Ask DOKU for the report again",
        "batch": "delivered", "reports": {"refused": 1}, "reaction": (REPAIR,),
        "ends_reports": {"refused": 1, "written_back": 1}, **more,
    }  # fmt: skip
    return Row(fault, _ASK_AGAIN, words=words, **values)


ROWS: Final[tuple[Row, ...]] = (
    # --- the line and the log-in
    Row(
        "connection_refused", _NONE, "once", {"match": "*"},
        sees="RemoteError", words="cannot be reached", next_words="may be tried again", retried=True,
    ),
    Row(
        "connection_refused", "See whether DOKU is down or this machine's address is not on its list; then clear the "
        "task. Past the cut-off the batch is withdrawn and its charges go into a new one.", "until somebody mends it",
        {"match": "*", "times": 0}, sees="RemoteError", words="cannot be reached", next_words="may be tried again",
        batch="sealed", reports={}, reaction=(MEND, CLEAR, RECONCILE), ends_reports={"written_back": 1},
    ),
    Row(
        "login_refused", "Correct password or key in the connection, then clear the task.",
        settings={"match": "*"}, sees="RemoteRefused", words="refused the log-in", next_words="Check login, password",
        batch="sealed", reports={}, reaction=(CLEAR, RECONCILE), ends_reports={"written_back": 1},
    ),
    Row(
        "host_key_changed", "Ask DOKU, over another channel, for the fingerprint; pin it if it is the one shown; then "
        "clear the task.", settings={"match": "*"}, sees="HostKeyError", words="host key SHA256:",
        next_words="Ask DOKU for its fingerprint", batch="sealed", reports={}, reaction=(CLEAR, RECONCILE),
        ends_reports={"written_back": 1},
    ),
    Row("slow", _NONE, settings={"times": 0, "params": {"seconds": 0.01}}),
    Row(
        "hang", _NONE, "while a file is opened", {"params": {"seconds": 5, "op": "open"}},
        sees="RemoteError", words="The connection broke while writing", next_words="it looks at the server first",
        retried=True,
    ),
    Row(
        "hang", _IN_FLIGHT, "when the rename arrives", {"params": {"seconds": 5, "op": "rename"}},
        sees="DeliveryUnknown", words="Nobody can say yet whether", next_words="Clear this task to look at the server",
        batch="unknown", reports={}, reaction=(CLEAR, RECONCILE), ends="unknown", told={"in_flight": CHARGES},
    ),
    # --- upload
    Row(
        "upload_cut", _NONE, "", {"params": {"at": 700}}, sees="RemoteError",
        words="The connection broke while writing", next_words="it looks at the server first", retried=True,
    ),
    Row(
        "upload_cut", "Clear the task: it looks at the server first. What it finds there is not ours, and is never "
        "overwritten; ask DOKU what they took.", "direct delivery", {"params": {"at": 700}}, profile=_DIRECT,
        sees="DeliveryUnknown", words="Nobody can say yet whether", next_words="Clear this task to look at the server",
        batch="unknown", reports={}, reaction=(CLEAR, RECONCILE), ends="unknown", told={"in_flight": CHARGES},
    ),
    Row(
        "write_refused", "Ask DOKU for the rights of this user, then clear the task.", sees="RemoteRefused",
        words="permission denied", next_words="Ask DOKU for the rights", batch="delivering", reports={},
        reaction=(CLEAR, RECONCILE), ends_reports={"written_back": 1},
    ),
    Row(
        "disk_full", _NONE, "once", {"params": {"at": 700}}, sees="RemoteError", words="has 700 bytes at the server",
        next_words="it looks at the server first", retried=True,
    ),
    Row(
        "disk_full", "Tell DOKU that their disk is full, then clear the task.", "until somebody mends it",
        {"times": 0, "params": {"at": 700}}, sees="RemoteError", words="has 700 bytes at the server",
        next_words="it looks at the server first", batch="delivering", reports={}, reaction=(MEND, CLEAR, RECONCILE),
        ends_reports={"written_back": 1},
    ),
    Row(
        "close_answer_lost", _NONE, "by a temporary name", sees="RemoteError",
        words="The connection broke while writing", next_words="it looks at the server first", retried=True,
    ),
    Row(
        "close_answer_lost", "Clear the task: it looks at the server and finds the file.", "direct delivery",
        profile=_DIRECT, sees="DeliveryUnknown", words="Nobody can say yet whether",
        next_words="Clear this task to look at the server", reaction=(CLEAR,),
    ),
    Row(
        "rename_refused", "Ask DOKU whether this user may rename; then clear the task.", sees="DeliveryRefused",
        words="did not give", next_words="then clear this task", batch="sealed", reports={},
        reaction=(CLEAR, RECONCILE), ends_reports={"written_back": 1},
    ),
    Row(
        "rename_cut", _IN_FLIGHT, sees="DeliveryUnknown", words="Nobody can say yet whether",
        next_words="Clear this task to look at the server", batch="unknown", reports={}, reaction=(CLEAR, RECONCILE),
        ends="unknown", told={"in_flight": CHARGES},
    ),
    Row(
        "rename_answer_lost", "Clear the task: it looks at the server and finds the file, or the report that answers "
        "it settles it.", sees="DeliveryUnknown", words="Nobody can say yet whether",
        next_words="Clear this task to look at the server", reaction=(CLEAR,),
    ),
    Row("taken_at_once", _NONE, "by a temporary name"),
    Row(
        "taken_at_once", "Clear the task: it finds the file in DOKU's archive folder, or a report that answers it.",
        "direct delivery", profile=_DIRECT, sees="DeliveryUnknown", words="Nobody can say yet whether",
        next_words="Clear this task to look at the server", reaction=(CLEAR,),
    ),
    Row(
        "remove_refused", "Nothing for the money; a temporary file stays behind that DOKU does not pick up. Ask DOKU "
        "to delete it.", settings={"times": 0}, also=({"name": "upload_cut", "params": {"at": 700}},),
        sees="RemoteError", words="The connection broke while writing", next_words="it looks at the server first",
        retried=True,
    ),
    # --- download and listing
    Row(
        "download_cut", _NONE, "while a report is fetched", {"match": "RPT_*", "params": {"at": 700}},
        sees="RemoteError", words="The connection broke while reading", next_words="it looks at the server first",
        retried=True,
    ),
    Row(
        "download_cut", _NONE, "while the upload is read back", {"match": "*.part", "params": {"at": 700}},
        sees="RemoteError", words="The connection broke while reading", next_words="it looks at the server first",
        retried=True,
    ),
    Row(
        "listing_refused", "Clear the task; if it stays, ask DOKU for the rights of this user.", "during submit",
        {"match": "outbound"}, sees="RemoteRefused", words="The server refused listing", next_words="clear the task",
        batch="delivering", reports={}, reaction=(CLEAR, RECONCILE), ends_reports={"written_back": 1},
    ),
    Row(
        "listing_refused", "The next run lists again; if it stays, ask DOKU for the rights of this user.",
        "during reconcile", {"match": "outbound", "after": 1}, sees="RemoteRefused",
        words="The server refused listing", next_words="clear the task", batch="delivered", reports={},
        reaction=(RECONCILE,), ends_reports={"written_back": 1},
    ),
    Row(
        "listing_stale", "Nothing: the next run of reconcile finds the report.",
        settings={"match": "outbound", "after": 1}, batch="delivered", reports={}, reaction=(RECONCILE,),
        ends_reports={"written_back": 1},
    ),
    Row("outbound_litter", _NONE),
    Row(
        "report_growing", "Nothing: it is taken by the next run, once it has stopped growing.",
        settings={"params": {"steps": 6, "seconds": 0.4}}, batch="delivered", reports={}, reaction=(RECONCILE,),
        ends_reports={"written_back": 1}, looks_apart=1.1,
    ),
    Row("clock_skew", _NONE, settings={"params": {"seconds": -86400}}),
    # --- what DOKU does with the batch
    Row(
        "file_rejected", _IN_FLIGHT, batch="delivered", reports={}, reaction=(RECONCILE, TWO_DAYS), ends="delivered",
        told={"in_flight": CHARGES},
    ),
    Row(
        "file_ignored", _IN_FLIGHT, batch="delivered", reports={}, reaction=(RECONCILE, TWO_DAYS), ends="delivered",
        told={"in_flight": CHARGES},
    ),
    Row(
        "line_rejected", "Look at the line's code in `books`: DOKU did not take this line, for our set-up. It was "
        "not charged. The next run stops until somebody says `setup-mended`; the lines are then tried again.",
        settings={"params": {"count": 2}}, reaction=(SETUP,), told={"declined": 2},
    ),
    Row(
        "answers_unknown", "Ask DOKU what became of these charges. They stay in flight and no run sends them again.",
        settings={"params": {"count": 2}}, told={"unknown": 2},
    ),
    # --- the report as a whole
    Row(
        "report_late", "Nothing: the report is taken whenever it comes. Until then the charges are in flight.",
        batch="delivered", reports={}, reaction=(RECONCILE, TWO_DAYS), ends_reports={"written_back": 1},
    ),
    Row(
        "report_never", "Ask DOKU for the report. The customers were charged: sending again would charge them twice, "
        "and no run does.", batch="delivered", reports={}, reaction=(RECONCILE, TWO_DAYS), ends="delivered",
        told={"in_flight": CHARGES},
    ),
    Row(
        "report_half_then_rest", "Nothing: the rest is taken when it comes.",
        settings={"params": {"seconds": 3600}}, batch="delivered", reaction=(REPAIR,), ends_reports={"written_back": 2},
    ),
    _refused("report_truncated", "cut or altered", when="as delivered"),
    _refused(
        "report_truncated", "Refused: RPT_", when="before it was sealed",
        settings={"params": {"where": "plain", "repair_after_seconds": 3600}},
    ),
    _refused("report_bit_flipped", "Refused: ", when="as delivered"),
    Row(
        "report_empty", "Nothing: an empty file is not taken for a report. If nothing else comes, ask DOKU for it.",
        settings=_REPAIRED, batch="delivered", reports={}, reaction=(REPAIR,), ends_reports={"written_back": 1},
    ),
    _refused("report_trailing_garbage", "Refused: "),
    _refused("report_wrong_totals", "says"),
    _refused("report_wrong_key", "check the key that DOKU has of you"),
    Row("report_duplicated", "Nothing: the same content counts once."),
    Row(
        "report_repeated", "Nothing: lines that say the same again change nothing.", reports={"written_back": 2},
    ),
    Row(
        "report_foreign", "Tell DOKU that another merchant's report lies in your folder. Ours was taken in.",
        "sealed for us", sees="ReportRefused", words="none of its 5 lines answers an attempt of insurance",
        reports={"refused": 1, "written_back": 1},
    ),
    Row(
        "report_foreign", "Tell DOKU that another merchant's report lies in your folder. Ours was taken in.",
        "sealed for its owner", {"params": {"sealed_for": "other"}}, sees="ReportRefused",
        words="check the key that DOKU has of you", reports={"refused": 1, "written_back": 1},
    ),
    # --- the report's lines
    Row("lines_duplicated", "Nothing: the same line again is nothing.", settings={"params": {"count": 3}}),
    Row(
        "lines_conflicting", "Show DOKU both lines (`breaks`) and ask which is true. Until then the charge counts as "
        "paid and is not sent again.", breaks={"conflict": 1},
    ),
    Row(
        "lines_missing", "Ask DOKU for the missing lines. Their charges stay in flight and no run sends them again.",
        settings={"params": {"count": 2}}, batch="delivered", reaction=(RECONCILE, TWO_DAYS), ends="delivered",
        told={"in_flight": 2}, breaks={"missing_line": 2},
    ),
    Row(
        "lines_unexpected", "Show DOKU the lines (`breaks`): not our charges. Nothing of ours changed.",
        breaks={"unexpected": 1},
    ),
    Row("lines_reordered", _NONE),
    Row(
        "lines_amount_changed", "Show DOKU the lines (`breaks`): sent and reported amounts differ. The charge "
        "counts as answered and is not sent again.", breaks={"amount_differs": 1},
    ),
    Row(
        "lines_code_unlisted", "Ask DOKU what the code means, add it to codes.toml and read the report again "
        "(`reingest`). Until then the charge is unknown and is not sent again.", told={"unknown": 1},
        breaks={"unlisted_code": 1},
    ),
)  # fmt: skip
