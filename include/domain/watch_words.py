"""What is wrong, in words, and the safe thing to do about it: one function for each kind of matter.

Each action is safe whatever the cause turns out to be: it looks, or it is a task that may be cleared at any time. None
sends anything twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from include.domain.alert_text import local_time
from include.domain.states import BatchState
from include.domain.watch import Kind, Matter, Watcher

PAGE: Final = "watchdog.md"
_CLI: Final = "python -m include.cli"
_ENDED_BY: Final = {
    "collected_twice": ("Once the money is given back, settle that attempt:", "reversed"),
    "paid_while_in_flight": (
        "The report on the later attempt ends this; if DOKU stopped it and none comes:",
        "withdrawn",
    ),
}
_SHOWS: Final = "A decision shows what it would do; --apply does it."


@dataclass(frozen=True)
class Place:
    """Whose matter it is.

    Attributes:
        profile: Its name.
        zone: For moments in words.
    """

    profile: str
    zone: ZoneInfo

    def at(self, moment: datetime) -> str:
        """A moment for people."""
        return local_time(moment, self.zone)

    def decision(self, name: str, about: str = "") -> str:
        """The command of a person's decision."""
        return f"{_CLI} {name} {about}{' ' if about else ''}--profile {self.profile} --by <name> --why <reason>"

    def submit(self) -> str:
        """The DAG that sends."""
        return f"doku_submit__{self.profile}"

    def reconcile(self) -> str:
        """The DAG that takes reports in."""
        return f"doku_reconcile__{self.profile}"


def not_started(place: Place, scheduled: datetime, expected_by: datetime, waiting: str) -> Matter:
    """No run of submit has claimed since it was due; `waiting` says what is due."""
    return Matter(
        Kind.NOT_STARTED, "submit", expected_by,
        f"{place.submit()} was due at {place.at(scheduled)} and no run of it has claimed since. {waiting}",
        f"In Airflow, unpause {place.submit()} if it is paused, and look whether scheduler and DAG processor run; then "
        f"trigger it once. It claims each charge once, however often it runs. `{_CLI} plan --profile {place.profile}` "
        "says what it would send.",
        f"{PAGE}#not-started",
    )  # fmt: skip


def not_claimed(place: Place, run_id: int, opened_at: datetime, expected_by: datetime) -> Matter:
    """A run began and claimed nothing."""
    return Matter(
        Kind.NOT_CLAIMED, f"run {run_id}", expected_by,
        f"Run {run_id} of {place.submit()} began at {place.at(opened_at)} and has not claimed: nothing of it is sent.",
        f"Read the log of its task extract_and_claim in Airflow, do what its sentence says, and clear the task. "
        f"`{_CLI} plan --profile {place.profile}` meets the same obstacle and names it.",
        f"{PAGE}#not-claimed",
    )  # fmt: skip


def not_sent(
    place: Place,
    name: str,
    state: BatchState,
    what: str,
    cutoff: datetime,
    expected_by: datetime,
    *,
    braked: int | None,
) -> Matter:
    """A batch was claimed and has not left; `braked`: the run that waits for a person's approval, if one does."""
    if braked is not None:
        why = f"A brake stopped run {braked}, and nobody has answered."
        action = (
            "Look at the figures in Airflow (Browse > Required Actions) and answer there, or "
            f"`{place.decision('approve', f'--run-id {braked}')}` (or `refuse`), and clear deliver. {_SHOWS}"
        )
        runbook = "approval.md"
    else:
        why = f"It is {state}."
        action = (
            f"Read the log of the failed task of {place.submit()} in Airflow, do what its sentence says, and clear "
            "that task: it looks at the server before it sends."
        )
        runbook = f"{PAGE}#not-sent"
    return Matter(
        Kind.NOT_SENT, name, expected_by,
        f"Batch file {name} ({what}) was claimed and is not delivered. {why} After {place.at(cutoff)} it is withdrawn, "
        "and its charges go out a day later.",
        action, runbook,
    )  # fmt: skip


def delivery_unknown(place: Place, name: str, what: str, since: datetime, expected_by: datetime) -> Matter:
    """Nobody can say whether a batch file arrived, and the server did not tell either."""
    return Matter(
        Kind.DELIVERY_UNKNOWN, name, expected_by,
        f"Since {place.at(since)} nobody can say whether {name} ({what}) was delivered. The server was asked at each "
        "look and shows nothing of it. It is not sent again.",
        f"Ask DOKU's support whether they have a file of that name. Then `{place.decision('arrived', name)}`, or "
        f"`never-arrived` in its place. {_SHOWS}",
        "delivery-unknown.md",
    )  # fmt: skip


def not_acknowledged(place: Place, name: str, what: str, delivered_at: datetime, expected_by: datetime) -> Matter:
    """DOKU did not take the file away."""
    return Matter(
        Kind.NOT_ACKNOWLEDGED, name, expected_by,
        f"{name} ({what}) was delivered at {place.at(delivered_at)} and still lies in DOKU's upload folder.",
        "Ask DOKU's support whether their pick-up runs and takes this name. Do not move, rename or upload it again.",
        f"{PAGE}#not-acknowledged",
    )  # fmt: skip


def no_report(name: str, what: str, execute_date: date, expected_by: datetime) -> Matter:
    """No report speaks of the batch, and none lies at the server."""
    return Matter(
        Kind.NO_REPORT, name, expected_by,
        f"No report on {name} ({what}, execute date {execute_date}) came, and none lies at the server.",
        "Ask DOKU's support for the report of that file name and execute date. Its charges stay in flight until then "
        "and are not sent again.",
        f"{PAGE}#no-report",
    )  # fmt: skip


def report_incomplete(name: str, waiting: str, execute_date: date, expected_by: datetime) -> Matter:
    """Reports answered a part of the batch only."""
    return Matter(
        Kind.REPORT_INCOMPLETE, name, expected_by,
        f"Reports answered a part of {name} (execute date {execute_date}); {waiting} are without an answer.",
        "Ask DOKU's support for the rest of the report of that file name. What is not answered stays in flight and is "
        "not sent again.",
        f"{PAGE}#report-incomplete",
    )  # fmt: skip


def not_concluded(place: Place, name: str, expected_by: datetime) -> Matter:
    """Everything of a batch is answered, and the batch is open all the same."""
    return Matter(
        Kind.REPORT_INCOMPLETE, name, expected_by,
        f"Each charge of {name} is answered, and the batch is not concluded: reconcile does not come to its end.",
        f"Read the log of the failed task of {place.reconcile()} in Airflow, do what its sentence says, and clear it.",
        f"{PAGE}#report-incomplete",
    )  # fmt: skip


def not_taken_in(place: Place, name: str, seen_at: datetime, expected_by: datetime, *, fetched: bool) -> Matter:
    """A report is there and is not taken in: reconcile does not run, or fails."""
    where = "was fetched" if fetched else "has lain at DOKU's server"
    return Matter(
        Kind.NOT_TAKEN_IN, name, expected_by,
        f"Report {name} {where} since {place.at(seen_at)} and is not taken in: the outcomes in it are known to nobody.",
        f"In Airflow, unpause {place.reconcile()} if it is paused, and trigger it; if a task of it failed, do what its "
        "sentence says and clear it.",
        f"{PAGE}#not-taken-in",
    )  # fmt: skip


def report_refused(place: Place, name: str, fetched_at: datetime, reason: str) -> Matter:
    """A report could not be read."""
    return Matter(
        Kind.REPORT_REFUSED, name, fetched_at,
        f"Report {name} was refused whole: {reason}",
        "Ask DOKU for the report again. If the key, the layout or a limit of ours was wrong, mend it and "
        f"`{place.decision('reopen', name)}`. {_SHOWS}",
        "report-refused.md",
    )  # fmt: skip


def not_written_back(place: Place, name: str, since: datetime, expected_by: datetime) -> Matter:
    """The merchant's table does not say yet what the ledger knows; `name` is a report's or a batch file's."""
    return Matter(
        Kind.NOT_WRITTEN_BACK, name, expected_by,
        f"What {name} says is in the ledger since {place.at(since)} and not in the merchant's table of outcomes.",
        f"Read the log of write_back of {place.reconcile()} in Airflow, do what its sentence says, and clear it; if "
        "the DAG is paused, unpause it.",
        f"{PAGE}#not-written-back",
    )  # fmt: skip


def server_silent(server: str, problem: str, expected_by: datetime) -> Matter:
    """DOKU's server does not answer us."""
    return Matter(
        Kind.SERVER_SILENT, server, expected_by,
        f"The watchdog cannot ask DOKU's server: {problem}",
        "Try to log in by `sftp` from a machine that runs tasks; if that fails too, ask DOKU. Nothing is lost: batches "
        "wait until their cut-off, reports wait at the server.",
        "server-unreachable.md",
    )  # fmt: skip


def money_at_risk(place: Place, break_id: int, what: str, details: str, opened_at: datetime) -> Matter:
    """A break that may mean that a customer is charged twice; only outcomes end it."""
    how, status = _ENDED_BY[what]
    return Matter(
        Kind.MONEY_AT_RISK, f"break {break_id}", opened_at,
        f"{what.replace('_', ' ').capitalize()}: {details}",
        "Ask DOKU by telephone to stop or refund the second payment of this charge; nothing further is sent for it. "
        f"{how} `{place.decision('settle', f'<invoice number> --as {status} --evidence <words>')}`. {_SHOWS}",
        f"{PAGE}#money-at-risk", at_once=True,
    )  # fmt: skip


def set_up_broken(place: Place, subject: str, count: int, codes: str, expected_by: datetime) -> Matter:
    """DOKU declined for a reason that lies in the merchant's own set-up."""
    return Matter(
        Kind.SET_UP_BROKEN, subject, expected_by,
        f"{count} charges of {place.profile} were declined because of the merchant's set-up at DOKU (response codes "
        f"{codes}). They are held: no further attempt helps until it is mended.",
        "Ask DOKU's Account Manager what these codes mean for this account (limits, card types, agreement) and have it "
        f"mended. Then `{place.decision('setup-mended')}`: only then are the charges tried again. {_SHOWS}",
        f"{PAGE}#set-up-broken",
    )  # fmt: skip


def breaks_old(what: str, count: int, oldest: datetime, late_since: datetime, place: Place) -> Matter:
    """Breaks of a kind that nobody has settled."""
    return Matter(
        Kind.BREAKS_OLD, what, late_since,
        f"{count} breaks of the kind {what.replace('_', ' ')} are not resolved, the oldest open or explained since "
        f"{place.at(oldest)}.",
        f"`{_CLI} breaks --profile {place.profile}` lists them with both sides. Ask DOKU which is right, then "
        f"`{place.decision('resolve-break', '<number>')}`. {_SHOWS}",
        f"{PAGE}#breaks-and-quarantine",
    )  # fmt: skip


def quarantine_old(count: int, oldest: datetime, late_since: datetime, place: Place) -> Matter:
    """Charges that nobody mended."""
    return Matter(
        Kind.QUARANTINE_OLD, "quarantine", late_since,
        f"{count} charges are quarantined, the oldest since {place.at(oldest)}: they are not collected.",
        f"`{_CLI} quarantine --profile {place.profile}` lists them with their reasons. Mend the rows in the merchant's "
        f"view, or `{place.decision('cancel', '<charge>')}`. {_SHOWS}",
        f"{PAGE}#breaks-and-quarantine",
    )  # fmt: skip


def outcomes_unknown(count: int, named: Sequence[str], oldest: datetime, late_since: datetime, place: Place) -> Matter:
    """Attempts of which DOKU's answer says neither paid nor declined; `named`: the oldest ones' invoice numbers."""
    more = ", ..." if count > len(named) else ""
    return Matter(
        Kind.OUTCOMES_UNKNOWN, "attempts", late_since,
        f"{count:,} attempts are unknown, the oldest since {place.at(oldest)}: {', '.join(named)}{more}. Their charges "
        "may have been collected or not; no report said more, and they are not attempted again.",
        "Ask DOKU what became of each, by its invoice number. With their answer "
        f"`{place.decision('settle', '<invoice number> --as paid --evidence <words>')}`, or `--as declined`. {_SHOWS}",
        f"{PAGE}#outcomes-unknown",
    )  # fmt: skip


def key_ends(file: str, last_day: date, late_since: datetime) -> Matter:
    """The last of DOKU's public keys ends soon, or has ended."""
    return Matter(
        Kind.KEY_ENDS, file, late_since,
        f"DOKU's public key {file} may be used until {last_day}, and no newer one is in the profile. After that day "
        "nothing is sent.",
        "Get the next key from DOKU, check its fingerprint with them by another way, and add it to the profile: "
        "[[batch.public_keys]]. Leave the old one.",
        "keys.md",
    )  # fmt: skip


def host_key_ends(last_day: date, late_since: datetime) -> Matter:
    """The pinned host key ends, as DOKU announced."""
    return Matter(
        Kind.HOST_KEY_ENDS, "host key", late_since,
        f"The pinned host key of DOKU's server holds until {last_day}. After that day no connection is made.",
        "Get the next host key from DOKU by another way than the network, add it to extra.host_key of the SFTP "
        "connection (a list; leave the old one), and set watch.host_key_until to its own last day or leave it out.",
        "host-key-changed.md",
    )  # fmt: skip


def rules_end(subject: str, words: str, late_since: datetime) -> Matter:
    """Rules of re-attempts are to be looked at again, or cannot be used; `words` says which."""
    return Matter(
        Kind.RULES_END, subject, late_since, words,
        "Read the networks' and DOKU's current rules, enter them with their source, and give them a new last day.",
        f"{PAGE}#rules-end",
    )  # fmt: skip


def watch_silent(place: Place, watcher: Watcher, last_at: datetime, expected_by: datetime) -> Matter:
    """The other watchdog has stopped looking."""
    if watcher is Watcher.AIRFLOW:
        words = f"doku_watchdog has not looked since {place.at(last_at)}: it is paused, or Airflow's scheduler is down."
        action = (
            "Look at Airflow's health (/api/v2/monitor/health): start the scheduler, and unpause doku_watchdog. What "
            "Airflow missed is made up for once it runs: charges that are due are found by the next run of submit."
        )
    else:
        words = f"The watchdog outside Airflow has not looked since {place.at(last_at)}."
        action = f"Look at the cron job or timer that runs `{_CLI} watch`, and at its machine; run it once by hand."
    return Matter(Kind.WATCH_SILENT, str(watcher), expected_by, words, action, f"{PAGE}#a-watchdog-is-silent")


def ledger_silent(problem: str, since: datetime) -> Matter:
    """The ledger cannot be used: nothing can be judged, and nothing goes on."""
    return Matter(
        Kind.LEDGER_SILENT, "ledger", since,
        f"The watchdog cannot use the ledger, and nothing else can: {problem}",
        f"Look whether its database runs and whether `{_CLI} ledger status` is content. Nothing is sent meanwhile.",
        "database-unreachable.md",
    )  # fmt: skip


def profile_broken(problem: str, since: datetime) -> Matter:
    """The profile, or a connection that it names, cannot be used: its DAGs are gone or fail."""
    return Matter(
        Kind.PROFILE_BROKEN, "profile", since,
        f"Nothing of this profile runs: {problem}",
        f"Mend what the sentence names, and check with `{_CLI} profiles`. The other profiles go on.",
        "broken-profile.md",
    )  # fmt: skip
