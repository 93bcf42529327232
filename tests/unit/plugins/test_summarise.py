"""The task `summarise`: once for what changed, and only places in XCom."""

import json

from plugins.operators.summarise import SummariseOperator
from tests.flows_harness import TOKEN, charge

P = {"task_id": "t", "profile": "insurance"}


def test_a_page_is_kept_once_however_often_the_task_runs(deployed, context):
    deployed.list_charges(charge("C1"), charge("C2"))
    deployed.submit()
    deployed.report((deployed.invoices()["C1"], 150_000, "0000"))
    deployed.reconcile()
    first = SummariseOperator(**P).execute(context())
    assert list(first) == ["2026-11-20"]
    assert "/summaries/insurance/2026-11-20/summary." in first["2026-11-20"]
    assert SummariseOperator(**P).execute(context()) == {}
    assert SummariseOperator(**P).execute(context("scheduled__2")) == {}
    assert TOKEN not in json.dumps(first)


def test_the_books_are_closed_whether_or_not_a_summary_could_be_kept(deployed):
    """The two tasks do not wait for each other."""
    from dags.doku_reconcile import reconcile_dag

    dag = reconcile_dag(deployed.profile)
    assert dag.get_task("summarise").upstream_task_ids == {"write_back"}
    assert "summarise" not in dag.get_task("close_books").upstream_task_ids
