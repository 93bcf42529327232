"""Planning while something else goes on: a report is read again, another profile or report hears of a payment."""

import threading
from dataclasses import replace

import pytest

from include.flows import plan_next
from include.flows.ingest import ingest_fetched
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import conclude_batches, has_pending_work, write_back
from include.flows.reingest import reingest
from include.flows.verify import findings
from tests.flows_harness import charge
from tests.unit.flows.test_breaks import _tried_in_turn

BY = {"by": "ani", "why": "the bank told us what the code means"}


def _listed(class_):
    return {"codes": [{"code": "ZZZZ", "class": class_, "meaning": "x", "source": "x", "certainty": "assumed"}]}


def _sent(merchant):
    merchant.list_charges(charge("C1", 100_000), charge("C2", 100_000))
    merchant.submit()
    merchant.later(hours=48)
    merchant.numbers = merchant.invoices()
    return merchant


def _take_in(merchant, name, codes, **claimed):
    merchant.report(*((merchant.numbers[who], 100_000, code) for who, code in codes.items()), name=name, **claimed)
    merchant.fetch()
    ingest_fetched(merchant.context)


def _plans(merchant):
    rows = merchant.sql(
        "SELECT a.charge_id, p.action FROM next_attempt p JOIN attempt a ON a.invoice_number = p.invoice_number "
        "ORDER BY p.version"
    )
    return {row["charge_id"]: row["action"] for row in rows}


def test_what_a_report_declines_when_it_is_read_again_while_it_is_planned_is_planned_too(merchant_on_each):
    sent = _sent(merchant_on_each)
    _take_in(sent, "RPT_1.TXT", {"C1": "ZZZZ", "C2": "0051"})
    conclude_batches(sent.context, None)
    listed, done = sent.changed(_listed("retry_later")), []

    def step(name):
        if name == "plan next: a page is kept" and not done:
            done.append(reingest(listed, file_name="RPT_1.TXT", **BY))

    plan_next_attempts(replace(listed, step=step), None)
    write_back(listed)
    assert "unknown to declined: 1" in done[0]
    assert _plans(sent) == {"C1": "retry", "C2": "retry"}
    assert sent.told()["C1", 1]["next_attempt_on"] is not None
    assert not has_pending_work(sent.context)
    assert list(findings(sent.context)) == []


@pytest.mark.services
@pytest.mark.xdist_group("ledger")
class TestOnPostgresql:
    def test_a_payment_that_is_read_while_its_report_is_planned_ends_what_another_one_plans(
        self, make_merchant, postgresql_ledger, monkeypatch
    ):
        sent = _sent(make_merchant(postgresql_ledger))
        _take_in(sent, "RPT_1.TXT", {"C1": "ZZZZ", "C2": "0000"}, success=2, failed=0)
        _take_in(sent, "RPT_2.TXT", {"C1": "0051"})
        conclude_batches(sent.context, None)
        listed = sent.changed(_listed("approved"))
        first_ends, second_read, go_on = threading.Event(), threading.Event(), threading.Event()
        page, pays, done = plan_next.declines_of_report, plan_next.pays_for_planned, []

        def second_page_late(connection, report_id, profile, after):
            if report_id == 2:
                assert first_ends.wait(60)
            found = page(connection, report_id, profile, after)
            if report_id == 2 and not second_read.is_set():
                second_read.set()
                assert go_on.wait(60)
            return found

        def read_again_at_the_end_of_the_first(connection, report_id):
            if report_id == 1 and not done:
                first_ends.set()
                assert second_read.wait(60)
                done.append(reingest(listed, file_name="RPT_1.TXT", **BY))
            found = pays(connection, report_id)
            go_on.set()
            return found

        # As if they were about different batches, or one would wait for the other.
        monkeypatch.setattr(plan_next, "batches_of_report", lambda _, report_id: [report_id])
        monkeypatch.setattr(plan_next, "declines_of_report", second_page_late)
        monkeypatch.setattr(plan_next, "pays_for_planned", read_again_at_the_end_of_the_first)
        plan_next_attempts(listed, None)
        assert "unknown to paid: 1" in done[0]
        write_back(listed)
        sent.reconcile()
        told = sent.told()["C1", 1]
        assert (_plans(sent), told["status"], told["next_attempt_on"]) == ({"C1": "cancelled"}, "paid", None)

    @pytest.mark.parametrize("other", ["insurance", "cards"])
    def test_a_payment_that_is_heard_of_while_a_later_attempt_is_planned_for_ends_that_plan(
        self, make_merchant, postgresql_ledger, monkeypatch, other
    ):
        merchant = _tried_in_turn(make_merchant(postgresql_ledger), "insurance", other)
        merchant.later(days=2)
        later, first = merchant.contexts[other], merchant.contexts["insurance"]
        page_read, go_on, page = threading.Event(), threading.Event(), plan_next.declines_of_report

        def declines(connection, report_id, profile, after):
            found = page(connection, report_id, profile, after)
            if found and not page_read.is_set():
                page_read.set()
                assert go_on.wait(60)
            return found

        monkeypatch.setattr(plan_next, "declines_of_report", declines)
        merchant.context = later
        merchant.report((merchant.tried[1], 100_000, "0051"), name="CARDS_50.TXT" if other == "cards" else "RPT_50.TXT")
        merchant.fetch()
        ingest_fetched(later)
        conclude_batches(later, None)
        thread = threading.Thread(target=plan_next_attempts, args=(later, None))
        thread.start()
        assert page_read.wait(60)
        merchant.context = first
        merchant.report((merchant.tried[0], 100_000, "0000"), name="RPT_51.TXT")
        threading.Timer(0.5, go_on.set).start()
        merchant.reconcile()
        thread.join()
        for context in (later, first, later):
            merchant.context = context
            merchant.reconcile()
        rows = merchant.sql(
            "SELECT action FROM next_attempt WHERE invoice_number = :number ORDER BY version", number=merchant.tried[1]
        )
        assert [row["action"] for row in rows][-1] == "cancelled"
        assert merchant.told()["C1", 2]["next_attempt_on"] is None
