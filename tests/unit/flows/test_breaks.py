"""What does not tie, found over all that there is; and what is paid meanwhile does not leave."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from include.flows.books import books_of_day
from include.flows.deliver import deliver
from include.flows.ingest import ingest_fetched
from include.flows.operate import carry_out
from include.flows.verify import findings
from include.ledger.break_life import find_break
from include.ledger.breaks import judge_charges
from include.ledger.tables import attempt
from include.schemas.profile import load_profile
from tests.flows_harness import BUSINESS_DATE, charge

BATCH = "TKN_MCH0001_20261120_0001.TXT"
BY = {"by": "ani", "why": "a test"}


@pytest.fixture
def sent(merchant_on_each):
    """A merchant with three charges at DOKU, on each database."""
    merchant = merchant_on_each
    merchant.list_charges(*(charge(f"C{number}", 100_000) for number in range(1, 4)))
    merchant.submit()
    merchant.numbers = merchant.invoices()
    return merchant


def _report(merchant, name, *lines, part="", parts="", batch=BATCH, words=None):
    """Take in a report with a word of DOKU's in the status column, and which part of how many it is."""
    _put(merchant, name, *lines, part=part, parts=parts, batch=batch, words=words or {})
    (found,) = merchant.reconcile()
    assert found.refused_reason is None


def _put(merchant, name, *lines, part="", parts="", batch=BATCH, words=()):
    rows = []
    for who, code, amount in lines:
        word, approval = dict(words).get(who, ""), "A1" if code == "0000" else ""
        rows.append(f"D|{merchant.numbers[who]}|||{amount}.00|IDR|{word}|{code}||{approval}|||")
    paid = sum(code == "0000" and not dict(words).get(who) for who, code, _ in lines)
    total = sum(amount for _, _, amount in lines)
    head = f"H|{batch}|20261120|{len(lines)}|{total}.00|{paid}|{len(lines) - paid}|{part}|{parts}"
    merchant.server.put(f"/outbound/{name}", "".join(f"{row}\r\n" for row in [head, *rows]).encode())


def _breaks(merchant):
    rows = merchant.sql("SELECT kind, invoice_number, state FROM recon_break ORDER BY kind, invoice_number")
    names = {number: who for who, number in merchant.numbers.items()}
    return [(row["kind"], names.get(row["invoice_number"]), row["state"]) for row in rows]


def test_a_complete_report_without_a_line_is_a_break_that_closes_when_the_line_comes(sent):
    _report(sent, "RPT_1.TXT", ("C1", "0000", 100_000), part=1, parts=2)
    assert _breaks(sent) == [], "half a report is normal"
    _report(sent, "RPT_2.TXT", ("C2", "0051", 100_000), part=2, parts=2)
    assert _breaks(sent) == [("missing_line", "C3", "open")]
    assert books_of_day(sent.context, BUSINESS_DATE)["awaiting"]["count"] == 1
    with pytest.raises(Exception, match="waits for an outcome"):
        carry_out(sent.context, "resolve_break", {"number": 1}, **BY)
    _report(sent, "RPT_3.TXT", ("C3", "0000", 100_000))
    assert _breaks(sent) == [("missing_line", "C3", "resolved")]
    assert list(findings(sent.context)) == []


def test_a_report_that_does_not_say_that_it_is_complete_misses_nothing(sent):
    _report(sent, "RPT_1.TXT", ("C1", "0000", 100_000))
    _report(sent, "RPT_2.TXT", ("C2", "0000", 100_000), part=1, parts=1, batch="TKN_OF_SOMEBODY_ELSE.TXT")
    assert _breaks(sent) == []


@pytest.mark.parametrize("word", ["REFUNDED", "Voided", "chargeback"])
def test_what_was_taken_back_is_reversed_told_and_never_collected_again(sent, word):
    _report(sent, "RPT_1.TXT", ("C1", "0000", 100_000))
    _report(sent, "RPT_2.TXT", ("C1", "0000", 100_000), words={"C1": word})
    assert sent.told()["C1", 1]["status"] == "reversed"
    books = books_of_day(sent.context, BUSINESS_DATE)
    assert books["paid"]["by_code"] == {"reversed": {"count": 1, "amount": 100_000}}
    assert _breaks(sent) == []
    sent.change_charges("attempt_no = 2 WHERE charge_id = 'C1'")
    run, batches = sent.submit()
    assert batches == []
    fates = sent.sql("SELECT fate FROM run_charge WHERE run_id = :id AND charge_id = 'C1'", id=run.run_id)
    assert fates == [{"fate": "settled"}]


def test_a_resolved_conflict_opens_again_when_more_is_said(sent):
    _report(sent, "RPT_1.TXT", ("C1", "0000", 100_000), ("C1", "0051", 100_000))
    carry_out(sent.context, "explain_break", {"number": 1}, **BY)
    assert _breaks(sent) == [("conflict", "C1", "explained")]
    carry_out(sent.context, "resolve_break", {"number": 1}, **BY)
    assert _breaks(sent) == [("conflict", "C1", "resolved")]
    _report(sent, "RPT_2.TXT", ("C1", "0051", 100_000), ("C2", "0000", 100_000))
    assert _breaks(sent) == [("conflict", "C1", "resolved")], "the same again is nothing"
    _report(sent, "RPT_3.TXT", ("C1", "0005", 100_000))
    assert _breaks(sent) == [("conflict", "C1", "open")]
    assert list(findings(sent.context)) == []


def test_a_code_that_nobody_listed_is_asked_about_again_when_another_attempt_gets_it(sent):
    _report(sent, "RPT_1.TXT", ("C1", "QQ11", 100_000))
    sent.later(days=2)
    about = {"invoice_number": sent.numbers["C1"], "outcome": "paid", "evidence": "DOKU ticket 7"}
    carry_out(sent.context, "settle", about, **BY)
    carry_out(sent.context, "resolve_break", {"number": 1}, **BY)
    _report(sent, "RPT_2.TXT", ("C1", "QQ11", 100_000), ("C2", "0000", 100_000))
    carry_out(sent.context, "reingest", {"file_name": "RPT_1.TXT"}, **BY)
    assert _breaks(sent) == [("unlisted_code", None, "resolved")], "the same again is nothing"
    _report(sent, "RPT_3.TXT", ("C3", "QQ11", 100_000))
    assert _breaks(sent) == [("unlisted_code", None, "open")]
    assert sent.sql("SELECT closed_by, closed_reason FROM recon_break") == [{"closed_by": None, "closed_reason": None}]
    assert list(findings(sent.context)) == []


@pytest.mark.parametrize(("difference", "amount"), [("stands", -40_000), ("void", 0)])
def test_what_resolving_a_difference_does_to_the_books(sent, difference, amount):
    _report(sent, "RPT_1.TXT", ("C1", "0000", 60_000))
    books = books_of_day(sent.context, BUSINESS_DATE)
    assert books["paid"]["amount"] == 100_000, "books count the attempt's own amount"
    assert books["difference"] == {"count": 1, "amount": -40_000}
    assert books["breaks"] == {"open": 1}
    carry_out(sent.context, "resolve_break", {"number": 1, "difference": difference}, **BY)
    books = books_of_day(sent.context, BUSINESS_DATE)
    assert books["difference"]["amount"] == amount
    assert books["paid"]["amount"] == 100_000
    assert books["ties"]


def test_a_line_that_tied_to_nothing_ties_once_its_attempt_is_there(sent):
    """As after recover: the ledger has forgotten an attempt, a report speaks of it, and then it is back."""
    with sent.ledger.engine.begin() as connection:
        kept = connection.execute(sa.select(attempt).where(attempt.c.charge_id == "C3")).mappings().one()
        if connection.dialect.name == "postgresql":  # which lets no attempt go
            connection.exec_driver_sql("SET LOCAL session_replication_role = replica")
        connection.execute(attempt.delete().where(attempt.c.charge_id == "C3"))
    _put(sent, "RPT_1.TXT", ("C1", "0000", 100_000), ("C3", "0000", 100_000))
    sent.fetch()
    ingest_fetched(sent.context)
    assert _breaks(sent) == [("unexpected", "C3", "open")]
    with sent.ledger.engine.begin() as connection:
        connection.execute(attempt.insert().values(dict(kept)))
    said = carry_out(sent.context, "reingest", {"file_name": "RPT_1.TXT"}, **BY)
    assert "unexpected to answer: 1" in said
    assert _breaks(sent) == [("unexpected", "C3", "resolved")]
    sent.reconcile()
    assert sent.told()["C3", 1]["status"] == "paid"
    assert "every one of its 2 lines means what it meant" in carry_out(
        sent.context, "reingest", {"file_name": "RPT_1.TXT"}, **BY
    )


def test_what_a_code_decided_is_not_taken_back_by_reading_again(sent):
    _report(sent, "RPT_1.TXT", ("C1", "0051", 100_000))
    paid_now = {"code": "0051", "class": "approved", "meaning": "x", "source": "x", "certainty": "assumed"}
    sent.changed({"codes": [paid_now]})
    before = sent.dump()
    with pytest.raises(Exception, match=r"0051|says success_count"):
        carry_out(sent.context, "reingest", {"file_name": "RPT_1.TXT"}, **BY)
    assert sent.dump() == before


# --- paid after it was declined ---


@pytest.fixture
def second(sent):
    """C1 and C2 were declined, and a second attempt of each is sealed; `second.go()` delivers it."""
    _report(sent, "RPT_1.TXT", ("C1", "0051", 100_000), ("C2", "0051", 100_000))
    sent.later(days=3)  # a Monday
    sent.change_charges("attempt_no = 2 WHERE charge_id IN ('C1', 'C2')")
    run, (batch_id,) = sent.seal(business_date=sent.context.today)
    sent.again = batch_id
    sent.go = lambda: deliver(sent.context, batch_id, run.run_id)
    return sent


def test_what_is_paid_meanwhile_does_not_leave(second):
    _report(second, "RPT_2.TXT", ("C1", "0000", 100_000))
    assert second.go().state == "delivered"
    again = second.invoices()
    outcomes = second.sql("SELECT invoice_number, status, proof FROM outcome WHERE witness = 'look_again'")
    assert [(row["invoice_number"], row["status"]) for row in outcomes] == [(again["C1"], "withdrawn")]
    assert "paid by an earlier attempt" in outcomes[0]["proof"]
    assert second.batch(second.again)["withdrawn_count"] == 1
    second.reconcile()
    assert {kind for kind, _, _ in _breaks(second)} == {"conflict"}, "nothing is in flight, so nothing to be alarmed at"
    assert list(findings(second.context)) == []


def test_what_is_paid_at_the_last_moment_does_not_leave_either(second):
    """The report is taken in while the file is being written."""
    second.server.plan("write", before=None, after=lambda: _report(second, "RPT_2.TXT", ("C1", "0000", 100_000)))
    with pytest.raises(Exception, match="just before it left"):
        second.go()
    assert [name for name in second.server.files("/inbound") if "20261123" in name] == []
    assert second.go().state == "delivered"
    assert second.batch(second.again)["withdrawn_count"] == 1


def test_paid_while_in_flight_is_an_alarm_that_ends_with_the_later_attempt(second):
    second.go()
    first, later = second.numbers, second.invoices()
    _report(second, "RPT_2.TXT", ("C1", "0000", 100_000), ("C2", "0000", 100_000))
    second.numbers = {**first, **{f"{who} again": number for who, number in later.items()}}
    alarms = [one for one in _breaks(second) if one[0] == "paid_while_in_flight"]
    assert alarms == [("paid_while_in_flight", "C1 again", "open"), ("paid_while_in_flight", "C2 again", "open")]
    _report(second, "RPT_3.TXT", ("C1 again", "0051", 100_000), ("C2 again", "0000", 100_000))
    found = {(kind, who): state for kind, who, state in _breaks(second) if kind != "conflict"}
    assert found == {
        ("paid_while_in_flight", "C1 again"): "resolved", ("paid_while_in_flight", "C2 again"): "resolved",
        ("collected_twice", "C2 again"): "open",
    }  # fmt: skip


@pytest.mark.parametrize("files", [[(0, 1)], [(0,), (1,)], [(1,), (0,)]], ids=["together", "forth", "back"])
def test_three_payments_are_two_too_many_however_their_reports_come(merchant, files):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    numbers = [merchant.invoices()["C1"]]
    for attempt_no, days in ((2, 3), (3, 3)):  # a Monday, a Thursday
        merchant.report((numbers[-1], 150_000, "0051"), name=f"RPT_{attempt_no}.TXT")
        merchant.reconcile()
        merchant.later(days=days)
        merchant.change_charges("attempt_no = :no", no=attempt_no)
        merchant.submit(business_date=merchant.context.today)
        numbers.append(merchant.invoices()["C1"])
    assert len(set(numbers)) == 3
    for file, paid in enumerate([(2,), *files]):
        merchant.report(*((numbers[one], 150_000, "0000") for one in paid), name=f"RPT_P{file}.TXT")
        merchant.reconcile()
    found = merchant.sql(
        "SELECT invoice_number, amount, details, state FROM recon_break WHERE kind = 'collected_twice'"
    )
    assert found == [
        {
            "invoice_number": numbers[2], "amount": 300_000, "state": "open",
            "details": "paid by 3 attempts, the first number 1, the last number 3",
        }
    ]  # fmt: skip


# --- attempts of one charge by two profiles of its billing source ---


def _tried_in_turn(merchant, *attempts):
    """C1 is declined for one profile and tried again by the next; `merchant.at(no, code)` is what DOKU says of one."""
    changes = {"merchant": "MCH0002", "report": {"pattern": "CARDS_*.TXT"}}
    cards = merchant.context_for(load_profile(merchant.write_profile("cards", changes)))
    merchant.contexts = {"insurance": merchant.context, "cards": cards}
    merchant.by = attempts
    files = iter(range(1, 99))

    def at(attempt_no, code):
        name = attempts[attempt_no - 1]
        merchant.context = merchant.contexts[name]
        prefix = "CARDS" if name == "cards" else "RPT"
        merchant.report((merchant.tried[attempt_no - 1], 100_000, code), name=f"{prefix}_{next(files)}.TXT")
        merchant.reconcile()

    merchant.at, merchant.tried = at, []
    merchant.list_charges(charge("C1", 100_000))
    for attempt_no, name in enumerate(attempts, 1):
        if attempt_no > 1:
            at(attempt_no - 1, "0051")
            merchant.later(days=3)  # a Monday, a Thursday
            merchant.change_charges("attempt_no = :no", no=attempt_no)
        merchant.context = merchant.contexts[name]
        merchant.submit(business_date=merchant.context.today)
        merchant.tried.append(merchant.invoices()["C1"])
    assert len(set(merchant.tried)) == len(attempts)
    return merchant


@pytest.fixture
def other(merchant_on_each):
    """The first attempt of C1 was declined; the second is at DOKU, and another profile's."""
    return _tried_in_turn(merchant_on_each, "insurance", "cards")


def _of_charges(merchant):
    return [
        (row["profile"], row["kind"], merchant.tried.index(row["invoice_number"]) + 1, row["amount"], row["state"])
        for row in merchant.sql(
            "SELECT profile, kind, invoice_number, amount, state FROM recon_break "
            "WHERE kind IN ('paid_while_in_flight', 'collected_twice') ORDER BY kind, invoice_number"
        )
    ]


def test_paid_after_all_is_an_alarm_of_the_profile_that_tries_again(other):
    other.at(1, "0000")
    assert _of_charges(other) == [("cards", "paid_while_in_flight", 2, 100_000, "open")]
    other.at(2, "0051")
    assert _of_charges(other) == [("cards", "paid_while_in_flight", 2, 100_000, "resolved")]
    for context in other.contexts.values():
        assert list(findings(context)) == []


@pytest.mark.parametrize("order", [(1, 2), (2, 1)], ids=["forth", "back"])
def test_what_two_profiles_collected_is_seen_whoever_hears_of_it_last(other, order):
    for attempt_no in order:
        other.at(attempt_no, "0000")
    in_flight = ("cards", "paid_while_in_flight", 2, 100_000, "resolved")
    assert _of_charges(other) == [("cards", "collected_twice", 2, 100_000, "open"), in_flight]
    for context in other.contexts.values():
        assert list(findings(context)) == []
    about = {"invoice_number": other.tried[0], "outcome": "reversed", "evidence": "DOKU ticket 7"}
    carry_out(other.contexts["insurance"], "settle", about, **BY)
    assert _of_charges(other) == [("cards", "collected_twice", 2, 100_000, "resolved"), in_flight]


def test_each_profile_answers_for_the_payments_too_many_that_it_made(make_merchant):
    for order in ((1, 2, 3), (2, 3, 1), (3, 2, 1)):
        merchant = _tried_in_turn(make_merchant(), "insurance", "cards", "insurance")
        for attempt_no in order:
            merchant.at(attempt_no, "0000")
        twice = [one for one in _of_charges(merchant) if one[1] == "collected_twice"]
        assert twice == [
            ("cards", "collected_twice", 2, 100_000, "open"), ("insurance", "collected_twice", 3, 100_000, "open"),
        ], order  # fmt: skip
        said = merchant.sql("SELECT DISTINCT details FROM recon_break WHERE kind = 'collected_twice'")
        assert said == [{"details": "paid by 3 attempts, the first number 1, the last number 3"}], order


@pytest.mark.services
@pytest.mark.xdist_group("ledger")
def test_profiles_that_share_a_billing_source_judge_its_charges_one_at_a_time(make_merchant, postgresql_ledger):
    """Or one opens again, in old words, what the other is just opening; and each waits for what the other wrote."""
    merchant = _tried_in_turn(make_merchant(postgresql_ledger), "insurance", "cards")
    merchant.context = merchant.contexts["insurance"]
    merchant.report((merchant.tried[0], 100_000, "0005"), name="RPT_9.TXT")
    merchant.fetch()
    ingest_fetched(merchant.context)
    engine = merchant.ledger.engine
    with engine.begin() as one, engine.connect() as two:
        judge_charges(one, "cards", merchant.now)
        two.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            judge_charges(two, "insurance", merchant.now)
        two.rollback()
        one.rollback()
        judge_charges(two, "insurance", merchant.now)


@pytest.mark.services
@pytest.mark.xdist_group("ledger")
def test_nobody_explains_a_break_that_another_profile_is_just_resolving(make_merchant, postgresql_ledger):
    """Or it would be explained and closed at once, which the ledger refuses in words of its own."""
    merchant = _tried_in_turn(make_merchant(postgresql_ledger), "insurance", "cards")
    merchant.at(1, "0000")
    engine = merchant.ledger.engine
    (number,) = (row["break_id"] for row in merchant.sql("SELECT break_id FROM recon_break WHERE profile = 'cards'"))
    with engine.begin() as one, engine.begin() as two:
        one.execute(sa.text("UPDATE recon_break SET closed_reason = closed_reason WHERE profile = 'cards'"))
        two.exec_driver_sql("SET LOCAL lock_timeout = '100ms'")
        with pytest.raises(OperationalError, match="lock timeout"):
            find_break(two, "cards", number)
        two.rollback()
