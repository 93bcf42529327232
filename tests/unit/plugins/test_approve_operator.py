"""The task that asks: it goes on, waits for a person, and keeps in the ledger what the person said."""

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from plugins.operators.approve import APPROVE, REFUSE, ApproveOperator
from plugins.operators.deliver import DeliverOperator
from plugins.operators.extract_and_claim import ExtractAndClaimOperator
from plugins.operators.render_and_seal import RenderAndSealOperator
from tests.flows_harness import CUTOFF, TOKEN, charge

P = {"task_id": "t", "profile": "insurance"}


@pytest.fixture
def house(deployed, context, monkeypatch):
    """A run of three charges that a brake stops; `house.asks()` runs the task, `house.answers(...)` resumes it."""
    asked = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **details: asked.append(details)
    )
    deployed.changed({"brakes": {"max_count": 2}})
    deployed.list_charges(*(charge(f"C{n}", 100_000) for n in range(3)))
    deployed.asked, deployed.by, deployed.waiting = asked, None, {}

    def given():
        made = context()
        made["dag_run"].triggering_user_name = deployed.by
        made["task_instance"] = SimpleNamespace(id="a-task-instance")
        return made

    def begins(by=None):
        deployed.by = by
        (deployed.batch_id,) = ExtractAndClaimOperator(**P).execute(given())
        RenderAndSealOperator(**P, batch_id=deployed.batch_id).execute(given())

    def asks():
        with pytest.raises(TaskAwaitingInput) as waiting:
            ApproveOperator(**P).execute(given())
        deployed.waiting = waiting.value.kwargs
        return waiting.value.timeout

    def answers(option=APPROVE, name="ani", why="seen"):
        person = {"id": "7", "name": name} if name is not None else None
        event = {"chosen_options": [option], "params_input": {"why": why}, "responded_by_user": person}
        return ApproveOperator(**P).execute_complete(given(), event, **deployed.waiting)

    deployed.begins, deployed.asks, deployed.answers = begins, asks, answers
    deployed.resumes = lambda event: ApproveOperator(**P).execute_complete(given(), event, **deployed.waiting)
    deployed.runs_again = lambda: ApproveOperator(**P).execute(given())
    deployed.goes = lambda: DeliverOperator(**P, batch_id=deployed.batch_id).execute(given())
    return deployed


def _state(house) -> str:
    return house.batch(house.batch_id)["state"]


def test_a_run_without_a_brake_goes_on_at_once(house):
    house.changed({"brakes": {"max_count": 10}})
    house.begins()
    assert house.runs_again() == {"brakes": [], "count": 3}
    assert house.asked == []


def test_a_person_is_shown_the_figures_and_asked_until_the_cut_off(house):
    house.begins()
    assert house.asks() == CUTOFF - house.now
    (shown,) = house.asked
    assert shown["options"] == [APPROVE, REFUSE]
    assert shown["defaults"] == [REFUSE]
    assert "3 charges, Rp 300,000" in shown["subject"]
    assert "**too_many**: 3 charges, more than 2" in shown["body"]
    assert "2026-11-20 21:00 (Asia/Jakarta)" in shown["body"]
    assert TOKEN not in str(shown)
    assert _state(house) == "sealed"


def test_approved_it_is_sent(house):
    house.begins()
    house.asks()
    assert house.answers() == {"answer": "approved", "answered_by": "ani"}
    assert house.goes()["state"] == "delivered"
    (kept,) = house.sql("SELECT answer, answered_by, count, total, words FROM approval")
    assert kept == {"answer": "approved", "answered_by": "ani", "count": 3, "total": 300_000, "words": "seen"}


def test_cleared_after_an_approval_it_asks_nobody_again(house):
    house.begins()
    house.asks()
    house.answers()
    assert house.runs_again() == {"brakes": [], "count": 3}
    assert len(house.asked) == 1


def test_refused_it_is_withdrawn(house):
    house.begins()
    house.asks()
    assert house.answers(REFUSE, why="too many") == {"answer": "refused", "answered_by": "ani"}
    assert _state(house) == "withdrawn"
    assert house.goes()["state"] == "withdrawn"
    assert house.server.files("/inbound") == {}
    assert {one["status"] for one in house.told().values()} == {"withdrawn"}


def test_no_answer_in_time_is_a_refusal(house):
    """Airflow answers with the default and without a person."""
    house.begins()
    house.asks()
    house.now = CUTOFF
    ended = house.answers(REFUSE, name=None)
    assert ended["answer"] == "refused"
    assert ended["answered_by"] is None
    assert len(ended["withdrawn"]) == 1
    assert _state(house) == "withdrawn"
    assert house.sql("SELECT * FROM approval") == []  # nobody said anything


def test_an_error_while_it_waited_is_a_refusal(house):
    house.begins()
    house.asks()
    assert house.resumes({"error": "it broke", "error_type": "timeout"})["answer"] == "refused"
    assert _state(house) == "withdrawn"


def test_an_approval_without_a_person_is_none(house):
    """Whatever default somebody configures: without a name it is no approval."""
    house.begins()
    house.asks()
    assert house.answers(APPROVE, name=None)["answer"] == "refused"
    assert house.server.files("/inbound") == {}


def test_an_anonymous_user_never_approves(house):
    house.begins()
    house.asks()
    for name in ("Anonymous", "anonymous", " "):
        with pytest.raises(AirflowFailException, match="needs a name"):
            house.answers(name=name)
    assert _state(house) == "sealed"
    with pytest.raises(AirflowFailException, match="brake stopped this run"):
        house.goes()


def test_four_eyes(house):
    house.changed({"brakes": {"max_count": 2, "four_eyes": True}})
    house.begins(by="ani")
    house.asks()
    with pytest.raises(AirflowFailException, match="ani started this run"):
        house.answers(name="ani")
    with pytest.raises(AirflowFailException, match="brake stopped this run"):
        house.goes()
    house.asks()  # cleared, it asks again
    assert house.answers(name="budi")["answered_by"] == "budi"
    assert house.goes()["state"] == "delivered"


def test_four_eyes_on_schedule_anybody_named_may_approve(house):
    house.changed({"brakes": {"max_count": 2, "four_eyes": True}})
    house.begins()
    house.asks()
    assert house.answers()["answer"] == "approved"


def test_marked_as_success_by_hand_it_lets_nothing_through(house):
    house.begins()
    with pytest.raises(AirflowFailException, match="Nothing was sent"):
        house.goes()
    assert house.server.log == []
    assert house.told() == {}


def test_an_answer_that_was_given_on_the_command_line_is_found(house):
    from include.flows.approve import answer_run

    house.begins()
    house.asks()
    (run,) = house.sql("SELECT run_id FROM run")
    answer_run(house.context, run["run_id"], by="budi", approve=True, words="by telephone")
    assert house.runs_again()["count"] == 3
    assert len(house.asked) == 1
    assert house.answers(REFUSE) == {"answer": "approved", "answered_by": "budi"}  # the first one stands
