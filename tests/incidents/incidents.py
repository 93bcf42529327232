"""The fifteen ways in which systems that do this job hurt their operators most, and what stands against each here.

`docs/incidents.md` is generated from this list; `test_incidents.py` has a test for every entry, by number.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Incident:
    """One kind of incident.

    Attributes:
        what: What went wrong.
        here: What stands against it.
        still: What is still to come, if anything: this release does not have it.
    """

    number: int
    what: str
    here: str
    still: str = ""


INCIDENTS: Final[tuple[Incident, ...]] = (
    Incident(
        1, "A customer is charged twice: two runs, two jobs or two installations each found the charge open.",
        "One live attempt for each charge of a billing database, kept by unique keys in the ledger; an attempt whose "
        "fate is unknown blocks any further one; `verify` looks for charges with two live attempts.",
    ),
    Incident(
        2, "Nobody knows whether an upload arrived, or it was reported as a success and had not arrived.",
        "Three endings: delivered, refused, unknown. The content is read back under a temporary name before the file "
        "becomes visible; unknown is resolved by looking at the server, never by sending again.",
    ),
    Incident(
        3, "The process dies between sending a file and writing down that it was sent; the next run sends it again.",
        "The ledger says so before the file can become visible, and the name is decided with the batch: whoever comes "
        "next finds the intent and looks at the server for that name and content.",
    ),
    Incident(
        4, "A re-run, a cleared task, a backfill or a task that ran twice sends money again.",
        "Safety is in the ledger, not in Airflow: any task, at any time, any number of times. A past date sends only "
        "what its run was told in words.",
    ),
    Incident(
        5, "Silence: no result comes, nobody is told, and the charges are taken for paid or for failed.",
        "No answer is neither paid nor failed: the charges stay in flight, stand as `awaiting` in the books of every "
        "run, and are not sent again. The batch stays open and is named by each run of reconcile.",
        "An expected-by time for each stage, and a watchdog of its own that raises the alarm.",
    ),
    Incident(
        6, "A file is read while it is still being written, or a sensor is green although no file is there.",
        "A report is taken when two looks show the same size and time, and it is not empty; a half-written one that "
        "is fetched all the same is refused in whole by its envelope, its last line, its count or its total, and the "
        "whole one is another content, which is taken.",
    ),
    Incident(
        7, "The server's host key is not checked unless somebody turns that on.",
        "Without a pinned key nothing is sent; another key than the pinned ones stops the log-in and shows its "
        "fingerprint; two keys may be pinned while DOKU changes its own.",
    ),
    Incident(
        8, "A file is marked as processed, then processing fails, and operators delete rows to have it read again.",
        "A report is taken in by one transaction, together with the mark that it was. What breaks off before is taken "
        "in by the next run.",
    ),
    Incident(
        9, "A result line comes twice, late, or contradicts an earlier one, and the last one wins.",
        "An identical line is nothing; a contradicting one is a break that shows both; paid is never overwritten; the "
        "order in which reports come makes no difference.",
    ),
    Incident(
        10, "Declined cards are tried again and again, against the rules of the card networks.",
        "What an answer allows is data with a source; a pure function decides, with spacing, limits and allowed days; "
        "the networks' caps are counted over all attempts on a token at every claim; never again is never. "
        "Switched off, a declined charge waits until the merchant asks for the next attempt, once for each.",
    ),
    Incident(
        11, "One bad row stops the whole run, or vanishes without a trace.",
        "Every listed row ends in exactly one of sent, quarantined, held, deferred, in flight or settled, and the sums "
        "are proved; quarantined rows are kept with all reasons and go out once they are mended.",
    ),
    Incident(
        12, "After an outage files are built and sent again by hand.",
        "`plan` says what would be sent; `recover` rebuilds a lost ledger from the billing database, the manifests "
        "and the server; a ledger that forgot something claims nothing until then.",
    ),
    Incident(
        13, "Connections leak or hang, and workers stand still.",
        "One session for each stage, closed at its end; every answer of the server is waited for with a limit; files "
        "are streamed.",
    ),
    Incident(
        14, "Around cut-offs and month ends charges are lost or doubled.",
        "The execute date is a pure function of business date, clock and cut-off, and never in the past; a batch that "
        "missed its cut-off is withdrawn, and its charges go out with a new one, once. Holidays and cut-offs of single "
        "days are data by year; days that collapse on the next allowed one lose and double nothing.",
    ),
    Incident(
        15, "Tokens and card numbers stand in logs and messages.",
        "No message, log line or stored row of ours carries a token or a password; the ledger keeps the token with "
        "the attempt alone, because the file must be rendered again from it.",
    ),
)  # fmt: skip
