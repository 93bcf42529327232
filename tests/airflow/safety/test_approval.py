"""A brake stops a run before delivery; only an answer that is in the ledger lets it go on, whatever Airflow shows."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.airflow.safety.house import House, anonymous_api, answer_with, is_forbidden, local_now, submit_of, until

pytestmark = [pytest.mark.airflow, pytest.mark.services, pytest.mark.story]

STOPPED = "A brake stopped this run before delivery ("


def _asked(house: House, name: str, by: str = "maker") -> tuple[str, str]:
    """Start a day by hand and wait until a person is asked."""
    dag_id = submit_of(name)
    run_id = house.start(name, by=by, business_date=house.today.isoformat())
    house.wait_for_question(dag_id, run_id)
    return dag_id, run_id


def _answers(house: House, name: str) -> list[tuple[str, str, int, int]]:
    found = house.rows(name, "select answer, answered_by, count, total from approval")
    return [tuple(row.values()) for row in found]


def _claimed(house: House, name: str) -> tuple[int, int]:
    (row,) = house.rows(name, "select count(*) as count, sum(amount) as total from attempt")
    return int(row["count"]), int(row["total"])


def test_marked_as_success_by_hand_it_sends_nothing_and_approved_it_sends_exactly_that(house: House):
    dag_id, run_id = _asked(house, "braked")
    count, total = _claimed(house, "braked")
    asked = house.question(dag_id, run_id)
    assert f"{count:,} charges" in asked["subject"]
    assert f"**too_many**: {count} charges of" not in asked["body"]
    assert "too_many" in asked["body"]
    assert "counts as refused" in asked["body"]

    house.mark(dag_id, run_id, "approve", "success", by="checker")
    house.finish(dag_id, run_id, "failed")
    said = house.said(dag_id, run_id, "deliver")
    assert STOPPED in said
    assert "Nothing was sent" in said
    assert "Claimed but not delivered" in house.said(dag_id, run_id, "record")
    assert house.at_the_server("braked") == {}
    assert _answers(house, "braked") == []

    house.answer(dag_id, run_id, "Approve", by="checker")  # Airflow takes it, but nothing waits for it any more
    house.clear(dag_id, run_id, "deliver", downstream=True)
    house.finish(dag_id, run_id, "failed")
    assert house.at_the_server("braked") == {}
    assert _answers(house, "braked") == []

    house.clear(dag_id, run_id, "approve", downstream=True)
    house.wait_for_question(dag_id, run_id)
    assert is_forbidden(lambda: house.answer(dag_id, run_id, "Approve", by="viewer"))
    house.answer(dag_id, run_id, "Approve", by="checker", why="month end")
    house.finish(dag_id, run_id)
    assert _answers(house, "braked") == [("approved", "checker", count, total)]
    assert house.client().xcoms(dag_id, run_id, "approve")["return_value"] == {
        "answer": "approved", "answered_by": "checker",
    }  # fmt: skip
    (batch,) = house.rows("braked", "select file_name, envelope_size, line_count, total_amount from batch")
    assert (batch["line_count"], batch["total_amount"]) == (count, total)
    assert house.at_the_server("braked") == {batch["file_name"]: batch["envelope_size"]}
    assert house.rows("braked", "select started_by from run") == [{"started_by": "maker"}]
    house.all_ties("braked")


def test_nobody_and_whoever_started_it_may_not_approve_and_a_refusal_withdraws(house: House):
    anonymous, server = anonymous_api(house)
    try:
        _four_eyes(house, anonymous)
    finally:
        server.stop()


def _four_eyes(house: House, anonymous: str) -> None:
    dag_id, run_id = _asked(house, "four_eyes")

    with httpx.Client(base_url=anonymous, timeout=30) as http:
        token = until(lambda: _anonymous_token(http), 240, lambda: "the second API server does not answer")

        class Nobody:
            def request(self, method: str, path: str, json: object) -> None:
                headers = {"Authorization": f"Bearer {token}"}
                http.request(method, f"/api/v2{path}", json=json, headers=headers).raise_for_status()

        answer_with(Nobody(), dag_id, run_id, "Approve", "why not")
    house.finish(dag_id, run_id, "failed")
    assert house.question(dag_id, run_id)["responded_by_user"]["name"] == "Anonymous"
    assert "an anonymous user never approves" in house.said(dag_id, run_id, "approve")

    house.clear(dag_id, run_id, "approve", downstream=True)
    house.wait_for_question(dag_id, run_id)
    house.answer(dag_id, run_id, "Approve", by="maker")
    house.finish(dag_id, run_id, "failed")
    assert "maker started this run and may not approve it" in house.said(dag_id, run_id, "approve")
    assert house.at_the_server("four_eyes") == {}
    assert _answers(house, "four_eyes") == []

    house.clear(dag_id, run_id, "approve", downstream=True)
    house.wait_for_question(dag_id, run_id)
    house.answer(dag_id, run_id, "Refuse", by="checker", why="not today")
    house.finish(dag_id, run_id)
    count, total = _claimed(house, "four_eyes")
    assert _answers(house, "four_eyes") == [("refused", "checker", count, total)]
    assert house.at_the_server("four_eyes") == {}
    books = house.books("four_eyes", house.today)
    assert books["withdrawn"]["count"] == books["sent"]["count"] == count
    house.all_ties("four_eyes")


def test_no_answer_before_the_cut_off_is_a_refusal(house: House):
    dag_id, run_id = _asked(house, "unanswered")
    (batch,) = house.rows("unanswered", "select execute_date from batch")
    # The cut-off comes sooner: asked again, the run waits no longer than until then.
    soon = local_now(ZoneInfo("Asia/Jakarta")) + timedelta(seconds=8)
    house.change("unanswered", {"batch": {"cutoff": soon.time().replace(microsecond=0)}})
    if str(batch["execute_date"]) != soon.date().isoformat():
        pytest.skip("the cut-off of today is over: the batch is for tomorrow")
    house.clear(dag_id, run_id, "approve", downstream=True)
    house.finish(dag_id, run_id)
    assert house.question(dag_id, run_id)["responded_by_user"] is None
    answered = house.client().xcoms(dag_id, run_id, "approve")["return_value"]
    assert answered["answer"] == "refused"
    assert answered["answered_by"] is None
    assert house.at_the_server("unanswered") == {}
    assert {row["state"] for row in house.rows("unanswered", "select state from batch")} == {"withdrawn"}
    assert _answers(house, "unanswered") == []
    house.all_ties("unanswered")


def _anonymous_token(http: httpx.Client) -> str | None:
    try:
        return str(http.get("/auth/token").json()["access_token"])
    except (httpx.HTTPError, ValueError, KeyError):
        return None
