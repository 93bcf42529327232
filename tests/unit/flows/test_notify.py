"""Telling DOKU of delivered batch files: once by its request id, and never to the harm of a batch."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from include.doku.api import ApiSettings, DokuApi
from include.domain.connection import ConnectionSettings
from include.flows.context import FlowContext
from include.flows.notify import Notified, notify_delivered
from tests.doku_simulator import HttpConfig, Simulator
from tests.doku_simulator.behaviour import Fault
from tests.flows_harness import Merchant, charge

ON: dict[str, Any] = {"connections": {"doku": "doku_api"}, "http": {"notify_after_delivery": True}}


def api_of(simulator: Simulator, merchant: Merchant) -> Callable[[], DokuApi]:
    told = simulator.describe()["http"]
    connection = ConnectionSettings(
        "doku_api", "doku", host=told["url"], login=told["client_id"], password=told["secret_key"]
    )
    settings = ApiSettings.from_connection(connection, merchant.profile.http, merchant.profile.environment)
    made = DokuApi(settings, lambda: merchant.now, merchant.waits.append)
    return lambda: made


@pytest.fixture
def sent(make_merchant: Callable[..., Merchant]) -> Iterator[tuple[Merchant, Simulator, FlowContext]]:
    """A merchant with a delivered batch, and DOKU."""
    merchant = make_merchant(changes=ON)
    merchant.list_charges(charge("A"))
    merchant.submit()
    with merchant.doku(http=HttpConfig(), clock=lambda: merchant.now.timestamp()) as simulator:
        yield merchant, simulator, replace(merchant.context, api=api_of(simulator, merchant))


def asked(simulator: Simulator) -> list[tuple[str, int, bool]]:
    return [(one["request_id"], one["status"], one["replay"]) for one in simulator.web.requests]


def test_doku_is_told_once(sent: tuple[Merchant, Simulator, FlowContext]) -> None:
    merchant, simulator, context = sent
    name = merchant.sql("SELECT file_name FROM batch")[0]["file_name"]
    assert notify_delivered(context) == Notified((name,), ())
    assert notify_delivered(context) == Notified((), ())
    assert len(asked(simulator)) == 1
    kept = merchant.sql("SELECT * FROM batch_notice")[0]
    assert (kept["tries"], kept["http_status"], kept["words"]) == (1, 200, "DOKU took notice")
    assert kept["answered_at"] is not None


def test_nothing_is_told_where_the_profile_does_not(merchant: Merchant) -> None:
    merchant.list_charges(charge("A"))
    merchant.submit()
    assert notify_delivered(merchant.context) == Notified((), ())
    assert merchant.sql("SELECT * FROM batch_notice") == []


def test_kills_anywhere_and_doku_takes_it_once(sent: tuple[Merchant, Simulator, FlowContext]) -> None:
    merchant, simulator, context = sent

    class Killed(BaseException):
        pass

    def killed_at(at: str) -> Callable[[str], None]:
        def step(name: str) -> None:
            if name == at:
                raise Killed

        return step

    for at in ("notify: before DOKU is told", "notify: told, not noted", "notify: noted"):
        with pytest.raises(Killed):
            notify_delivered(replace(context, step=killed_at(at)))
        merchant.later(minutes=1)
    assert notify_delivered(context) == Notified((), ())
    assert [status for _, status, _ in asked(simulator)] == [200, 409]
    assert len({request_id for request_id, *_ in asked(simulator)}) == 1
    assert merchant.sql("SELECT tries FROM batch_notice")[0]["tries"] == 3


def test_what_was_not_answered_is_told_again_under_the_same_id(sent: tuple[Merchant, Simulator, FlowContext]) -> None:
    merchant, simulator, context = sent
    done = {"carried_out": True}
    for fault in (Fault("api_cut", times=3, params=done), Fault("api_error", times=3, params=done),
                  Fault("api_wrong_signature")):  # fmt: skip
        simulator.behave(faults=[fault])
        assert len(notify_delivered(context).failed) == 1
        assert merchant.batch(1)["state"] == "delivered"
    simulator.behave()
    assert len(notify_delivered(context).told) == 1
    assert len({request_id for request_id, *_ in asked(simulator)}) == 1
    assert asked(simulator)[-1][1:] == (409, True)


def test_a_refused_notice_is_told_again_under_another_id(sent: tuple[Merchant, Simulator, FlowContext]) -> None:
    _, simulator, context = sent
    simulator.behave(faults=[Fault("api_refused", params={"status": 400, "words": "not there yet"})])
    assert "not there yet" in notify_delivered(context).failed[0]
    assert len(notify_delivered(context).told) == 1
    first, second = (request_id for request_id, *_ in asked(simulator))
    assert first != second


def test_a_no_whose_answer_was_lost_is_a_no(sent: tuple[Merchant, Simulator, FlowContext]) -> None:
    merchant, simulator, context = sent
    name = merchant.batch(1)["file_name"]
    hidden = merchant.remote_root / "inbound" / name
    hidden.rename(hidden.with_name("elsewhere"))
    simulator.behave(faults=[Fault("api_cut", params={"carried_out": True})])
    assert "is not found" in notify_delivered(context).failed[0]
    hidden.with_name("elsewhere").rename(hidden)
    simulator.behave()
    assert notify_delivered(context).told == (name,)


def test_a_wrong_key_or_none_harms_nothing_and_keeps_the_id(sent: tuple[Merchant, Simulator, FlowContext]) -> None:
    merchant, simulator, context = sent
    right = simulator.describe()["http"]
    wrong = ConnectionSettings("doku_api", "doku", host=right["url"], login=right["client_id"], password="no")
    api = DokuApi(ApiSettings.from_connection(wrong), lambda: merchant.now, merchant.waits.append)
    assert "secret key" in notify_delivered(replace(context, api=lambda: api)).failed[0]
    assert "connections.doku" in notify_delivered(merchant.context).failed[0]
    assert merchant.batch(1)["state"] == "delivered"
    assert len(notify_delivered(context).told) == 1
    assert len({request_id for request_id, *_ in asked(simulator)}) == 1


def test_what_a_report_answers_or_lies_there_for_long_is_not_told(
    sent: tuple[Merchant, Simulator, FlowContext],
) -> None:
    merchant, simulator, context = sent
    merchant.later(hours=25)
    assert notify_delivered(context) == Notified((), ())
    merchant.later(hours=-25)
    merchant.report((merchant.invoices()["A"], 150_000, "0000"))
    merchant.reconcile()
    assert notify_delivered(context) == Notified((), ())
    assert asked(simulator) == []


def test_a_restored_ledger_tells_it_under_the_same_id(sent: tuple[Merchant, Simulator, FlowContext]) -> None:
    merchant, simulator, context = sent
    notify_delivered(context)
    with merchant.ledger.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM batch_notice")
    assert len(notify_delivered(context).told) == 1
    assert [replay for *_, replay in asked(simulator)] == [False, True]
