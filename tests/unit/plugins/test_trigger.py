"""Waiting for reports in the triggerer: one event, names of files that have stopped growing."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import BaseHook, Connection

from plugins.triggers import new_reports
from plugins.triggers.new_reports import NewReportsTrigger
from tests.flows_harness import charge, lost, refused

START = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def waiting(deployed, monkeypatch):
    """A merchant with a batch at DOKU and a quick profile; `waiting.event(seconds)` runs the trigger.

    A second passes at each look, however long the machine takes for one.
    """
    deployed.changed(
        {"schedule": {"report_poll_seconds": 0.02, "report_stable_seconds": 0.02, "report_wait_minutes": 0.1}}
    )
    deployed.list_charges(charge("C1", 100_000))
    deployed.submit()

    async def connection(conn_id):
        return Connection.from_json(__import__("os").environ[f"AIRFLOW_CONN_{conn_id.upper()}"], conn_id=conn_id)

    monkeypatch.setattr(BaseHook, "aget_connection", connection)

    async def first(trigger):
        return [event async for event in trigger.run()]

    class Clock(datetime):
        passed = 0

        @classmethod
        def now(cls, zone=None):
            cls.passed += 1
            return START.astimezone(zone) + timedelta(seconds=cls.passed)

    monkeypatch.setattr(new_reports, "datetime", Clock)

    def event(seconds: int):
        until = (START + timedelta(seconds=seconds)).isoformat()
        (found,) = asyncio.run(first(NewReportsTrigger(profile="insurance", until=until)))
        return found.payload

    deployed.event = event
    return deployed


def test_it_ends_when_the_time_is_over(waiting):
    assert waiting.event(1) == {"file_names": []}


def test_it_hands_on_the_names_of_what_has_stopped_growing(waiting):
    waiting.report(("A" * 20, 1, "0000"))
    assert waiting.event(20) == {"file_names": ["RPT_1.TXT"]}


def test_it_waits_for_what_is_still_growing(waiting):
    waiting.server.put("/outbound/RPT_1.TXT", b"x")
    grow = [
        lambda: waiting.server.put("/outbound/RPT_1.TXT", b"xx"),
        lambda: waiting.server.put("/outbound/RPT_2.TXT", b"y"),
    ]
    waiting.server.plan("list", match="/outbound", nth=1, after=grow[0])
    waiting.server.plan("list", match="/outbound", nth=2, after=grow[1])
    assert waiting.event(20) == {"file_names": ["RPT_1.TXT", "RPT_2.TXT"]}
    assert len(waiting.server.asked("list")) >= 4


def test_an_empty_file_is_not_handed_on(waiting):
    waiting.server.put("/outbound/RPT_EMPTY.TXT", b"")
    waiting.server.put("/outbound/RPT_1.TXT", b"x")
    assert waiting.event(3) == {"file_names": ["RPT_1.TXT"]}


def test_a_server_that_is_down_for_a_moment_is_asked_again(waiting):
    waiting.server.plan("list", match="/outbound", times=2, before=lost())
    waiting.report(("A" * 20, 1, "0000"))
    assert waiting.event(20) == {"file_names": ["RPT_1.TXT"]}


def test_a_server_that_stays_down_is_an_error_that_may_be_tried_again(waiting):
    waiting.server.plan("list", match="/outbound", times=10**6, before=lost())
    found = waiting.event(3)
    assert found["retryable"] is True
    assert "connection broke" in found["error"]


def test_a_refusal_is_an_error_for_a_person_at_once(waiting):
    waiting.server.plan("list", match="/outbound", before=refused("listing"))
    found = waiting.event(60)
    assert found == {"error": "The server refused listing.", "retryable": False}


def test_an_unexpected_error_shows_no_value(waiting):
    waiting.server.plan("list", match="/outbound", before=RuntimeError("tok_5ecret"))
    found = waiting.event(60)
    assert "tok_5ecret" not in str(found)
    assert "RuntimeError" in found["error"]


def test_it_comes_back_from_what_was_stored():
    path, arguments = NewReportsTrigger(profile="p", until="2026-11-20T00:00:00+00:00").serialize()
    assert path.rsplit(".", 1)[1] == "NewReportsTrigger"
    assert NewReportsTrigger(**arguments).serialize() == (path, arguments)
