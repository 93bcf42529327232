"""doku_operate: what a form asks for is shown, and done once, in the name of who triggered the run."""

import json
from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.domain.operations import OPERATIONS
from plugins.asked import params
from plugins.operators.carry_out import CarryOutOperator
from plugins.operators.show_operation import ShowOperationOperator
from tests.flows_harness import TOKEN, charge

P = {"task_id": "t", "profile": "insurance"}


@pytest.fixture
def form(context):
    """`form(by, operation=..., ...)`: what Airflow hands to the tasks of a run that somebody triggered."""

    def fill(by: str | None = "ani", **asked):
        made = context("manual__1", "manual")
        empty = {name: None for name in params() if name not in ("operation", "why", "dry_run")}
        given = {**empty, "why": "a test", "dry_run": True, **asked}
        dag_run = SimpleNamespace(
            **{**vars(made["dag_run"]), "triggering_user_name": by, "dag_id": "doku_operate__insurance"}
        )
        return {**made, "params": given, "dag_run": dag_run}

    return fill


def _run(form):
    shown = ShowOperationOperator(**P).execute(form)
    return shown, CarryOutOperator(**P, shown=shown).execute(form)


def test_the_form_has_a_typed_field_for_everything(deployed):
    made = params()
    assert made["dry_run"].value is True
    assert made["operation"].schema["enum"] == list(OPERATIONS)
    for one in OPERATIONS.values():
        for field in one.fields:
            schema = made[field.name].schema
            assert schema["type"][0] == "null"
            assert schema["type"][1] == {"text": "string", "integer": "integer"}[field.kind]
            assert one.name in made[field.name].description


def test_a_dry_run_shows_and_does_nothing(deployed, form, monkeypatch):
    said = []
    log = SimpleNamespace(info=lambda words, *values: said.append(words % values), warning=print)
    monkeypatch.setattr(ShowOperationOperator, "log", log)
    deployed.list_charges(charge("C1"), charge("C2"))
    before = deployed.dump()
    asked = form(operation="cancel", charge_id="C1")
    with pytest.raises(AirflowSkipException, match="dry run"):
        _run(asked)
    assert "Charge C1 is cancelled" in said[0]
    assert "  cancel: C1" in said
    assert deployed.dump() == before


def test_it_is_done_once_and_in_the_name_of_who_triggered_it(deployed, form):
    deployed.list_charges(charge("C1"), charge("C2"))
    asked = form(operation="cancel", charge_id="C1", dry_run=False)
    shown, done = _run(asked)
    assert (len(shown), done) == (64, {"operation": "cancel"})
    (row,) = deployed.sql("SELECT charge_id, closed_by, words FROM closed_charge")
    assert row == {"charge_id": "C1", "closed_by": "ani", "words": "a test"}
    before = deployed.dump()
    assert CarryOutOperator(**P, shown=shown).execute(asked) == done  # cleared
    assert deployed.dump() == before
    in_xcom = json.dumps([shown, done])
    assert "C1" not in in_xcom
    assert TOKEN not in in_xcom


@pytest.mark.parametrize("by", [None, "", "Anonymous"])
def test_nobody_in_particular_is_refused(deployed, form, by):
    deployed.list_charges(charge("C1"))
    with pytest.raises(AirflowFailException, match="name of a person"):
        ShowOperationOperator(**P).execute(form(by, operation="cancel", charge_id="C1", dry_run=False))
    assert deployed.sql("SELECT * FROM closed_charge") == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"operation": "cancel"}, "needs charge_id"),
        ({"operation": "cancel", "charge_id": "C1", "file_name": "X"}, "takes no file_name"),
        ({"operation": "destroy"}, "'destroy' is none of"),
        ({"operation": "cancel", "charge_id": "C1", "why": ""}, "reason in words"),
    ],
)
def test_a_form_that_makes_no_sense_says_so(deployed, form, asked, words):
    with pytest.raises(AirflowFailException, match=words):
        ShowOperationOperator(**P).execute(form(**asked))


def test_what_changed_since_it_was_shown_is_not_done(deployed, form):
    deployed.list_charges(charge("C1"))
    asked = form(operation="hold", scope="charge", subject="C1", dry_run=False)
    shown = ShowOperationOperator(**P).execute(asked)
    ours = form("budi", operation="hold", scope="charge", subject="C1", dry_run=False)
    ours["dag_run"].run_id = "manual__2"
    _run(ours)
    with pytest.raises(AirflowFailException, match="has changed since it was shown"):
        CarryOutOperator(**P, shown=shown).execute(asked)
    assert [row["placed_by"] for row in deployed.sql("SELECT placed_by FROM hold")] == ["budi"]
