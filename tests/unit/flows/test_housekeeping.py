"""What is over goes when its time has come; what is open stays; verify knows the difference from a lost file."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from include.domain.errors import ArtefactError
from include.flows.explain import explain
from include.flows.housekeeping import tidy, what_is_old
from include.flows.verify import findings
from include.ledger.bill_tables import customer_token
from include.ledger.inbox_tables import notification
from tests.flows_harness import TOKEN, charge

FILES = {"housekeeping": {"files_days": 100, "tokens_days": 30, "notifications_days": 30}}


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def sent(merchant):
    """A finished day of four charges, its files kept."""
    return _finished(merchant)


def _finished(merchant):
    merchant.context = merchant.changed(FILES)
    merchant.list_charges(*(charge(f"C{number}", 10_000 + number) for number in range(4)))
    _, (merchant.batch_id,) = merchant.submit()
    with merchant.doku(mix={"0000": 1}) as doku:
        doku.process_once()
        merchant.reconcile()
    return merchant


def _kept(merchant) -> list[str]:
    """The artefacts of batches and reports that are there."""
    rows = merchant.sql("SELECT artefact FROM batch UNION ALL SELECT artefact FROM report_file")
    return [row["artefact"] for row in rows if _is_there(merchant, row["artefact"])]


def _is_there(merchant, artefact: str) -> bool:
    with suppress(ArtefactError):
        return bool(list(merchant.context.artefacts.read(artefact)))
    return False


def _tokens(merchant) -> list[str]:
    return [row["token"] for row in merchant.sql("SELECT token FROM attempt ORDER BY line_no")]


def test_nothing_goes_before_its_time(sent):
    sent.later(days=29)
    assert not any((what_is_old(sent.context).files, what_is_old(sent.context).batches))
    tidy(sent.context)
    assert all(TOKEN in token for token in _tokens(sent))


def test_tokens_go_first_and_files_later_and_verify_finds_nothing_wrong(merchant_on_each):
    sent = _finished(merchant_on_each)
    sent.later(days=31)
    assert [one.count for one in tidy(sent.context, "Sari").batches] == [4]
    assert _tokens(sent) == [""] * 4
    assert _kept(sent)
    assert list(findings(sent.context)) == []
    sent.later(days=70)
    assert len(tidy(sent.context).files) == 2
    assert not _kept(sent)
    assert list(findings(sent.context)) == []
    assert not any(tidy(sent.context).files)  # again: there is nothing left
    (event, *_) = sent.sql("SELECT actor, details FROM event WHERE kind = 'housekeeping' ORDER BY seq")
    assert event["actor"] == "Sari"
    assert TOKEN not in event["details"]
    assert "Paid" in "".join(str(part) for part in explain(sent.context, "C1").steps)


def test_a_look_changes_nothing(sent):
    sent.later(days=200)
    before = sent.dump()
    found = what_is_old(sent.context)
    assert (len(found.files), len(found.batches)) == (2, 1)
    assert sent.dump() == before


def test_what_is_open_stays_however_old_it_is(merchant):
    merchant.context = merchant.changed(FILES)
    merchant.list_charges(charge("PAID"), charge("UNKNOWN", 170_036))
    merchant.submit()
    paid, unknown = merchant.invoices()["PAID"], merchant.invoices()["UNKNOWN"]
    merchant.report((paid, 150_000, "0000"), (unknown, 170_036, "5536"))
    merchant.reconcile()
    merchant.later(days=1000)
    assert what_is_old(merchant.context).batches == ()
    assert tidy(merchant.context).files == ()
    assert all(_tokens(merchant))


def test_an_open_break_keeps_the_files(sent):
    invoice = sent.invoices()["C1"]
    sent.report((invoice, 10_001, "0051"), name="RPT_2.TXT")  # DOKU takes back what it said: a break
    sent.reconcile("second")
    sent.later(days=1000)
    assert what_is_old(sent.context).batches == ()
    assert all(one.table != "batch" for one in what_is_old(sent.context).files)


def test_a_file_that_is_lost_is_still_found_by_verify(sent):
    for artefact in _kept(sent):
        sent.context.artefacts.remove(artefact)
    assert len(list(findings(sent.context))) == 2


@pytest.mark.parametrize("nth", [1, 2, 4, 6])
def test_killed_anywhere_the_next_run_goes_on(sent, nth):
    seen = []

    def step(name):
        seen.append(name)
        if len(seen) == nth:
            raise Killed

    sent.later(days=200)
    with pytest.raises(Killed):
        tidy(replace(sent.context, step=step))
    assert list(findings(sent.context)) == []
    tidy(sent.context)
    assert list(findings(sent.context)) == []
    assert what_is_old(sent.context).files == ()
    assert _tokens(sent) == [""] * 4


def test_a_raw_notification_goes_once_it_is_processed_and_a_question_too(merchant_on_each):
    merchant = merchant_on_each
    merchant.context, now = merchant.changed(FILES), merchant.now
    of_kind = {
        "payment": {"state": "done", "processed_at": now},
        "registration": {"state": "received", "processed_at": None},
        "card_update": {"state": "failed", "processed_at": now},
        "amount": {"state": "done", "processed_at": None},  # answered at once: no run takes it in
    }
    for kind, values in of_kind.items():
        row = {
            "profile": merchant.profile.name, "kind": kind, "content_digest": f"{kind:0<64}", "headers": "{}",
            "body": b"{}", "size": 2, "received_at": now, "last_at": now, "times": 1, **values,
        }  # fmt: skip
        with merchant.ledger.write() as connection:
            connection.execute(sa.insert(notification).values(row))
    merchant.later(days=29)
    assert tidy(merchant.context).notifications == 0
    merchant.later(days=2)
    assert (what_is_old(merchant.context).notifications, tidy(merchant.context).notifications) == (2, 2)
    left = merchant.sql("SELECT kind FROM notification WHERE body IS NOT NULL ORDER BY kind")
    assert [row["kind"] for row in left] == ["card_update", "registration"]


def test_a_lost_token_stays_until_the_merchant_knows_of_the_loss(merchant_on_each):
    merchant = merchant_on_each
    merchant.context, now = merchant.changed(FILES), merchant.now
    for customer, told_at in (("K-1", now), ("K-2", None)):
        row = {
            "billing_source": merchant.profile.billing_source, "profile": merchant.profile.name,
            "customer_id": customer, "token_fingerprint": "0" * 32, "token": TOKEN, "state": "lost", "chosen": False,
            "first_seen_at": now - timedelta(days=9), "last_seen_at": now, "lost_at": now, "told_at": told_at,
        }  # fmt: skip
        with merchant.ledger.write() as connection:
            connection.execute(sa.insert(customer_token).values(row))
    merchant.later(days=31)
    assert (what_is_old(merchant.context).tokens, tidy(merchant.context).tokens) == (1, 1)
    assert merchant.sql("SELECT customer_id FROM customer_token WHERE token IS NOT NULL") == [{"customer_id": "K-2"}]
