"""A date that is over sends nothing by accident; asked in words it sends exactly what was shown."""

import json
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.airflow.safety.conftest import DAYS
from tests.airflow.safety.house import House, days_before, rows_of, submit_of, until, write_to
from tests.stack import by_flows

pytestmark = [pytest.mark.airflow, pytest.mark.services, pytest.mark.story]

JAKARTA = ZoneInfo("Asia/Jakarta")


def _spread_over(house: House, days: list[date]) -> None:
    """Some charges for each of these days; half of all charges are entered only after today's run."""
    billing = house.scenes["past"].billing
    ids = [row["premium_id"] for row in rows_of(billing, "select premium_id from insurer_premiums order by premium_id")]
    for number, premium in enumerate(ids):
        due, off = days[number // 2 % len(days)].isoformat(), None if number % 2 else "2026-01-01"
        statement = "update insurer_premiums set due_date = :due, cancelled_on = :off where premium_id = :id"
        write_to(billing, statement, id=premium, due=due, off=off)


def _backfill(house: House, days: list[date], **conf: Any) -> None:
    """A backfill as a person asks for it, ten dates at once, and wait for its end."""
    client, dag_id = house.client(), submit_of("past")
    body = {
        "dag_id": dag_id, "dag_run_conf": conf, "reprocess_behavior": "completed",
        "from_date": datetime.combine(days[0], time.min, JAKARTA).isoformat(),
        "to_date": datetime.combine(days[-1], time(23, 59), JAKARTA).isoformat(),
    }  # fmt: skip
    number = client.request("POST", "/backfills", json=body)["id"]

    def ended() -> bool:
        runs = [run for run in client.runs(dag_id) if run["run_type"] == "backfill"]
        return len(runs) == len(days) and all(run["state"] in ("success", "failed") for run in runs)

    until(ended, 300 + 30 * len(days), lambda: f"not ended: {client.runs(dag_id)}")
    for run in client.runs(dag_id):
        assert run["state"] == "success", client.failures(dag_id, run["dag_run_id"])
    # Airflow itself notes that it has ended in a sweep every 30 s; until then it takes no other.
    client.request("PUT", f"/backfills/{number}/cancel")


def test_a_backfill_shows_and_sends_what_plan_shows(house: House):
    days, scene, client = days_before(house.today, DAYS), house.scenes["past"], house.client()
    _spread_over(house, days)
    # A ledger with history: today's runs, the second one by the schedule, have sent all that was listed then.
    by_flows.submit(scene)
    client.unpause(submit_of("past"))
    (scheduled,) = until(lambda: client.runs(submit_of("past")), 240, lambda: "no scheduled run")
    house.finish(submit_of("past"), scheduled["dag_run_id"])
    found = house.rows("past", "select business_date, started_by from run where external_id = :id",
                       id=scheduled["dag_run_id"])  # fmt: skip
    assert found == [{"business_date": house.today.isoformat(), "started_by": None}]
    write_to(scene.billing, "update insurer_premiums set cancelled_on = null")
    sent = house.at_the_server("past")
    assert len(sent) == 1

    span = ("--from", days[0].isoformat(), "--to", days[-1].isoformat())
    shown = json.loads(scene.command("plan", "--profile", "past", *span, "--json"))
    assert sorted(shown) == [day.isoformat() for day in days]

    _backfill(house, days)
    assert house.at_the_server("past") == sent
    due = 0
    for day in days:
        due += shown[day.isoformat()]
        held = house.books("past", day)["held"]["by_reason"]
        assert held["past_date"]["amount"] == due, "shown is all that is due by then and not in flight"

    _backfill(house, days, send_past=shown)
    by_date = house.rows("past", "select business_date, sum(total_amount) as total from batch where run_id in"
                         " (select run_id from run where past = 1) group by business_date")  # fmt: skip
    assert {str(row["business_date"]): row["total"] for row in by_date} == shown
    assert house.rows("past", "select charge_id from attempt group by charge_id having count(*) > 1") == []
    assert len(house.at_the_server("past")) == 1 + len(days)
    house.all_ties("past")
