"""Two at work at once: reports side by side, a person while the merchant is told, and a task's time limit."""

import signal
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from include.flows import at_once, reconcile, settle
from include.flows.at_once import each_at_once
from include.flows.ingest import ingest_fetched
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import conclude_batches, write_back
from include.flows.reingest import reingest
from include.flows.settle import settle_now
from include.ledger.writeback import Telling
from tests.flows_harness import charge
from tests.unit.conftest import POSTGRESQL

LISTED = {"codes": [{"code": "ZZZZ", "class": "retry_later", "meaning": "x", "source": "x", "certainty": "assumed"}]}
BY = {"by": "ani", "why": "a test"}
ON_POSTGRESQL = SimpleNamespace(engine=SimpleNamespace(dialect=SimpleNamespace(name="postgresql")))


@pytest.fixture
def sent(merchant_on_each):
    """A merchant with three charges at DOKU, on each database."""
    merchant = merchant_on_each
    merchant.list_charges(*(charge(f"C{number}", 100_000) for number in range(1, 4)))
    merchant.submit()
    merchant.later(hours=48)
    merchant.numbers = merchant.invoices()
    return merchant


def _report(merchant, name, **codes):
    merchant.report(*((merchant.numbers[who], 100_000, code) for who, code in codes.items()), name=name)


def test_a_report_that_is_read_again_while_the_merchant_is_told_is_told_anew(sent):
    _report(sent, "RPT_1.TXT", C1="ZZZZ", C2="0000")
    sent.fetch()
    ingest_fetched(sent.context)
    conclude_batches(sent.context, None)
    plan_next_attempts(sent.context, None)
    listed, done = sent.changed(LISTED), []

    def step(name):
        if name == "write back: merchant told" and not done:
            done.append(reingest(listed, file_name="RPT_1.TXT", **BY))

    write_back(replace(listed, step=step))
    assert "unknown to declined: 1" in done[0]
    told = sent.told()["C1", 1]
    (planned,) = sent.sql("SELECT action, planned_on FROM next_attempt")
    assert (told["status"], told["next_attempt_on"]) == ("declined", str(planned["planned_on"]))
    assert [row["state"] for row in sent.sql("SELECT state FROM report_file")] == ["written_back"]


class TestOnPostgresql:
    """SQLite has one writer at a time."""

    @pytest.fixture(params=[POSTGRESQL])
    def ledger_settings(self, request):
        """Only there."""
        return request.getfixturevalue(f"{request.param}_ledger")

    def test_a_person_settles_while_batches_are_concluded(self, sent, monkeypatch):
        _report(sent, "RPT_1.TXT", C1="0000", C2="0000", C3="ZZZZ")
        sent.fetch()
        ingest_fetched(sent.context)
        settled, concluding = threading.Event(), threading.Event()
        add, judge = settle.add_decision, reconcile.judge_charges

        def settle_slowly(*values):
            settled.set()
            concluding.wait(1)
            time.sleep(0.3)
            return add(*values)

        def judge_then(*values):
            concluding.set()
            return judge(*values)

        monkeypatch.setattr(settle, "add_decision", settle_slowly)
        monkeypatch.setattr(reconcile, "judge_charges", judge_then)
        word = {"invoice_number": sent.numbers["C3"], "outcome": "declined", "evidence": "mail", **BY}
        errors = []

        def person():
            try:
                settle_now(sent.context, **word)
            except Exception as caught:  # noqa: BLE001 - looked at below
                errors.append(caught)

        thread = threading.Thread(target=person)
        thread.start()
        assert settled.wait(60)
        conclude_batches(sent.context, None)
        thread.join()
        assert errors == []

    def test_what_one_report_plans_is_told_by_the_other_one_too(self, sent, monkeypatch):
        _report(sent, "RPT_1.TXT", C1="0005", C2="0000")
        _report(sent, "RPT_2.TXT", C1="0004", C2="0000")  # the stricter answer: never again
        sent.fetch()
        ingest_fetched(sent.context)
        conclude_batches(sent.context, None)
        first_read, second_told = threading.Event(), threading.Event()
        plan, rows = reconcile.plan_reports, Telling.rows

        def plan_second_late(context, reports, run_id):
            if 2 in [report.report_id for report in reports]:
                first_read.wait(1)
            return plan(context, reports, run_id)

        def read_first_early(telling):
            found = list(rows(telling))
            if telling.key == 1:
                first_read.set()
                second_told.wait(1)
            else:
                second_told.set()
            yield from found

        monkeypatch.setattr(reconcile, "plan_reports", plan_second_late)
        monkeypatch.setattr(Telling, "rows", read_first_early)
        write_back(sent.context)
        assert sent.told()["C1", 1]["next_attempt_on"] is None


def test_a_time_limit_ends_the_wait_for_what_was_begun():
    def limit(*_):
        raise TimeoutError

    def work(item):
        go_on.wait(60)
        ended.append(item)

    before = signal.signal(signal.SIGALRM, limit)
    go_on, ended = threading.Event(), []
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TimeoutError):
            each_at_once(ON_POSTGRESQL, [1, 2, 3], work)
        assert ended == []
    finally:
        go_on.set()
        signal.signal(signal.SIGALRM, before)


def test_after_an_error_nothing_is_begun_and_the_first_error_is_raised():
    begun, failed = [], threading.Event()

    def do(item):
        begun.append(item)
        if item == 2:
            failed.set()
            raise ValueError("second")
        failed.wait(5)
        time.sleep(0.1)
        return item

    with pytest.raises(ValueError, match="second"):
        each_at_once(ON_POSTGRESQL, [1, 2, 3, 4], do)
    assert sorted(begun) == [1, 2]


def test_what_came_of_each_is_in_the_order_of_the_items():
    items = list(range(20))
    assert each_at_once(ON_POSTGRESQL, items, lambda item: (time.sleep((item % 3) / 100), item * 2)[1]) == [
        item * 2 for item in items
    ]
    assert at_once.AT_ONCE > 1
