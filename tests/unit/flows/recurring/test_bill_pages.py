"""What people see of bills: on the page and in a terminal, and never a token."""

import pytest

from include.cli import main
from include.domain.errors import ApiRefused
from include.flows.pages import bills_page, index_page
from include.flows.recurring.bill_story import as_text, bill_story
from include.flows.recurring.expect import expect_charges
from tests.register_harness import RECURRING, TOKEN, Register, wanted
from tests.stack.toml import changed


@pytest.fixture(scope="module")
def bills(tmp_path_factory, ledger_file, doku_keys):
    """Bills in every state that somebody has to look at; made once, for looking changes nothing."""
    import shutil

    from include.domain.connection import ConnectionSettings
    from include.domain.states import NotificationKind
    from tests.flows_harness import Merchant

    folder = tmp_path_factory.mktemp("bills")
    shutil.copyfile(ledger_file, folder / "ledger.db")
    settings = ConnectionSettings("doku_ledger", "sqlite", host=str(folder / "ledger.db"))
    made = Register(Merchant(folder / "merchant", settings, doku_keys, changes=RECURRING))
    made.live("B-1", "B-2")
    made.want(wanted("B-3", customer_id="<b>K</b>", amount=None), wanted("B-4", amount="x"))
    made.api.plans = [ApiRefused("No <script>.", 400)]
    made.register()
    made.want(wanted("B-2", status="cancelled"))
    made.api.plans = [ApiRefused("Not now.", 400)]
    made.register()
    made.merchant.later(days=1)
    payment = {
        "order": {"amount": 100000}, "billing": {"billing_number": "B-1"}, "token": {"id": TOKEN},
        "transaction": {"reference": "R-1", "status": "SUCCESS", "date": "2026-11-20T03:00:00Z"},
        "card_payment": {"response_code": "00"},
    }  # fmt: skip
    made.hear(payment, NotificationKind.PAYMENT)
    made.take_in()
    expect_charges(made.context)
    return made


def test_the_story_of_a_bill(bills):
    told = as_text(bill_story(bills.context, " B-1 "))
    assert "Bill B-1: active" in told
    assert "Rp 100,000" in told
    assert "ending in cdef" in told
    assert "R-1" in told
    assert "paid" in told
    assert "Registered: DOKU charges it" in told
    assert TOKEN not in told
    assert bill_story(bills.context, "B-9") is None


def test_the_page_of_all_bills(bills):
    page = bills_page(bills.context, "/doku")
    for words in ("cannot be used", "B-4", "amount: The value is not a plain decimal", "is to be ended at DOKU",
                  "DOKU refused to end it: Not now.", "The books tie.", "state=active"):  # fmt: skip
        assert words in page
    assert "<b>K</b>" not in page
    assert "&lt;b&gt;K&lt;/b&gt;" in page
    assert "<script" not in page
    assert TOKEN not in page


def test_a_state_and_a_bill_can_be_asked_for(bills):
    refused = bills_page(bills.context, "/doku", state="refused")
    assert "bill=B-3" in refused
    assert "bill=B-1" not in refused
    assert "bill=B-1" in bills_page(bills.context, "/doku", state="nonsense")
    assert "bill=B-1" not in bills_page(bills.context, "/doku", after="B-1")
    one = bills_page(bills.context, "/doku", asked="B-1")
    assert "Registered: DOKU charges it" in one
    assert TOKEN not in one
    assert "no bill of that number" in bills_page(bills.context, "/doku", asked="B-9")


def test_a_profile_without_batches_has_other_pages(bills):
    from include.flows.pages import Named

    shown = index_page("/doku", [Named("donation", "Donations", "sandbox", batches=False, bills=True)])
    assert "/doku/donation/bills" in shown


@pytest.fixture
def cli(bills, monkeypatch):
    merchant = bills.merchant
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(merchant.profile_file.parent))
    monkeypatch.setenv("DOKU_ARTEFACTS", merchant.artefacts.as_uri())
    known = {"doku_ledger": merchant.ledger_settings, "insurance_billing": merchant.billing_settings}
    return lambda *words: main([*words[:1], "--profile", "insurance", *words[1:]], known.__getitem__)


def test_the_commands(cli, capsys):
    assert cli("bills") == 0
    told = capsys.readouterr().out
    assert "3 bills: 1 active, 1 cancelling, 1 refused" in told
    assert "Cannot be used: B-4" in told
    assert "To be ended at DOKU: B-2 (DOKU refused to end it: Not now.)" in told
    assert cli("bills", "--state", "refused") == 0
    assert "B-3  <b>K</b>  varies  date 20  No <script>." in capsys.readouterr().out
    assert cli("bills", "--files") == 0
    assert "No file" in capsys.readouterr().out
    assert cli("bill", "B-1") == 0
    told = capsys.readouterr().out
    assert "Bill B-1: active" in told
    assert TOKEN not in told
    assert cli("bill", "B-9") == 1


def test_ending_a_bill_at_a_terminal_is_shown_first(cli, bills, capsys):
    decide = ("cancel-bill", "B-1", "--by", "ani", "--why", "asked by phone")
    assert cli(*decide) == 0
    told = capsys.readouterr().out
    assert "asks DOKU to end it" in told
    assert "run again with --apply" in told
    assert bills.state("B-1") == "active"


def test_settings_that_cannot_work_are_refused(bills):
    from include.domain.errors import ConfigError
    from include.schemas.profile import load_profile

    for changes, words in (
        ({"recurring": {"bulk": {"file_name": "{nothing}"}}}, "file_name"),
        ({"recurring": {"bulk": {"temporary_name": "REG{digest}.TXT"}}}, "half-written"),
        ({"recurring": {"dialect": "xml"}}, "dialect"),
        ({"recurring": {"surprise": 1}}, "unknown key"),
    ):
        path = bills.merchant.write_profile("strange", changed(dict(RECURRING), changes))
        try:
            with pytest.raises(ConfigError, match=words):
                load_profile(path)
        finally:
            path.unlink()
