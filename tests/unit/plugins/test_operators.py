"""The operators, one after the other, over a whole day: what they return goes to XCom, so ids, counts and digests."""

import json

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from plugins.operators.close_books import CloseBooksOperator
from plugins.operators.deliver import DeliverOperator
from plugins.operators.extract_and_claim import ExtractAndClaimOperator
from plugins.operators.fetch_reports import FetchReportsOperator
from plugins.operators.ingest_reports import IngestReportsOperator
from plugins.operators.profile_error import ProfileErrorOperator
from plugins.operators.reconcile import ReconcileOperator
from plugins.operators.record import RecordOperator
from plugins.operators.render_and_seal import RenderAndSealOperator
from plugins.operators.write_back import WriteBackOperator
from plugins.sensors.reports_ready import ReportsReadySensor
from tests.flows_harness import TOKEN, charge, lost, refused

P = {"task_id": "t", "profile": "insurance"}


def _submit(context, run="scheduled__1"):
    """All tasks of submit; what each left in XCom."""
    found = {"claim": ExtractAndClaimOperator(**P).execute(context(run))}
    for batch_id in found["claim"]:
        found["seal"] = RenderAndSealOperator(**P, batch_id=batch_id).execute(context(run))
        found["deliver"] = DeliverOperator(**P, batch_id=str(batch_id)).execute(context(run))
    return {**found, "record": RecordOperator(**P).execute(context(run))}


def _reconcile(context, names, run="asset_triggered__1"):
    """All tasks of reconcile behind the sensor."""
    found = {"fetch": FetchReportsOperator(**P, file_names=names).execute(context(run))}
    found["ingest"] = IngestReportsOperator(**P).execute(context(run))
    found["reconcile"] = ReconcileOperator(**P).execute(context(run))
    found["write_back"] = WriteBackOperator(**P).execute(context(run))
    return {**found, "close": CloseBooksOperator(**P, ingested=found["ingest"]).execute(context(run))}


def test_a_day(deployed, context):
    deployed.list_charges(charge("C1", 100_000), charge("C2", 250_000), charge("BAD", token=None))
    submitted = _submit(context)
    assert submitted["claim"] == [1]
    assert (submitted["seal"]["count"], submitted["seal"]["total"]) == (2, 350_000)
    assert submitted["deliver"]["state"] == "delivered"
    assert submitted["record"]["business_date"] == "2026-11-20"
    assert submitted["record"]["books"]["IDR sent"] == {"count": 2, "amount": 350_000}

    numbers = deployed.invoices()
    name = deployed.report((numbers["C1"], 100_000, "0000"), (numbers["C2"], 250_000, "0051"))
    reconciled = _reconcile(context, [name])
    assert reconciled["ingest"] == {"taken_in": {name: {"answer": 2}}, "refused": []}
    assert reconciled["reconcile"] == {"reconciled": ["TKN_MCH0001_20261120_0001.TXT"], "waiting": []}
    assert reconciled["write_back"]["changed"] == 2
    assert {key: one["status"] for key, one in deployed.told().items()} == {("C1", 1): "paid", ("C2", 1): "declined"}

    in_xcom = json.dumps([submitted, reconciled], default=str)
    for secret in (TOKEN, "K-C1", "pa55", *numbers.values()):
        assert secret not in in_xcom
    json.dumps([submitted, reconciled])  # plain values only


def test_cleared_tasks_change_nothing(deployed, context):
    deployed.list_charges(charge("C1"))
    first = _submit(context)
    before = deployed.dump("run", "run_balance")
    deployed.later(hours=3)
    assert _submit(context) == first
    assert deployed.dump("run", "run_balance") == before


def test_a_task_that_is_cleared_days_later_works_for_the_same_day(deployed, context):
    deployed.list_charges(charge("C1"))
    ExtractAndClaimOperator(**P).execute(context())
    deployed.later(days=3)
    assert RecordOperator  # the run stays what it was, although its day is over
    (run,) = deployed.sql("SELECT business_date, past FROM run")
    ExtractAndClaimOperator(**P).execute(context())
    assert deployed.sql("SELECT business_date, past FROM run") == [run]


def test_errors_in_words(deployed, context, caplog):
    deployed.list_charges(charge("C1"))
    (batch_id,) = ExtractAndClaimOperator(**P).execute(context())
    with pytest.raises(AirflowFailException, match="not sealed yet"):
        DeliverOperator(**P, batch_id=batch_id).execute(context())
    RenderAndSealOperator(**P, batch_id=batch_id).execute(context())
    deployed.server.plan("write", before=lost())
    with pytest.raises(AirflowException, match="connection broke") as caught:
        DeliverOperator(**P, batch_id=batch_id).execute(context())
    assert not isinstance(caught.value, AirflowFailException)  # tried again by Airflow
    deployed.server.plan("write", before=refused("permission"))
    with pytest.raises(AirflowFailException, match="permission"):
        DeliverOperator(**P, batch_id=batch_id).execute(context())
    with pytest.raises(AirflowFailException, match="not delivered"):
        RecordOperator(**P).execute(context())
    deployed.server.plan("rename", after=lost())
    with pytest.raises(AirflowFailException, match="not sent again"):
        DeliverOperator(**P, batch_id=batch_id).execute(context())
    assert DeliverOperator(**P, batch_id=batch_id).execute(context())["state"] == "delivered"


@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("AIRFLOW_CONN_DOKU_LEDGER", "connection doku_ledger"),
        ("AIRFLOW_CONN_INSURANCE_BILLING", "connection insurance_billing"),
        ("DOKU_ARTEFACTS", "DOKU_ARTEFACTS"),
    ],
)
def test_what_is_missing_is_named(deployed, context, monkeypatch, variable, words):
    monkeypatch.delenv(variable)
    with pytest.raises(AirflowFailException, match=words):
        ExtractAndClaimOperator(**P).execute(context())


def test_a_profile_that_is_not_there(deployed, context):
    with pytest.raises(AirflowFailException, match="profiles there: insurance"):
        ExtractAndClaimOperator(task_id="t", profile="donation").execute(context())


def test_a_secret_in_an_unexpected_error_never_passes(deployed, context, monkeypatch, caplog):
    deployed.list_charges(charge("C1"))

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"row {TOKEN}")

    monkeypatch.setattr("include.flows.submit.extract_and_claim", broken)
    with pytest.raises(AirflowException) as caught:
        ExtractAndClaimOperator(**P).execute(context())
    assert "RuntimeError" in str(caught.value)
    assert TOKEN not in str(caught.value) + caplog.text


def test_a_refused_report_fails_the_last_task_when_everything_else_is_done(deployed, context):
    deployed.list_charges(charge("C1", 100_000))
    _submit(context)
    deployed.server.put("/outbound/RPT_0.TXT", b"nonsense")
    name = deployed.report((deployed.invoices()["C1"], 100_000, "0000"))
    with pytest.raises(AirflowFailException, match=r"Refused: RPT_0\.TXT"):
        _reconcile(context, ["RPT_0.TXT", name])
    assert deployed.told()["C1", 1]["status"] == "paid"
    assert deployed.batch(1)["state"] == "reconciled"


@pytest.mark.parametrize("file_names", [None, []])
def test_nothing_to_fetch(deployed, context, file_names):
    assert FetchReportsOperator(**P, file_names=file_names).execute(context()) == []


def test_a_broken_profile_fails_with_its_sentence(context):
    with pytest.raises(AirflowFailException, match=r"^x\.toml: key: reason$"):
        ProfileErrorOperator(task_id="t", problem="x.toml: key: reason").execute(context())


# --- business dates and parameters ---


@pytest.mark.parametrize(
    ("run_type", "params", "day"),
    [
        ("scheduled", {}, "2026-11-20"),
        ("scheduled", {"business_date": "2026-11-01"}, "2026-11-20"),
        ("backfill", {"business_date": "2026-11-01"}, "2026-11-20"),
        ("manual", {}, "2026-11-20"),
        ("manual", {"business_date": "2026-11-21"}, "2026-11-21"),
        ("DagRunType.MANUAL", {"business_date": "2026-11-21"}, "2026-11-21"),
    ],
)
def test_the_business_date_of_a_run(deployed, context, run_type, params, day):
    """06:00 in Jakarta on the 20th is 23:00 UTC on the 19th: Airflow's own day would be wrong."""
    ExtractAndClaimOperator(**P).execute(context(run_type=run_type, **params))
    assert [str(run["business_date"]) for run in deployed.sql("SELECT business_date FROM run")] == [day]


def test_a_run_without_a_logical_date(deployed, context):
    made = context(run_type="asset_triggered")
    made["dag_run"].logical_date = None
    ReconcileOperator(**P).execute(made)
    assert [str(run["business_date"]) for run in deployed.sql("SELECT business_date FROM run")] == ["2026-11-20"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"business_date": "tomorrow"}, "parameter business_date"),
        ({"business_date": "2026-11-19", "send_past": {"2026-11-19": "much"}}, "parameter send_past"),
        ({"business_date": "2026-11-19", "send_past": {"2026-11-19": 0.5}}, "parameter send_past"),
        ({"business_date": "2026-11-19", "send_past": {"2026-11-19": True}}, "parameter send_past"),
    ],
)
def test_a_parameter_that_makes_no_sense(deployed, context, params, words):
    with pytest.raises(AirflowFailException, match=words):
        ExtractAndClaimOperator(**P).execute(context(run_type="manual", **params))


@pytest.mark.parametrize(
    ("send_past", "sent"),
    [({}, 0), ({"2026-11-18": 150_000}, 0), ({"2026-11-19": 149_999}, 0), ({"2026-11-19": 150_000}, 1),
     ({"2026-11-19": "150000.00"}, 1)],
)  # fmt: skip
def test_a_past_date_sends_only_what_was_asked_in_words(deployed, context, send_past, sent):
    deployed.list_charges(charge("C1", 150_000, due_date="2026-11-19"))
    made = context(run_type="manual", business_date="2026-11-19", send_past=send_past)
    assert len(ExtractAndClaimOperator(**P).execute(made)) == sent


def test_a_dry_run_sends_nothing(deployed, context):
    deployed.list_charges(charge("C1"))
    made = context(run_type="manual", dry_run=True)
    assert ExtractAndClaimOperator(**P).execute(made) == []
    books = RecordOperator(**P).execute(made)["books"]
    assert books["IDR held"] == {"count": 1, "amount": 150_000}
    assert deployed.told() == {}


# --- the sensor ---


@pytest.fixture
def sensor():
    return ReportsReadySensor(**P)


def test_nothing_open_and_nothing_new_is_a_skip(deployed, context, sensor):
    with pytest.raises(AirflowSkipException, match="Nothing yet"):
        sensor.execute(context())


def test_an_open_batch_is_waited_for_without_a_worker(deployed, context, sensor):
    deployed.list_charges(charge("C1"))
    _submit(context)
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(context())
    path, arguments = deferred.value.trigger.serialize()
    assert path == "plugins.triggers.new_reports.NewReportsTrigger"
    assert set(arguments) == {"profile", "until"}
    assert deferred.value.method_name == "execute_complete"
    assert deferred.value.timeout is not None


def test_work_that_waits_for_no_report_goes_on_at_once(deployed, context, sensor):
    deployed.list_charges(charge("C1", 100_000))
    _submit(context)
    name = deployed.report((deployed.invoices()["C1"], 100_000, "0000"))
    FetchReportsOperator(**P, file_names=[name]).execute(context())
    assert sensor.execute(context()) == []


def test_a_server_that_is_down_is_said_in_words(deployed, context, sensor):
    deployed.server.plan("connect", before=lost())
    with pytest.raises(AirflowException, match="connection broke"):
        sensor.execute(context())


def test_what_the_trigger_says(sensor):
    assert sensor.execute_complete({}, {"file_names": ["RPT_1.TXT"]}) == ["RPT_1.TXT"]
    with pytest.raises(AirflowSkipException):
        sensor.execute_complete({}, {"file_names": []})
    with pytest.raises(AirflowFailException, match="words"):
        sensor.execute_complete({}, {"error": "words", "retryable": False})
    with pytest.raises(AirflowException, match="words") as caught:
        sensor.execute_complete({}, {"error": "words", "retryable": True})
    assert not isinstance(caught.value, AirflowFailException)
