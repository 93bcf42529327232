"""The summary for people: its figures, its page, its CSV file, and when it is made."""

import csv
import io
import json
import re
from datetime import timedelta

import pytest
import sqlalchemy as sa

from include.domain.states import RunKind
from include.flows.reconcile import conclude_batches
from include.flows.summarise import summarise, summary_now
from include.flows.verify import findings
from tests.flows_harness import BUSINESS_DATE, TOKEN, charge

SCRIPT = "<script>alert('x')</script>"


def _summarise(merchant, external_id=""):
    run = merchant.run(RunKind.RECONCILE, external_id)
    conclude_batches(merchant.context, run.run_id)
    return summarise(merchant.context, run.run_id)


def _page(merchant, day=BUSINESS_DATE):
    return summary_now(merchant.context, day)[0]


def _sheet(merchant, day=BUSINESS_DATE):
    rows = csv.DictReader(io.StringIO(summary_now(merchant.context, day)[1], newline=""))
    return {(row["section"], row["item"], row["detail"]): (int(row["count"]), int(row["amount"])) for row in rows}


def _plain(page):
    """What a reader sees, without markup."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


@pytest.fixture
def day(merchant_on_each):
    """A day with every kind of end: paid, declined for two codes, unknown, awaiting, quarantined, a break."""
    merchant = merchant_on_each
    merchant.list_charges(
        *(charge(f"P{n}", 100_000) for n in range(4)), *(charge(f"D{n}", 50_000) for n in range(3)),
        charge("U", 70_000), charge("A", 30_000), charge("BAD", 999, token=None),
    )  # fmt: skip
    merchant.submit()
    numbers = merchant.invoices()
    lines = [(numbers[f"P{n}"], 100_000, "0000") for n in range(4)]
    lines += [(numbers["D0"], 50_000, "0051"), (numbers["D1"], 50_000, "0051"), (numbers["D2"], 50_000, "0054")]
    lines += [(numbers["U"], 70_000, "0068"), ("NOBODYS", 1, "0000")]
    merchant.later(hours=3)
    merchant.report(*lines)
    merchant.reconcile()
    return merchant


def test_the_figures_of_a_day(day):
    found = _sheet(day)
    assert found["day", "sent", ""] == (9, 650_000)
    assert found["day", "paid", ""] == (4, 400_000)
    assert found["day", "declined", ""] == (3, 150_000)
    assert found["day", "unknown", ""] == (1, 70_000)
    assert found["day", "awaiting", ""] == (1, 30_000)
    assert found["books", "quarantined", "run 1"] == (1, 999)
    assert found["declined by code", "0051", "day"] == (2, 100_000)
    assert found["declined by code", "0054", "window"] == (1, 50_000)
    assert found["declined by class", "after_change", "day"] == (1, 50_000)
    assert found["by channel", "CREDIT_CARD", "paid"] == (4, 400_000)
    assert found["open", "quarantined", "0 to 1 day"][0] == 1
    assert found["break", "unexpected", "open"] == (1, 1)


def test_the_page_says_it_in_words(day):
    page = _page(day)
    text = _plain(page)
    for words in (
        "Premium instalments of an insurer: Fri 20 Nov 2026", "Rp 400,000", "4 of 9 attempts", "The books tie.",
        "0051 Insufficient funds", "after change", "unexpected", "RPT_1.TXT", "sandbox",
    ):  # fmt: skip
        assert words in text, words
    assert page.count("<svg") == 3  # days, declines, ages; nothing was recovered
    assert TOKEN not in page
    for charge_id in ("P0", "D0", "BAD"):
        assert charge_id not in text  # sums only, however many charges there are


def test_the_page_needs_nothing_but_itself(day):
    page = _page(day)
    assert not re.search(r"<script|<link|<iframe|\son\w+=|javascript:|@import", page, re.IGNORECASE)
    outside = set(re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?(https?:[^"')]+)""", page))
    assert {one for one in outside if "w3.org" not in one} == set()
    assert '<meta name="viewport"' in page


def test_recovered_money(merchant):
    merchant.list_charges(charge("C1", 80_000))
    merchant.submit()
    merchant.report((merchant.invoices()["C1"], 80_000, "0051"))
    merchant.reconcile()
    merchant.now += timedelta(days=5)
    merchant.change_charges("attempt_no = 2")
    merchant.submit(business_date=merchant.context.today)
    merchant.report((merchant.invoices()["C1"], 80_000, "0000"), name="RPT_2.TXT")
    merchant.reconcile()
    found = _sheet(merchant, merchant.context.today)
    assert found["window", "recovered", ""] == (1, 80_000)
    assert found["by day", "2026-11-25", "recovered"] == (1, 80_000)
    assert found["by day", "2026-11-20", "declined"] == (1, 80_000)
    assert "Recovered by further attempts" in _page(merchant, merchant.context.today)


def test_a_withdrawn_attempt_recovers_nothing(merchant):
    from include.flows import decisions

    merchant.list_charges(charge("C1", 80_000))
    merchant.seal()
    decisions.withdraw(merchant.context, file_name="TKN_MCH0001_20261120_0001.TXT", by="ani", why="a test")
    merchant.submit()
    merchant.report((merchant.invoices()["C1"], 80_000, "0000"))
    merchant.reconcile()
    found = _sheet(merchant)
    assert found["window", "recovered", ""] == (0, 0)
    assert found["day", "withdrawn", ""] == (1, 80_000)
    assert found["day", "paid", ""] == (1, 80_000)


def test_a_day_on_which_nothing_was_due(merchant):
    merchant.submit()
    page = _page(merchant)
    text = _plain(page)
    for words in (
        "Nothing was due on this day", "The books tie.", "Nothing was declined", "Nothing was sent.",
        "Nothing is open.", "There is no break.", "0 of 0 attempts",
    ):  # fmt: skip
        assert words in text, words
    assert "<svg" not in page


def test_a_day_that_no_run_has_looked_at(merchant):
    assert "No run has looked at this day yet." in _plain(_page(merchant))


def test_text_of_other_people_is_text(make_merchant):
    """A bank, a channel and a title with markup, a formula or mathematics in them."""
    merchant = make_merchant(changes={"title": f"Insurer {SCRIPT}"})
    merchant.list_charges(charge("C1"), charge("C2"), charge("C3"))
    merchant.submit()
    for charge_id, number in merchant.invoices().items():
        code = "9$9$" if charge_id == "C3" else "0051"
        merchant.report((number, 150_000, code), name=f"RPT_{charge_id}.TXT")
    merchant.reconcile()
    with merchant.ledger.engine.begin() as connection:
        connection.execute(sa.text("UPDATE outcome SET bank = :bank"), {"bank": SCRIPT})
        connection.execute(sa.text("UPDATE attempt SET channel = '=1+1' WHERE charge_id = 'C1'"))
    page, sheet = summary_now(merchant.context, BUSINESS_DATE)
    assert SCRIPT not in page
    assert "&lt;script&gt;alert" in page
    assert ",'=1+1," in sheet
    assert ",=1+1" not in sheet


def test_other_profiles_are_not_counted(make_merchant, sqlite_ledger):
    mine = make_merchant(sqlite_ledger)
    mine.list_charges(charge("C1"))
    mine.submit()
    other = make_merchant(sqlite_ledger, changes={"billing_source": "other", "merchant": "MCH0002"})
    from include.schemas.profile import load_profile

    context = other.context_for(load_profile(other.write_profile("second", {"billing_source": "other"})))
    found = summary_now(context, BUSINESS_DATE)[1]
    assert "window,sent,,IDR,0,0" in found


def test_it_is_kept_once_and_again_only_when_something_changed(merchant_on_each):
    merchant = merchant_on_each
    merchant.list_charges(charge("C1"), charge("C2"))
    merchant.submit()
    numbers = merchant.invoices()
    merchant.report((numbers["C1"], 150_000, "0000"))
    merchant.reconcile("r1")
    (made,) = _summarise(merchant, "r1")
    assert made.business_date == BUSINESS_DATE
    assert _summarise(merchant, "r1") == []  # the same task again
    merchant.later(minutes=15)
    assert _summarise(merchant, "r2") == []  # another run that found nothing new
    merchant.later(minutes=15)
    merchant.report((numbers["C2"], 150_000, "0051"), name="RPT_2.TXT")
    merchant.reconcile("r3")
    assert len(_summarise(merchant, "r3")) == 1
    rows = merchant.sql("SELECT * FROM summary ORDER BY summary_id")
    assert len(rows) == 2
    for row in rows:
        for place, digest in ((row["page"], row["page_digest"]), (row["sheet"], row["sheet_digest"])):
            assert b"".join(merchant.context.artefacts.read_proved(place, digest))
        assert row["page"].startswith("summaries/insurance/2026-11-20/summary.")
        assert row["page"].endswith(".html")
        assert json.loads(row["figures"])["business_date"] == "2026-11-20"
        assert TOKEN not in row["figures"]
    assert list(findings(merchant.context)) == []
    (merchant.artefacts / rows[0]["sheet"]).write_text("altered", encoding="utf-8")
    (found,) = findings(merchant.context)
    assert rows[0]["sheet"] in found


def test_a_late_report_on_a_closed_day_makes_another_one(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    number = merchant.invoices()["C1"]
    merchant.report((number, 150_000, "0051"))
    merchant.reconcile("r1")
    assert len(_summarise(merchant, "r1")) == 1
    merchant.later(days=9)
    merchant.report((number, 150_000, "0000"), name="RPT_2.TXT")
    merchant.reconcile("r2")
    (made,) = _summarise(merchant, "r2")
    assert made.business_date == BUSINESS_DATE


def test_an_older_day_than_the_window_has_its_own_figures(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    number = merchant.invoices()["C1"]
    merchant.later(days=100)
    merchant.report((number, 150_000, "0051"))
    merchant.reconcile("r1")
    found = _sheet(merchant)
    assert found["day", "declined", ""] == (1, 150_000)
    assert found["window", "sent", ""] == (0, 0)
    assert found["declined by code", "0051", "day"] == (1, 150_000)


def test_two_copies_of_the_task_keep_one(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.report((merchant.invoices()["C1"], 150_000, "0000"))
    merchant.reconcile("r1")
    run = merchant.run(RunKind.RECONCILE, "r1")

    def meanwhile(name):
        if name == "summarise: page kept" and not merchant.sql("SELECT 1 FROM summary"):
            summarise(merchant.context, run.run_id)

    from dataclasses import replace

    assert summarise(replace(merchant.context, step=meanwhile), run.run_id) == []
    assert len(merchant.sql("SELECT * FROM summary")) == 1
    assert len([path for path in merchant.artefacts.rglob("summar*") if path.is_file()]) == 2
