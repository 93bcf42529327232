"""The tasks of recurring that keep the register: what they do, and that nothing secret goes to XCom or a log."""

import json
import logging

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from include.domain.errors import ApiUnreachable
from plugins.operators.register_bills import RegisterBillsOperator
from plugins.operators.take_in import TakeInOperator
from tests.register_harness import RECURRING, TOKEN, Register, wanted

P = {"task_id": "t", "profile": "insurance"}


@pytest.fixture
def bills(deployed, monkeypatch) -> Register:
    deployed.changed(RECURRING)
    made = Register(deployed)
    monkeypatch.setattr("include.flows.assemble.DokuApi", lambda *_: _Closable(made.api))
    monkeypatch.setattr("include.flows.assemble.ApiSettings.from_connection", lambda *_: None)
    monkeypatch.setenv("AIRFLOW_CONN_INSURANCE_DOKU", json.dumps({"conn_type": "doku"}))
    made.merchant.changed({**RECURRING, "connections": {"doku": "insurance_doku"}})
    return made


class _Closable:
    def __init__(self, api):
        self.post = api.post

    def close(self):
        """Nothing to close."""


def test_bills_are_registered_and_what_doku_tells_is_taken_in(bills, context, caplog):
    bills.want(wanted("B-1"), wanted("B-2", amount="x"))
    with caplog.at_level(logging.INFO):
        told = RegisterBillsOperator(**P).execute(context())
        assert told == {"told": 1, "listed": 2, "changed": 1, "rejected": 1}
        bills.merchant.later(minutes=5)
        bills.hear(bills.registered())
        bills.hear(b"{}")
        assert TakeInOperator(**P).execute(context("scheduled__2")) == {"done": 1, "failed": 1}
    assert bills.state() == "active"
    assert TOKEN not in caplog.text


def test_a_dry_run_asks_for_nothing(bills, context):
    bills.want(wanted())
    RegisterBillsOperator(**P).execute(context(dry_run=True))
    assert bills.api.calls == []


def test_an_api_that_does_not_answer_is_tried_again_and_a_view_that_is_wrong_is_not(bills, context):
    bills.want(wanted())
    bills.api.plans = [ApiUnreachable("No answer.")]
    with pytest.raises(AirflowException, match="No answer"):
        RegisterBillsOperator(**P).execute(context())
    with bills.merchant.billing.begin() as connection:
        connection.exec_driver_sql("DROP VIEW doku_bills")
    with pytest.raises(AirflowFailException, match="doku_bills"):
        RegisterBillsOperator(**P).execute(context("scheduled__3"))
