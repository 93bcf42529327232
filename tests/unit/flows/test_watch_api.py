"""The watchdog on DOKU's HTTP API: told late and gently, over by itself."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from include.doku.api import ApiAnswer
from include.domain.errors import ApiUnreachable
from include.flows.ask_status import ask_status
from include.flows.notify import notify_delivered
from tests.flows_harness import Merchant, charge
from tests.unit.flows.watch_drill import Told, kinds, look

DOWN = ApiUnreachable("DOKU's API did not answer.")


class Doku:
    """DOKU's API, up or down."""

    clock_problem = None
    up = False

    def notify_batch(self, file_name: str, request_id: str) -> ApiAnswer:
        return self._answer({"batch_file": {"name": file_name}}, request_id)

    def status(self, reference: str) -> ApiAnswer:
        return self._answer({"order": {"invoice_number": reference}, "transaction": {"status": "PENDING"}}, "r")

    def _answer(self, body: Any, request_id: str) -> ApiAnswer:
        if not self.up:
            raise DOWN
        return ApiAnswer(200, body, request_id)


@pytest.fixture
def doku() -> Doku:
    return Doku()


@pytest.fixture
def watched(make_merchant: Callable[..., Merchant], doku: Doku) -> Merchant:
    http = {"notify_after_delivery": True, "ask_status": True}
    merchant = make_merchant(changes={"connections": {"doku": "doku_api"}, "http": http, "watch": {"notify": ["ops"]}})
    merchant.context = replace(merchant.context, api=lambda: doku)  # type: ignore[arg-type, return-value]
    merchant.list_charges(charge("A"))
    merchant.submit()
    return merchant


def test_a_file_that_doku_was_not_told_of(watched: Merchant, doku: Doku) -> None:
    told, name = Told(), watched.batch(1)["file_name"]
    watched.later(minutes=59)
    assert ("not_notified", name) not in kinds(look(watched, told))
    watched.later(minutes=1)
    (alert,) = [one for one in look(watched, told).alerts if one.kind == "not_notified"]
    assert "No run has tried to tell it since." in alert.words
    notify_delivered(watched.context)
    (alert,) = [one for one in look(watched, told).alerts if one.kind == "not_notified"]
    assert DOWN.message in alert.words
    assert told.notices[-1].runbook.endswith("doku-api.md#not-told")
    watched.later(hours=6)
    assert [state for _, state, kind, _ in _looked(watched, told) if kind == "not_notified"] == ["late"]
    doku.up = True
    notify_delivered(watched.context)
    assert ("ops", "over", "not_notified", name) in _looked(watched, told)


def test_a_file_that_a_report_answers_needs_no_telling(watched: Merchant) -> None:
    told, name = Told(), watched.batch(1)["file_name"]
    watched.later(hours=1)
    assert ("not_notified", name) in kinds(look(watched, told))
    watched.report((watched.invoices()["A"], 150_000, "0000"))
    watched.reconcile()
    assert ("not_notified", name) not in kinds(look(watched, told))


def test_status_questions_that_are_not_answered(watched: Merchant, doku: Doku) -> None:
    told = Told()
    watched.report((watched.invoices()["A"], 150_000, "0068"))
    watched.reconcile()
    watched.later(minutes=2)
    ask_status(watched.context)
    watched.later(minutes=59)
    ask_status(watched.context)
    assert ("status_unanswered", "status") not in kinds(look(watched, told))
    watched.later(minutes=1)
    (alert,) = [one for one in look(watched, told).alerts if one.kind == "status_unanswered"]
    assert DOWN.message in alert.words
    doku.up = True
    watched.later(hours=1)
    ask_status(watched.context)
    assert ("ops", "over", "status_unanswered", "status") in _looked(watched, told)


def _looked(merchant: Merchant, told: Told) -> list[tuple[str, str, str, str]]:
    look(merchant, told)
    return list(told)
