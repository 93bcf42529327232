"""From a report to the next attempt: decided once, told to the merchant, sent on its day, and never against a rule."""

from datetime import date, timedelta
from typing import Any

import pytest

from include.domain.errors import ApprovalMissing, NotAllowed
from include.domain.states import RunKind
from include.flows.deliver import deliver
from include.flows.operate import carry_out, rehearse
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import has_pending_work, write_back
from include.flows.settle import settle
from include.flows.verify import findings
from tests.flows_harness import BUSINESS_DATE, charge

MONDAY = date(2026, 11, 23)
PAY_DAY = date(2026, 11, 25)
BY = {"by": "ani", "why": "DOKU says so"}


def answered(merchant, *answers: tuple[str, str], name: str = "RPT_1.TXT") -> None:
    """DOKU answers the last attempts of charges, and reconciliation runs."""
    amounts = {row["charge_id"]: row["amount"] for row in merchant.sql("SELECT * FROM attempt")}
    invoices = merchant.invoices()
    merchant.report(*((invoices[one], amounts[one], code) for one, code in answers), name=name)
    merchant.reconcile()


def submit_on(merchant, day: date) -> list[str]:
    """The ordinary run of a day; the rules of what it sent."""
    merchant.now += timedelta(days=(day - merchant.context.today).days)
    _, batch_ids = merchant.submit(business_date=day)
    rows = merchant.sql("SELECT batch_id, rule FROM attempt ORDER BY batch_id, line_no")
    return [row["rule"] for row in rows if row["batch_id"] in batch_ids]


def decisions(merchant) -> dict[str, list[tuple[str, str | None]]]:
    """(action, planned day) of every decision, by charge, in order."""
    rows = merchant.sql(
        "SELECT a.charge_id, p.action, p.planned_on FROM next_attempt p JOIN attempt a USING (invoice_number)"
        " ORDER BY a.charge_id, a.attempt_no, p.version"
    )
    found: dict[str, list[tuple[str, str | None]]] = {}
    for row in rows:
        planned = str(row["planned_on"]) if row["planned_on"] else None
        found.setdefault(row["charge_id"], []).append((row["action"], planned))
    return found


def told(merchant, charge_id: str, attempt_no: int = 1) -> tuple[str, Any]:
    row = merchant.told()[charge_id, attempt_no]
    return row["status"], str(row["next_attempt_on"]) if row["next_attempt_on"] else None


def test_each_decline_is_decided_on_and_the_merchant_is_told_the_day(merchant):
    names = ("NOW", "MONEY", "CHANGE", "NEVER", "SETUP", "PAID", "WHAT")
    merchant.list_charges(*(charge(name) for name in names))
    merchant.submit()
    codes = ("0091", "0051", "0054", "0004", "0058", "0000", "QQQQ")
    answered(merchant, *zip(names, codes, strict=True))
    assert decisions(merchant) == {
        "NOW": [("retry", str(MONDAY))],  # Saturday and Sunday are passed over
        "MONEY": [("retry", str(PAY_DAY))],
        "CHANGE": [("after_change", None)],
        "NEVER": [("never", None)],
        "SETUP": [("merchant_setup", None)],
    }
    assert told(merchant, "NOW") == ("declined", str(MONDAY))
    assert told(merchant, "MONEY") == ("declined", str(PAY_DAY))
    assert told(merchant, "CHANGE") == ("declined", None)
    assert told(merchant, "WHAT") == ("unknown", None)
    assert not has_pending_work(merchant.context)
    assert list(findings(merchant.context)) == []


def test_a_declined_charge_is_tried_again_on_its_day_and_no_other(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    answered(merchant, ("C1", "0051"))
    for day in range(1, 5):
        assert submit_on(merchant, BUSINESS_DATE + timedelta(days=day)) == []
    assert submit_on(merchant, PAY_DAY) == ["planned"]
    assert submit_on(merchant, PAY_DAY + timedelta(days=1)) == []
    answered(merchant, ("C1", "0000"), name="RPT_2.TXT")
    assert told(merchant, "C1", 2) == ("paid", None)
    assert submit_on(merchant, PAY_DAY + timedelta(days=5)) == []


def test_a_pay_day_that_went_by_without_a_run_is_told_anew(merchant):
    merchant.list_charges(charge("C1"), charge("C2"))
    merchant.submit()
    answered(merchant, ("C1", "0051"), ("C2", "0091"))
    assert told(merchant, "C1") == ("declined", str(PAY_DAY))
    merchant.now += timedelta(days=6)  # nothing ran until the day after
    merchant.reconcile()
    last_of_november = date(2026, 11, 30)
    assert decisions(merchant) == {
        "C1": [("retry", str(PAY_DAY)), ("retry", str(last_of_november))],
        "C2": [("retry", str(MONDAY))],  # goes on any day: it is only late
    }
    assert told(merchant, "C1") == ("declined", str(last_of_november))
    merchant.reconcile()
    assert len(decisions(merchant)["C1"]) == 2
    assert submit_on(merchant, PAY_DAY + timedelta(days=2)) == ["planned"]
    assert submit_on(merchant, last_of_november) == ["planned"]


def test_tries_end(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    sent = 1
    for number in range(40):
        if any(row["status"] == "in_flight" for row in merchant.told().values()):
            answered(merchant, ("C1", "0091"), name=f"RPT_{number}.TXT")
        sent += len(submit_on(merchant, merchant.context.today + timedelta(days=1)))
    assert sent == merchant.profile.retry.max_per_charge
    assert decisions(merchant)["C1"][-1] == ("exhausted", None)
    assert list(findings(merchant.context)) == []


def test_planning_again_changes_nothing(merchant):
    merchant.list_charges(charge("C1"), charge("C2"))
    merchant.submit()
    answered(merchant, ("C1", "0091"), ("C2", "0004"))
    before = merchant.dump("run")
    run = merchant.run(RunKind.RECONCILE)
    assert plan_next_attempts(merchant.context, run.run_id) == {}
    write_back(merchant.context)
    assert merchant.dump("run") == before


def test_a_report_that_came_in_after_the_planning_is_not_told_without(merchant):
    """Another run took it in meanwhile; whoever tells it decides first."""
    from include.flows.ingest import ingest_fetched

    merchant.list_charges(charge("C1"))
    merchant.submit()
    merchant.report((merchant.invoices()["C1"], 150_000, "0091"))
    merchant.fetch()
    ingest_fetched(merchant.context)
    write_back(merchant.context)
    assert told(merchant, "C1") == ("declined", str(MONDAY))


def test_paid_after_declined_cancels_the_plan_and_the_merchant_hears_of_it(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    answered(merchant, ("C1", "0091"))
    answered(merchant, ("C1", "0000"), name="RPT_2.TXT")
    assert decisions(merchant)["C1"] == [("retry", str(MONDAY)), ("cancelled", None)]
    assert told(merchant, "C1") == ("paid", None)
    assert submit_on(merchant, MONDAY) == []


def test_an_older_attempt_that_turns_out_paid_cancels_the_plan_of_a_later_one(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    first = merchant.invoices()["C1"]
    answered(merchant, ("C1", "0091"))
    submit_on(merchant, MONDAY)
    answered(merchant, ("C1", "0091"), name="RPT_2.TXT")
    merchant.report((first, 150_000, "0000"), name="RPT_3.TXT")
    merchant.reconcile()
    assert decisions(merchant)["C1"][-1] == ("cancelled", None)
    assert submit_on(merchant, MONDAY + timedelta(days=7)) == []


def test_a_charge_that_a_person_closed_is_not_planned(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    answered(merchant, ("C1", "0091"))
    carry_out(merchant.context, "close", {"charge_id": "C1", "reason": "paid_elsewhere"}, **BY)
    merchant.reconcile()
    assert decisions(merchant)["C1"][-1] == ("cancelled", None)
    assert told(merchant, "C1")[1] is None


@pytest.mark.parametrize(
    ("operation", "about", "status"),
    [("settle", {"outcome": "paid", "evidence": "A ticket"}, "paid"),
     ("close", {"charge_id": "C1", "reason": "paid_elsewhere"}, "declined"),
     ("cancel", {"charge_id": "C1"}, "declined")],
)  # fmt: skip
def test_what_a_person_ends_is_planned_no_more_and_the_merchant_hears_of_it(merchant, operation, about, status):
    merchant.list_charges(charge("C1"), charge("C2"))
    merchant.submit()
    answered(merchant, ("C1", "0091"), ("C2", "0091"))
    invoice = {"invoice_number": merchant.invoices()["C1"]} if operation == "settle" else {}
    carry_out(merchant.context, operation, {**about, **invoice}, **BY)
    assert {name: found[-1][0] for name, found in decisions(merchant).items()} == {"C1": "cancelled", "C2": "retry"}
    assert has_pending_work(merchant.context)
    merchant.reconcile()
    assert told(merchant, "C1") == (status, None)
    assert len(decisions(merchant)["C1"]) == 2
    assert not has_pending_work(merchant.context)


def test_a_plan_whose_charge_is_gone_is_closed_and_told(merchant):
    merchant.list_charges(charge("C1"), charge("C2"))
    merchant.submit()
    answered(merchant, ("C1", "0091"), ("C2", "0091"))
    merchant.change_charges("due_date = '2026-11-20' WHERE charge_id = 'C2'")
    with merchant.billing.begin() as connection:
        connection.exec_driver_sql("DELETE FROM charges WHERE charge_id = 'C1'")
    assert submit_on(merchant, MONDAY) == ["planned"]
    assert decisions(merchant)["C1"][-1] == ("withdrawn", str(MONDAY))
    assert has_pending_work(merchant.context)
    merchant.reconcile()
    assert told(merchant, "C1") == ("declined", None)
    assert not has_pending_work(merchant.context)


def test_never_again_holds_other_charges_on_the_same_card_whoever_asks(merchant):
    token = "a-token-of-two-charges"
    merchant.list_charges(charge("C1", token=token), charge("C2", 99_000, token=token))
    merchant.submit()
    answered(merchant, ("C1", "0041"), ("C2", "0091"))
    merchant.list_charges(charge("C3", 50_000, token=token))
    merchant.change_charges("attempt_no = 2")
    merchant.change_charges("attempt_no = NULL WHERE charge_id = 'C3'")
    assert submit_on(merchant, MONDAY) == []
    fates = merchant.sql("SELECT charge_id, reason FROM run_charge ORDER BY run_id DESC, charge_id LIMIT 3")
    assert {row["charge_id"]: row["reason"] for row in fates} == {
        "C1": "never_again", "C2": "instrument_stopped", "C3": "instrument_stopped",
    }  # fmt: skip
    merchant.change_charges("token = 'another-token-of-two', attempt_no = NULL")
    assert sorted(submit_on(merchant, MONDAY + timedelta(days=1))) == ["first", "new_instrument", "planned"]


def test_a_revoked_agreement_ends_with_its_billing_number(merchant):
    merchant.list_charges(charge("C1", billing_number="B1", customer_id="K"))
    merchant.submit()
    answered(merchant, ("C1", "00R1"))
    assert decisions(merchant)["C1"] == [("mandate_ended", None)]
    merchant.list_charges(
        charge("C2", billing_number="B1", customer_id="K"), charge("C3", billing_number="B2", customer_id="K")
    )
    assert submit_on(merchant, MONDAY) == ["first"]


def test_the_fingerprint_outlives_the_token_and_is_not_it(merchant):
    merchant.list_charges(charge("C1", token="a-token-that-goes-away"), charge("C2", token="a-token-that-goes-away"))
    merchant.submit()
    rows = merchant.sql("SELECT token_fingerprint FROM attempt")
    assert len({row["token_fingerprint"] for row in rows}) == 1
    assert "a-token" not in rows[0]["token_fingerprint"]
    with merchant.ledger.write() as connection:
        connection.exec_driver_sql("UPDATE attempt SET token = ''")
    answered(merchant, ("C1", "0041"), ("C2", "0091"))
    assert submit_on(merchant, MONDAY) == []


# --- several answers to one attempt ---


@pytest.mark.parametrize("order", [("0005", "0041"), ("0041", "0005")])
@pytest.mark.parametrize("in_one_file", [True, False])
def test_never_again_counts_whenever_it_is_said(merchant, order, in_one_file):
    """DOKU declines an attempt twice, for two reasons: the stricter one counts, in whichever order they come."""
    merchant.list_charges(charge("C1", token="a-token-of-two-charges"))
    merchant.submit()
    if in_one_file:
        answered(merchant, *(("C1", code) for code in order))
    else:
        for code in order:
            answered(merchant, ("C1", code), name=f"RPT_{code}.TXT")
    assert decisions(merchant)["C1"][-1] == ("never", None)
    assert told(merchant, "C1") == ("declined", None)
    merchant.list_charges(charge("C2", token="a-token-of-two-charges"))
    assert submit_on(merchant, MONDAY) == []


@pytest.mark.parametrize("first", ["0005", "0000", None])
def test_a_stop_order_ends_the_mandate_whatever_was_known_before(merchant, first):
    """Also of an attempt that another line says is paid, or that a person settled."""
    merchant.list_charges(charge("C1", billing_number="B1", customer_id="K"))
    merchant.submit()
    if first is None:
        merchant.later(days=1)
        settle(merchant.context, invoice_number=merchant.invoices()["C1"], outcome="declined", evidence="A call", **BY)
        merchant.reconcile()
    else:
        answered(merchant, ("C1", first))
    answered(merchant, ("C1", "00R1"), name="RPT_2.TXT")
    assert decisions(merchant)["C1"][-1] == ("mandate_ended", None)
    merchant.list_charges(charge("C2", billing_number="B1", customer_id="K"))
    assert submit_on(merchant, MONDAY) == []


def test_a_stop_order_counts_for_a_charge_that_a_person_closed(merchant):
    merchant.list_charges(charge("C1", token="a-token-of-two-charges"))
    merchant.submit()
    answered(merchant, ("C1", "0005"))
    carry_out(merchant.context, "close", {"charge_id": "C1", "reason": "paid_elsewhere"}, **BY)
    answered(merchant, ("C1", "0041"), name="RPT_2.TXT")
    merchant.list_charges(charge("C2", token="a-token-of-two-charges"))
    assert submit_on(merchant, MONDAY) == []


def test_a_milder_answer_changes_no_decision(merchant):
    merchant.list_charges(charge("C1"))
    merchant.submit()
    answered(merchant, ("C1", "0003"))
    carry_out(merchant.context, "setup_mended", {}, **BY)
    mended = decisions(merchant)["C1"]
    assert [action for action, _ in mended] == ["merchant_setup", "retry"]
    answered(merchant, ("C1", "0054"), name="RPT_2.TXT")
    assert decisions(merchant)["C1"] == mended


@pytest.mark.parametrize("told_first", [True, False])
def test_what_a_report_declines_when_it_is_read_again_is_planned(merchant, told_first):
    """Two codes were unknown; with the codes of now one line says later, the other one never."""
    merchant.list_charges(charge("C1"), charge("C2", token="a-token-of-two-charges"), charge("C3"))
    merchant.submit()
    answered(merchant, ("C1", "QQ11"), ("C2", "QQ22"), ("C3", "0091"))
    if not told_first:  # reconciliation stopped before the merchant was told
        with merchant.ledger.write() as connection:
            connection.exec_driver_sql("UPDATE report_file SET state = 'ingested', written_back_at = NULL")
    about = {"meaning": "Listed by now", "source": "DOKU", "certainty": "certain"}
    classes = {"QQ11": "retry_later", "QQ22": "never"}
    merchant.changed({"codes": [{"code": code, "class": found, **about} for code, found in classes.items()]})
    carry_out(merchant.context, "reingest", {"file_name": "RPT_1.TXT"}, **BY)
    merchant.reconcile()
    assert decisions(merchant) == {
        "C1": [("retry", str(MONDAY))], "C2": [("never", None)], "C3": [("retry", str(MONDAY))],
    }  # fmt: skip
    assert told(merchant, "C1") == ("declined", str(MONDAY))
    merchant.list_charges(charge("C4", token="a-token-of-two-charges"))
    assert submit_on(merchant, MONDAY) == ["planned", "planned"]


# --- the merchant's set-up ---


def test_a_wrong_set_up_stops_the_next_run_until_a_person_says_that_it_is_mended(merchant):
    merchant.list_charges(charge("C1"), charge("C2"))
    merchant.submit()
    answered(merchant, ("C1", "0003"), ("C2", "0000"))
    merchant.list_charges(charge("C3"))
    merchant.now += timedelta(days=3)
    run, (batch_id,) = merchant.seal(business_date=MONDAY)
    with pytest.raises(ApprovalMissing, match="merchant_setup: 1 charges were declined because"):
        deliver(merchant.context, batch_id, run.run_id)

    shown = rehearse(merchant.context, "setup_mended", {}, **BY)
    assert "1 charges are tried again from 2026-11-24 on" in shown.says
    assert decisions(merchant)["C1"] == [("merchant_setup", None)]
    assert carry_out(merchant.context, "setup_mended", {}, **BY) == shown.says
    assert decisions(merchant)["C1"][-1] == ("retry", "2026-11-24")
    (event,) = merchant.sql("SELECT * FROM event WHERE kind = 'setup_mended'")
    assert event["actor"] == "ani"
    with pytest.raises(NotAllowed, match="No charge of profile insurance waits"):
        carry_out(merchant.context, "setup_mended", {}, **BY)
    merchant.reconcile()
    assert told(merchant, "C1") == ("declined", "2026-11-24")
    assert sorted(submit_on(merchant, MONDAY + timedelta(days=1))) == ["after_withdrawal", "planned"]


def test_a_charge_that_changes_every_day_is_tried_no_more_often_than_others(merchant):
    """A late fee that grows each day is a change each day."""
    merchant.list_charges(charge("C1", 100_000))
    merchant.submit()
    sent = 1
    for number in range(1, 12):
        if any(row["status"] == "in_flight" for row in merchant.told().values()):
            answered(merchant, ("C1", "0054"), name=f"RPT_{number}.TXT")
        merchant.change_charges(f"amount = {100_000 + 500 * number}")
        sent += len(submit_on(merchant, BUSINESS_DATE + timedelta(days=number)))
    assert sent == merchant.profile.retry.max_per_charge
    assert decisions(merchant)["C1"][-1] == ("exhausted", None)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_wrong_set_up_stops_the_next_run_also_where_re_attempts_are_switched_off(make_merchant, enabled):
    merchant = make_merchant(changes={"retry": {"enabled": enabled}})
    merchant.list_charges(charge("C1"))
    merchant.submit()
    answered(merchant, ("C1", "0003"))
    merchant.list_charges(charge("C2"))
    merchant.now += timedelta(days=3)
    run, (batch_id,) = merchant.seal(business_date=MONDAY)
    with pytest.raises(ApprovalMissing, match="merchant_setup: 1 charges were declined because"):
        deliver(merchant.context, batch_id, run.run_id)


# --- switched off ---


def test_switched_off_only_the_view_asks_but_never_stays_never(make_merchant):
    merchant = make_merchant(changes={"retry": {"enabled": False}})
    merchant.list_charges(charge("LATER"), charge("NEVER"), charge("CHANGE"), charge("SETUP"))
    merchant.submit()
    answered(merchant, ("LATER", "0091"), ("NEVER", "0041"), ("CHANGE", "0054"), ("SETUP", "0003"))
    assert {name: found[0][0] for name, found in decisions(merchant).items()} == {
        "LATER": "ask", "NEVER": "never", "CHANGE": "ask", "SETUP": "merchant_setup",
    }  # fmt: skip
    said = carry_out(merchant.context, "setup_mended", {}, **BY)  # until then the brake holds the next run
    assert said == "1 charges are tried again when the merchant's view asks for it."
    assert decisions(merchant)["SETUP"][-1] == ("ask", None)
    assert submit_on(merchant, PAY_DAY) == []
    merchant.change_charges("attempt_no = 2")
    assert submit_on(merchant, date(2026, 11, 28)) == ["merchant_asked"] * 3  # a Saturday: the merchant's own calendar


def test_a_batch_that_waited_leaves_without_a_card_that_was_stopped_meanwhile(merchant):
    token = "a-token-of-two-charges"
    merchant.list_charges(charge("C1", token=token))
    merchant.submit()
    merchant.list_charges(charge("C2", 99_000, token=token), charge("C3"))
    run, (batch_id,) = merchant.seal()
    answered(merchant, ("C1", "0041"))
    deliver(merchant.context, batch_id, run.run_id)
    rows = merchant.sql("SELECT a.charge_id, o.proof FROM outcome o JOIN attempt a USING (invoice_number)"
                        " WHERE o.status = 'withdrawn'")  # fmt: skip
    assert [row["charge_id"] for row in rows] == ["C2"]
    assert rows[0]["proof"].startswith("stopped by an answer before it was sent")
    assert merchant.batch(batch_id)["state"] == "delivered"
    assert submit_on(merchant, MONDAY) == []
    assert list(findings(merchant.context)) == []


def test_a_batch_that_waited_leaves_without_what_a_revoked_agreement_covers(merchant):
    merchant.list_charges(charge("C1", billing_number="B1", customer_id="K"))
    merchant.submit()
    others = {"C2": ("B1", "K"), "C3": ("B2", "K"), "C4": ("B1", "L"), "C5": (None, "K")}
    merchant.list_charges(*(charge(name, billing_number=b, customer_id=k) for name, (b, k) in others.items()))
    run, (batch_id,) = merchant.seal()
    answered(merchant, ("C1", "00R1"))
    deliver(merchant.context, batch_id, run.run_id)
    rows = merchant.sql("SELECT a.charge_id, o.proof FROM outcome o JOIN attempt a USING (invoice_number)"
                        " WHERE o.status = 'withdrawn'")  # fmt: skip
    assert [row["charge_id"] for row in rows] == ["C2"]
    assert rows[0]["proof"].startswith("stopped by an answer before it was sent")
    assert list(findings(merchant.context)) == []
