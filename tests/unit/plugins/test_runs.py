"""Which run of the ledger an Airflow run is: the same when cleared, another when something else is asked of it."""

from datetime import timedelta

import pytest

from include.domain.states import RunKind
from plugins.operators.extract_and_claim import ExtractAndClaimOperator
from plugins.operators.record import RecordOperator
from plugins.runs import ledger_run
from tests.flows_harness import BUSINESS_DATE, MORNING, charge

P = {"profile": "insurance", "task_id": "t"}
NAMED = {"send_past": {"2026-11-19": 50_000, "2026-11-20": 100_000}}


def _backfill(context, **params):
    return context(f"backfill__{MORNING.isoformat()}", "backfill", **params)


@pytest.fixture
def two_days(deployed):
    deployed.list_charges(charge("C1", 50_000, due_date="2026-11-19"), charge("C2", 100_000))
    deployed.later(days=3)
    return deployed


def test_a_backfill_that_reprocesses_its_runs_can_ask_for_more(two_days, context):
    """Airflow keeps the run's id and replaces its configuration: first shown, then sent, without a word lost."""
    shown = _backfill(context)
    assert ExtractAndClaimOperator(**P).execute(shown) == []
    held = RecordOperator(**P).execute(shown)["books"]["IDR held"]
    assert held == {"count": 2, "amount": 150_000}

    rehearsed = _backfill(context, **NAMED, dry_run=True)
    assert ExtractAndClaimOperator(**P).execute(rehearsed) == []

    asked = _backfill(context, **NAMED)
    (batch_id,) = ExtractAndClaimOperator(**P).execute(asked)
    assert two_days.batch(batch_id)["total_amount"] == 100_000
    assert two_days.invoices().keys() == {"C2"}, "the other one is 19 November's"
    assert ExtractAndClaimOperator(**P).execute(asked) == [batch_id]
    assert ExtractAndClaimOperator(**P).execute(shown) == []
    assert len(two_days.sql("SELECT * FROM run")) == 3


@pytest.mark.parametrize("key", ["2026-11-31", "20 Nov", ""])
def test_a_key_of_send_past_that_is_no_date_is_refused(two_days, context, key):
    from airflow.sdk.exceptions import AirflowFailException

    with pytest.raises(AirflowFailException, match=r"parameter send_past: '.*' is not a date"):
        ExtractAndClaimOperator(**P).execute(_backfill(context, send_past={key: 1}))


@pytest.mark.parametrize(("run_type", "who"), [("manual", "maker"), ("backfill", "maker"), ("scheduled", None)])
def test_whoever_started_it_is_known(deployed, context, run_type, who):
    """A backfill is started by a person too, who then may not approve it under four eyes."""
    from plugins.flow_context import flow_context_of

    made = context("run", run_type)
    made["dag_run"].triggering_user_name = who
    with flow_context_of("insurance") as flow:
        assert ledger_run(flow, RunKind.SUBMIT, made).started_by == who


def test_the_longest_run_id_of_airflow_fits(deployed, context):
    deployed.later(days=3)
    made = context("x" * 250, "backfill", **NAMED, dry_run=True)
    assert ExtractAndClaimOperator(**P).execute(made) == []
    (run,) = deployed.sql("SELECT business_date, external_id FROM run")
    assert run["business_date"] in (BUSINESS_DATE, BUSINESS_DATE.isoformat())
    assert len(run["external_id"]) <= 320


def test_a_run_keeps_its_day_and_terms_when_it_is_cleared(two_days, context):
    asked = _backfill(context, **NAMED)
    ExtractAndClaimOperator(**P).execute(asked)
    before = two_days.sql("SELECT * FROM run")
    two_days.now += timedelta(days=9)
    ExtractAndClaimOperator(**P).execute(asked)
    assert two_days.sql("SELECT * FROM run") == before
