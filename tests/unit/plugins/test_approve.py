"""What a person answers is kept for exactly what the person was shown."""

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput

from include.flows.decisions import withdraw
from plugins.operators.approve import ApproveOperator
from plugins.operators.deliver import DeliverOperator
from plugins.operators.extract_and_claim import ExtractAndClaimOperator
from plugins.operators.render_and_seal import RenderAndSealOperator
from tests.flows_harness import charge

P = {"profile": "insurance", "task_id": "t"}


def _asked(deployed, context, monkeypatch):
    """A run of two batches that waits for a person; its batches, the operator, and what it keeps while it waits."""
    deployed.changed({"brakes": {"max_count": 1}, "limits": {"max_rows_per_batch": 1}})
    deployed.list_charges(charge("C1"), charge("C2"))
    batch_ids = ExtractAndClaimOperator(**P).execute(context())
    for batch_id in batch_ids:
        RenderAndSealOperator(**P, batch_id=batch_id).execute(context())
    questions = []
    monkeypatch.setattr(
        "airflow.providers.standard.operators.hitl.upsert_hitl_detail", lambda **asked: questions.append(asked)
    )
    operator = ApproveOperator(**P)
    made = context()
    made["task_instance"] = type("TaskInstance", (), {"id": "1"})()
    with pytest.raises(TaskAwaitingInput) as waiting:
        operator.execute(made)
    (question,) = questions
    assert "2026-11-20: 2 charges, Rp 300,000" in question["subject"]
    assert "too_many" in question["body"]
    return batch_ids, operator, waiting.value.kwargs


def _event(option="Approve", who="checker"):
    person = {"id": who, "name": who} if who else None
    return {"chosen_options": [option], "params_input": {"why": "fine"}, "responded_by_user": person}


def test_what_was_shown_is_approved_and_sent(deployed, context, monkeypatch):
    batch_ids, operator, kept = _asked(deployed, context, monkeypatch)
    answer = operator.execute_complete(context(), _event(), **kept)
    assert answer == {"answer": "approved", "answered_by": "checker"}
    for batch_id in batch_ids:
        assert DeliverOperator(**P, batch_id=batch_id).execute(context())["state"] == "delivered"


def test_what_changed_since_it_was_shown_is_not_approved(deployed, context, monkeypatch):
    batch_ids, operator, kept = _asked(deployed, context, monkeypatch)
    name = deployed.batch(batch_ids[0])["file_name"]
    withdraw(deployed.context, file_name=name, by="somebody", why="wrong")
    with pytest.raises(AirflowFailException, match=r"has changed since checker was asked \(1 charges, Rp 150,000"):
        operator.execute_complete(context(), _event(), **kept)
    assert deployed.sql("SELECT * FROM approval") == []
    assert operator.execute_complete(context(), _event("Refuse"), **kept)["answer"] == "refused"
    assert {deployed.batch(one)["state"] for one in batch_ids} == {"withdrawn"}


@pytest.mark.parametrize("who", ["", "Anonymous", " anonymous "])
def test_nobody_in_particular_approves(deployed, context, monkeypatch, who):
    _, operator, kept = _asked(deployed, context, monkeypatch)
    event = {**_event(), "responded_by_user": {"id": who, "name": who}}
    with pytest.raises(AirflowFailException, match="an anonymous user never approves"):
        operator.execute_complete(context(), event, **kept)


def test_no_answer_in_time_withdraws(deployed, context, monkeypatch):
    batch_ids, operator, kept = _asked(deployed, context, monkeypatch)
    answer = operator.execute_complete(context(), _event("Refuse", who=None), **kept)
    assert (answer["answer"], len(answer["withdrawn"])) == ("refused", 2)
    assert {deployed.batch(one)["state"] for one in batch_ids} == {"withdrawn"}
