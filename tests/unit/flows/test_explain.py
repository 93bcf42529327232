"""`explain`: the story of a charge, as a support person reads it."""

import pytest
import sqlalchemy as sa

from include.flows import decisions
from include.flows.approve import answer_run, judge_run
from include.flows.break_decisions import explain_break, resolve_break
from include.flows.deliver import deliver
from include.flows.explain import as_text, explain
from include.flows.explain_steps import Order
from include.flows.propose import confirm
from include.flows.settle import settle
from tests.flows_harness import TOKEN, charge, lost

BY = {"by": "ani", "why": "the customer asked"}
CARD = "4111111111111111"


def _titles(merchant, charge_id="C1"):
    return [step.title for step in explain(merchant.context, charge_id).steps]


def _steps(merchant, title, charge_id="C1"):
    return [step for step in explain(merchant.context, charge_id).steps if step.title == title]


def _answer(merchant, code, charge_id="C1", amount=150_000, name="RPT_1.TXT"):
    merchant.report((merchant.invoices()[charge_id], amount, code), name=name)
    return merchant.reconcile()


def test_quarantined_mended_declined_asked_for_again_and_paid(merchant_on_each):
    merchant = merchant_on_each
    merchant.changed({"retry": {"enabled": False}})
    merchant.list_charges(charge("C1", token=None, billing_number="POL-7"))
    merchant.submit()
    merchant.later(days=1)
    merchant.submit(business_date=merchant.context.today)
    merchant.later(days=1)
    merchant.change_charges("token = :token", token=TOKEN)
    merchant.submit(business_date=merchant.context.today)
    merchant.later(hours=4)
    _answer(merchant, "0051")
    merchant.later(days=3)
    merchant.submit(business_date=merchant.context.today)
    merchant.change_charges("attempt_no = 2")
    merchant.later(minutes=5)
    merchant.submit(business_date=merchant.context.today)
    merchant.later(hours=4)
    _answer(merchant, "0000", name="RPT_2.TXT")
    story = explain(merchant.context, "C1")
    assert [step.title for step in story.steps] == [
        "Quarantined",
        "Mended",
        "Attempt 1 made",
        "Written into a batch file",
        "Delivered to DOKU",
        "Declined, says DOKU of attempt 1",
        "Waits until the merchant's view asks for it",
        "The merchant was told",
        "Left alone after its decline",
        "Attempt 2 made",
        "Written into a batch file",
        "Delivered to DOKU",
        "Paid, says DOKU of attempt 2",
        "The merchant was told",
    ]
    assert story.now == "It is paid, with attempt 2: Rp 150,000. Nothing more is charged."
    assert dict(story.facts) == {
        "customer": "K-C1", "billing number": "POL-7", "amount": "Rp 150,000", "due": "20 Nov 2026",
        "channel": "CREDIT_CARD", "token": "ending in cdef",
    }  # fmt: skip
    rejected, declined = story.steps[0], story.steps[5]
    assert (rejected.times, rejected.why) == (2, "run 1; token:missing")  # two mornings, told once
    assert rejected.until is not None
    assert "Fill it in the billing database" in rejected.words[1]
    assert declined.words[0] == ("Rp 150,000. Code 0051: Insufficient funds. Another attempt may succeed later.")
    assert declined.why == "line 2 of report RPT_1.TXT"
    text = as_text(story)
    assert "Fri 20 Nov 2026, 06:00 to Sat 21 Nov 2026, 06:00 (2 times)  Quarantined" in text  # in the merchant's time
    assert "[run 3; rule first; line 1 of TKN_MCH0001_20261122_0001.TXT]" in text
    assert TOKEN not in text


def test_quarantined_mended_declined_attempted_again_on_payday_and_paid(merchant_on_each):
    """A charge that had everything happen to it, as the support desk reads it."""
    merchant = merchant_on_each
    merchant.changed({"retry": {"enabled": True, "pay_days": [25]}})
    merchant.list_charges(charge("C1", token=None))
    merchant.submit()
    merchant.later(days=1)
    merchant.change_charges("token = :token", token=TOKEN)
    merchant.submit(business_date=merchant.context.today)
    merchant.later(hours=4)
    _answer(merchant, "0051")
    assert explain(merchant.context, "C1").now == (
        "Not paid: attempt 1 was declined. The next attempt is planned for Wed 25 Nov 2026."
    )
    for _ in range(4):
        merchant.later(hours=20 if merchant.context.today.day == 21 else 24)
        merchant.submit(business_date=merchant.context.today)
    merchant.later(hours=4)
    _answer(merchant, "0000", name="RPT_2.TXT")
    story = explain(merchant.context, "C1")
    assert [step.title for step in story.steps] == [
        "Quarantined",
        "Mended",
        "Attempt 1 made",
        "Written into a batch file",
        "Delivered to DOKU",
        "Declined, says DOKU of attempt 1",
        "Next attempt planned for Wed 25 Nov 2026",
        "The merchant was told",
        "Left for its planned day",
        "Attempt 2 made",
        "Written into a batch file",
        "Delivered to DOKU",
        "Paid, says DOKU of attempt 2",
        "The merchant was told",
    ]
    assert story.now == "It is paid, with attempt 2: Rp 150,000. Nothing more is charged."
    planned, waiting, second = (story.steps[place] for place in (6, 8, 9))
    assert planned.why.startswith("rule ")
    assert planned.words[-1] == "That is a pay day."
    assert waiting.times == 3
    assert second.words[1] == "The attempt before was declined, and its planned day had come."
    assert TOKEN not in as_text(story)
    for step in story.steps:  # every step has its rule, its file or its person
        assert step.why
        assert all(sentence.endswith((".", "”", "?")) for sentence in step.words), step.words


@pytest.mark.parametrize(
    ("code", "now"),
    [
        ("0014", "Not paid: attempt 1 was declined. Never again with this card or account."),
        ("0054", "Not paid: attempt 1 was declined. Waits until the customer or the card changes."),
        ("0003", "Not paid: attempt 1 was declined. Waits until the merchant's set-up at DOKU is mended."),
        ("00R1", "Not paid: attempt 1 was declined. The customer revoked the agreement."),
    ],
)
def test_what_comes_after_each_class_of_decline(make_merchant, code, now):
    merchant = make_merchant(changes={"retry": {"enabled": True}})
    merchant.list_charges(charge("C1"))
    merchant.submit()
    _answer(merchant, code)
    story = explain(merchant.context, "C1")
    assert story.now == now
    assert any(step.order == Order.PLANNED and step.why.startswith("rule ") for step in story.steps)


def test_an_attempt_that_two_people_settled(make_merchant):
    merchant = make_merchant(changes={"decisions": {"four_eyes": True}})
    merchant.list_charges(charge("C1"))
    merchant.submit()
    _answer(merchant, "0068")
    merchant.later(days=2)
    about = {"invoice_number": merchant.invoices()["C1"], "outcome": "paid", "evidence": f"DOKU's mail, card {CARD}"}
    settle(merchant.context, **about, **BY)
    merchant.later(minutes=30)
    confirm(merchant.context, proposal=1, by="budi", why="saw the mail")
    story = explain(merchant.context, "C1")
    titles = [step.title for step in story.steps]
    assert titles.index("Proposed: settle") < titles.index("Attempt 1 paid: settled by a person")
    assert "Proposal confirmed" in titles
    assert titles.count("Attempt 1 paid: settled by a person") == 1
    (settled,) = _steps(merchant, "Attempt 1 paid: settled by a person")
    assert settled.words[-1] == "Confirmed by budi."
    assert CARD not in as_text(story)
    assert story.now.startswith("It is paid")


def test_a_break_that_was_explained_and_resolved(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.later(hours=1)
    _answer(merchant, "0000", amount=1)
    merchant.later(hours=1)
    explain_break(merchant.context, number=1, by="ani", why="DOKU's rounding")
    merchant.later(hours=1)
    resolve_break(merchant.context, number=1, by="ani", why="they mended it", difference="void")
    titles = [title for title in _titles(merchant) if title.startswith("Break")]
    assert titles == [f"Break {what}: the amounts differ" for what in ("opened", "explained", "resolved")]
    assert _steps(merchant, titles[-1])[0].words == ("“they mended it”",)


def test_by_the_invoice_number_it_is_the_same_story(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    assert explain(merchant.context, f" {merchant.invoices()['C1']} ") == explain(merchant.context, "C1")


def test_a_charge_that_nobody_has_seen(merchant):
    story = explain(merchant.context, "C1")
    assert (story.known, story.steps, story.facts) == (False, (), ())
    assert story.now.startswith(
        "This ledger has never seen charge C1 of billing source insurance-billing. Check the id"
    )


def test_where_a_charge_stands_on_its_way(merchant):
    merchant.list_charges(charge("C1"))
    run, (batch_id,) = merchant.seal()
    assert "has not left yet" in explain(merchant.context, "C1").now
    deliver(merchant.context, batch_id, run.run_id)
    assert "its report is awaited" in explain(merchant.context, "C1").now
    _answer(merchant, "0068")
    story = explain(merchant.context, "C1")
    assert story.now.startswith("Unknown: nobody can say what became of attempt 1")
    assert "find out whether the customer was charged" in story.steps[-2].words[0]
    _answer(merchant, "0005", name="RPT_2.TXT")
    assert explain(merchant.context, "C1").now.startswith("Not paid: attempt 1 was declined.")


def test_people_stand_in_the_story_with_their_words(merchant):
    merchant.list_charges(charge("C1", token=None))
    merchant.submit()
    for act, about in (
        (decisions.release, {"charge_id": "C1"}),
        (decisions.hold, {"scope": "charge", "subject": "C1"}),
        (decisions.hold, {"scope": "customer", "subject": "K-C1"}),
    ):
        merchant.later(minutes=5)
        act(merchant.context, **about, **BY)
    merchant.change_charges("token = :token", token=TOKEN)
    merchant.later(minutes=5)
    merchant.submit()
    merchant.later(minutes=5)
    decisions.lift(merchant.context, scope="charge", subject="C1", by="budi", why="settled by phone")
    merchant.later(minutes=5)
    decisions.cancel(merchant.context, charge_id="C1", by="budi", why=f"paid in cash, card {CARD}")
    story = explain(merchant.context, "C1")
    assert [step.title for step in story.steps] == [
        "Quarantined", "Released from quarantine", "Hold placed on charge C1", "Hold placed on customer K-C1", "Held",
        "Hold lifted from charge C1", "Cancelled",
    ]  # fmt: skip
    assert story.now == "It is closed (cancelled): no further attempt is made."
    released, lifted, cancelled = story.steps[1], story.steps[5], story.steps[6]
    assert released.words[0] == "“the customer asked”"
    assert released.why == "decided by ani"
    assert (lifted.why, lifted.words[0]) == ("decided by budi", "“settled by phone”")
    assert CARD not in as_text(story)
    assert "411111******1111" in cancelled.words[0]


def test_a_hold_on_another_customer_is_not_in_it(merchant):
    merchant.list_charges(charge("C1"), charge("C2"))
    decisions.hold(merchant.context, scope="customer", subject="K-C2", **BY)
    merchant.submit()
    assert not any("Hold" in title for title in _titles(merchant, "C1"))
    assert "Hold placed on customer K-C2" in _titles(merchant, "C2")


def test_a_brake_its_answer_and_what_followed(make_merchant):
    merchant = make_merchant(changes={"brakes": {"max_total": 100_000}})
    merchant.list_charges(charge("C1"))
    run, (batch_id,) = merchant.seal()
    judge_run(merchant.context, run.run_id)
    answer_run(merchant.context, run.run_id, by="citra", approve=True, words="month end")
    deliver(merchant.context, batch_id, run.run_id)
    (brake,) = _steps(merchant, "Stopped by a brake")
    assert brake.why == f"run {run.run_id}; brake too_much"
    (approved,) = _steps(merchant, "Approved by a person")
    assert (approved.words, approved.why) == (("“month end”",), f"run {run.run_id}; decided by citra")
    titles = _titles(merchant)
    assert titles.index("Stopped by a brake") < titles.index("Approved by a person")


def test_conflicting_answers_and_their_break(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.later(hours=1)
    _answer(merchant, "0051")
    merchant.later(hours=1)
    _answer(merchant, "0000", name="RPT_2.TXT")
    merchant.later(hours=1)
    _answer(merchant, "0000", amount=150_000, name="RPT_3.TXT")
    story = explain(merchant.context, "C1")
    assert story.now.startswith("It is paid, with attempt 1")
    (opened,) = [step for step in story.steps if step.title.startswith("Break opened")]
    assert "paid 0000" in opened.words[0]


def test_a_withdrawn_batch_and_the_attempt_after_it(merchant):
    merchant.list_charges(charge("C1"))
    _, _ = merchant.seal()
    decisions.withdraw(merchant.context, file_name="TKN_MCH0001_20261120_0001.TXT", **BY)
    assert explain(merchant.context, "C1").now.startswith("Open: attempt 1 was withdrawn and never charged")
    merchant.later(minutes=5)
    merchant.submit()
    story = explain(merchant.context, "C1")
    assert "Batch withdrawn" in [step.title for step in story.steps]
    (second,) = _steps(merchant, "Attempt 2 made")
    assert "it never reached DOKU" in second.words[1]


def test_an_unknown_delivery_and_a_persons_word_on_it(merchant):
    from include.domain.errors import DeliveryUnknown

    merchant.list_charges(charge("C1"))
    run, (batch_id,) = merchant.seal()

    def taken() -> None:
        (merchant.remote_root / "inbound" / "TKN_MCH0001_20261120_0001.TXT").unlink()
        raise lost()

    merchant.server.plan("rename", after=taken)
    with pytest.raises(DeliveryUnknown):
        deliver(merchant.context, batch_id, run.run_id)
    merchant.later(hours=2)
    decisions.never_arrived(merchant.context, file_name="TKN_MCH0001_20261120_0001.TXT", **BY)
    assert len(_steps(merchant, "Delivery unknown")) == 1
    (withdrawn,) = _steps(merchant, "Batch withdrawn")
    assert withdrawn.why == "by ani"
    assert "Why: the customer asked." in withdrawn.words


def test_a_dry_run_decides_nothing_and_says_so(merchant):
    merchant.list_charges(charge("C1"), charge("C2", token=None))
    merchant.submit(dry_run=True)
    assert _titles(merchant, "C1") == ["Shown in a dry run"]
    assert _titles(merchant, "C2") == ["Would be quarantined"]
    assert explain(merchant.context, "C2").now == "No attempt has been made yet."


def test_two_billing_sources_with_the_same_charge_id_do_not_meet(make_merchant, sqlite_ledger):
    mine = make_merchant(sqlite_ledger)
    other = make_merchant(sqlite_ledger, changes={"billing_source": "other"})
    mine.list_charges(charge("C1"))
    mine.submit()
    assert not explain(other.context, "C1").known


def test_every_rule_reason_and_kind_of_the_code_has_words():
    """Whatever `fates` can give has a sentence."""
    import inspect
    import re

    from include.domain.states import BreakKind
    from include.flows import explain_words
    from include.ledger import claims, fates

    source = inspect.getsource(fates) + inspect.getsource(claims)
    told = str(explain_words.PASSED) + str(explain_words.RULES) + str(explain_words.ROWS)
    given = set(re.findall(r"'(?:row:)?([a-z]+_[a-z_]+)'", source)) - {"in_flight", "yield_per", *BreakKind}
    assert {one for one in given if one not in told} == set()


def test_no_customer_text_moves_a_query(merchant):
    """The charge id is a value, never a part of a statement."""
    assert not explain(merchant.context, "C1' OR '1'='1").known
    with merchant.ledger.engine.connect() as connection:
        assert sa.inspect(connection).has_table("attempt")


def test_the_command_line(merchant, monkeypatch, capsys, tmp_path):
    from include.cli import main

    merchant.list_charges(charge("C1"))
    merchant.submit()
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(merchant.profile_file.parent))
    monkeypatch.setenv("DOKU_ARTEFACTS", merchant.artefacts.as_uri())
    known = {"doku_ledger": merchant.ledger_settings}
    assert main(["explain", "--profile", "insurance", "C1"], known.__getitem__) == 0
    assert "Attempt 1 made" in capsys.readouterr().out
    assert main(["explain", "--profile", "insurance", "C9"], known.__getitem__) == 1
    assert "has never seen charge C9" in capsys.readouterr().out
    day = ["summary", "--profile", "insurance", "--business-date", "2026-11-20"]
    assert main(day, known.__getitem__) == 0
    assert "Fri 20 Nov 2026</h1>" in capsys.readouterr().out
    assert main([*day, "--csv", "--out", str(tmp_path / "day.csv")], known.__getitem__) == 0
    assert (tmp_path / "day.csv").read_bytes().startswith(b"profile,business_date,section,item,")
    assert capsys.readouterr().out == ""
