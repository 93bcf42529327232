"""Waking the DAGs: the triggerer looks into the inbox, whoever filled it, and goes on whatever happens."""

import asyncio
import json
import os

import pytest
from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowSkipException, TaskDeferred

from plugins.dag_parts import notified, report_told
from plugins.sensors.reports_ready import ReportsReadySensor
from plugins.triggers import inbox
from plugins.triggers.inbox import InboxTrigger
from tests.flows_harness import charge
from tests.unit.plugins.notified import TAKES_ALL


@pytest.fixture
def listening(deployed, monkeypatch):
    deployed.changed(TAKES_ALL)

    async def connection(conn_id):
        return Connection.from_json(os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"], conn_id=conn_id)

    monkeypatch.setattr(BaseHook, "aget_connection", connection)
    monkeypatch.setattr(inbox, "PAUSE_SECONDS", 0.02)
    deployed.trigger = InboxTrigger(profile="insurance", kinds=["payment", "registration"], seconds=0.02)
    return deployed


def put(merchant, kind, n):
    from include.domain.states import NotificationKind
    from include.ledger.inbox import Arrived, store

    with merchant.ledger.write() as connection:
        return store(connection, Arrived("insurance", NotificationKind(kind), str(n), b"{}", merchant.now))[0]


async def _none_comes(events, seconds=0.3):
    waited = asyncio.ensure_future(anext(events))
    done, _ = await asyncio.wait((waited,), timeout=seconds)
    assert not done
    return waited


def test_it_hints_once_at_what_is_new(listening):
    async def story():
        events = listening.trigger.run()
        waited = await _none_comes(events)
        put(listening, "report_ready", 0)  # not of its kinds
        first = put(listening, "payment", 1)
        assert (await asyncio.wait_for(waited, 20)).payload == {"profile": "insurance", "newest": first}
        waited = await _none_comes(events)
        second = put(listening, "registration", 2)
        assert (await asyncio.wait_for(waited, 20)).payload["newest"] == second
        await events.aclose()

    asyncio.run(story())


def test_it_goes_on_when_the_ledger_does_not_answer(listening, monkeypatch, caplog):
    good = os.environ["AIRFLOW_CONN_DOKU_LEDGER"]
    monkeypatch.setenv("AIRFLOW_CONN_DOKU_LEDGER", json.dumps({"conn_type": "sqlite", "host": "/nowhere/ledger.db"}))
    put(listening, "payment", 1)

    async def story():
        events = listening.trigger.run()
        waited = await _none_comes(events)
        monkeypatch.setenv("AIRFLOW_CONN_DOKU_LEDGER", good)
        assert (await asyncio.wait_for(waited, 20)).payload["newest"] == 1
        await events.aclose()

    asyncio.run(story())
    assert "cannot be looked into" in caplog.text


def test_it_can_be_sent_to_the_triggerer(listening):
    path, arguments = listening.trigger.serialize()
    assert path == "plugins.triggers.inbox.InboxTrigger"
    assert json.loads(json.dumps(arguments)) == arguments
    assert InboxTrigger(**arguments).serialize() == (path, arguments)


def test_the_assets_are_watched_where_notifications_are_taken(listening):
    (watcher,) = notified(listening.profile).watchers
    assert watcher.trigger.serialize()[1] == {
        "profile": "insurance", "kinds": ["payment", "registration", "card_update"], "seconds": 5
    }  # fmt: skip
    (watcher,) = report_told(listening.profile).watchers
    assert watcher.trigger.serialize()[1]["kinds"] == ["report_ready"]
    listening.changed({"notifications": {"enabled": False}})
    assert notified(listening.profile).watchers == []


def test_reconciliation_takes_the_hint_and_looks(listening, context):
    listening.list_charges(charge("C1", 100_000))
    listening.submit()
    body = json.dumps({"batch_file": {"name": "RPT_1.TXT", "status": "DONE"}}).encode()
    from include.domain.states import NotificationKind
    from include.ledger.inbox import Arrived, store

    with listening.ledger.write() as connection:
        store(connection, Arrived("insurance", NotificationKind.REPORT_READY, "d", body, listening.now))
    sensor = ReportsReadySensor(task_id="wait_for_reports", profile="insurance")
    before = listening.dump("notification")
    with pytest.raises(TaskDeferred):
        sensor.execute(context())
    assert [row["state"] for row in listening.sql("SELECT state FROM notification")] == ["done"]
    assert listening.dump("notification") == before


def test_a_hint_without_a_batch_is_no_work(listening, context):
    sensor = ReportsReadySensor(task_id="wait_for_reports", profile="insurance")
    put(listening, "payment", 1)
    with pytest.raises(AirflowSkipException):
        sensor.execute(context())


def test_reconcile_is_woken_by_either_hint_and_the_scheduler_understands_it(listening):
    from airflow.serialization.serialized_objects import DagSerialization

    from dags.doku_reconcile import reconcile_dag

    dag = reconcile_dag(listening.profile)
    told = DagSerialization.to_dict(dag)["dag"]["timetable"]
    described = json.dumps(told)
    assert "doku_delivered__insurance" in described
    assert "doku_report_told__insurance" in described
    watched = json.dumps(DagSerialization.to_dict(dag))
    assert "plugins.triggers.inbox.InboxTrigger" in watched
