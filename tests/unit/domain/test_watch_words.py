"""What alerts say: each names a fact and a safe action, commands that exist, pages that exist."""

import contextlib
import inspect
import io
import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from include import cli
from include.domain import watch_api_words, watch_bill_words, watch_token_words, watch_words
from include.domain.states import BatchState
from include.domain.watch import Kind, Matter, Watcher
from include.domain.watch_words import Place

RUNBOOKS = Path(__file__).resolve().parents[3] / "docs" / "runbooks"
T = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)
PLACE = Place("insurance", ZoneInfo("Asia/Jakarta"))
NAME = "TKN_1.TXT"

MATTERS = [
    watch_words.not_started(PLACE, T, T, "3 charges are due."),
    watch_words.not_claimed(PLACE, 7, T, T),
    watch_words.not_sent(PLACE, NAME, BatchState.SEALED, "2 charges", T, T, braked=None),
    watch_words.not_sent(PLACE, NAME, BatchState.SEALED, "2 charges", T, T, braked=7),
    watch_words.delivery_unknown(PLACE, NAME, "2 charges", T, T),
    watch_words.not_acknowledged(PLACE, NAME, "2 charges", T, T),
    watch_words.no_report(NAME, "2 charges", date(2026, 11, 21), T),
    watch_words.report_incomplete(NAME, "1 of 2 charges", date(2026, 11, 21), T),
    watch_words.not_concluded(PLACE, NAME, T),
    watch_words.not_taken_in(PLACE, "RPT_1.TXT", T, T, fetched=True),
    watch_words.not_taken_in(PLACE, "RPT_1.TXT", T, T, fetched=False),
    watch_words.report_refused(PLACE, "RPT_1.TXT", T, "its totals do not tie"),
    watch_words.not_written_back(PLACE, NAME, T, T),
    watch_words.server_silent("sftp", "no answer", T),
    watch_words.money_at_risk(PLACE, 5, "collected_twice", "both sides", T),
    watch_words.set_up_broken(PLACE, "merchant's set-up", 3, "0057", T),
    watch_words.breaks_old("unexpected", 3, T, T, PLACE),
    watch_words.outcomes_unknown(3, ["INV1", "INV2"], T, T, PLACE),
    watch_words.quarantine_old(3, T, T, PLACE),
    watch_words.key_ends("doku.pem", date(2026, 12, 31), T),
    watch_words.host_key_ends(date(2026, 12, 31), T),
    watch_words.rules_end("retry_rules.toml", "All its rules were to be looked at again.", T),
    watch_words.watch_silent(PLACE, Watcher.AIRFLOW, T, T),
    watch_words.watch_silent(PLACE, Watcher.OUTSIDE, T, T),
    watch_words.ledger_silent("no answer", T),
    watch_words.profile_broken("key missing", T),
    watch_api_words.not_notified(PLACE, NAME, "", T, T),
    watch_api_words.not_notified(PLACE, NAME, "DOKU's API did not answer.", T, T),
    watch_api_words.status_unanswered(PLACE, "DOKU's API did not answer.", T, T),
    watch_bill_words.recurring_not_started(PLACE, T, T, "DOKU charges 3 bills."),
    watch_bill_words.notifications_waiting(PLACE, 3, T, T),
    watch_bill_words.notifications_failed(PLACE, 3, T, [1, 2]),
    watch_bill_words.charges_missing(PLACE, 3, "Rp 300,000", T),
    watch_bill_words.charges_unexpected(PLACE, 11, 10, "Rp 300,000", T),
    watch_bill_words.charges_unknown(PLACE, 3, ["R-1", "R-2"], T, T),
    watch_bill_words.charges_not_told(PLACE, T, T),
    watch_bill_words.amounts_not_known(PLACE, 3, ["B-1", "B-2"], T),
    watch_token_words.tokens_old(PLACE, T, T, T),
    watch_token_words.tokens_old(PLACE, None, T, T),
]


def _anchors(page: str) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", (RUNBOOKS / page).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_kind_has_its_words():
    assert {matter.kind for matter in MATTERS} == set(Kind)
    makers = {
        name
        for name, value in inspect.getmembers(watch_words, inspect.isfunction)
        if value.__module__ == watch_words.__name__ and value.__annotations__.get("return") is Matter
    }
    assert makers <= {name for name in makers if f"watch_words.{name}(" in Path(__file__).read_text(encoding="utf-8")}


@pytest.mark.parametrize("matter", MATTERS, ids=lambda one: f"{one.kind}-{one.subject}")
def test_an_alert_names_an_action_that_exists(matter):
    assert matter.words.endswith((".", "due.")) or ": " in matter.words
    assert len(matter.action) > 40
    page, _, anchor = matter.runbook.partition("#")
    assert not anchor or anchor in _anchors(page)
    assert (RUNBOOKS / page).exists()
    for command in re.findall(r"`python -m include\.cli ([^`]*)`", matter.action):
        words = re.sub(r"<number>", "1", command)
        arguments = re.sub(r"<[^>]*>", "x", words).split()
        if "--profile" not in arguments and arguments not in (["profiles"], ["watch"]):
            arguments.append("--help")
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
            assert cli._parser().parse_args(arguments).command
            continue
        assert said.getvalue().startswith("usage"), command
