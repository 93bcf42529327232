"""The tasks of doku_tokens, and the command, against DOKU's simulator over a socket; no token shows anywhere."""

import json
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from upath import UPath

from include.billing.tokens_table import create_tokens_table
from include.cli import connection_from_environment, main
from plugins.operators.ask_for_tokens import AskForTokensOperator
from plugins.operators.list_token_customers import ListTokenCustomersOperator
from plugins.operators.settle_tokens import SettleTokensOperator
from plugins.operators.tell_tokens import TellTokensOperator
from tests.doku_simulator import HttpConfig

P = {"task_id": "t", "profile": "insurance"}
CUSTOMERS = tuple(f"K{number:02}" for number in range(12))


@pytest.fixture
def vault(deployed, monkeypatch):
    """A merchant that asks for tokens, and DOKU's own list of them."""
    with deployed.billing.begin() as connection:
        connection.execute(sa.text("CREATE TABLE customers (customer_id VARCHAR(60))"))
        connection.execute(sa.text("CREATE VIEW doku_token_customers AS SELECT * FROM customers"))
        connection.execute(sa.text("INSERT INTO customers VALUES (:id)"), [{"id": one} for one in (*CUSTOMERS, "")])
    create_tokens_table(deployed.billing)
    settings = {"lost_least": 1, "max_lost_share": 0.1}
    deployed.changed({"connections": {"doku": "doku_api"}, "http": {"requests_per_second": 1000}, "tokens": settings})
    with deployed.doku(http=HttpConfig()) as simulator:
        told = simulator.describe()["http"]
        described = {
            "conn_type": "doku", "host": told["url"], "login": told["client_id"], "password": told["secret_key"],
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_DOKU_API", json.dumps(described))
        yield simulator.web.vault


def _tasks(context: Any, run: str) -> dict[str, Any]:
    operators = (ListTokenCustomersOperator, AskForTokensOperator, SettleTokensOperator, TellTokensOperator)
    return {one.__name__: one(**P).execute(context(run)) for one in operators}


def _status(deployed: Any) -> list[str]:
    with deployed.billing.connect() as connection:
        return list(connection.scalars(sa.text("SELECT status FROM doku_tokens ORDER BY status")))


def test_a_run_of_all_tasks(deployed, vault, context):
    found = _tasks(context, "scheduled__1")
    given = [token["token"] for one in CUSTOMERS for token in vault.active(one)]
    assert found["ListTokenCustomersOperator"] == {"customers": 12, "unusable": 1, "contradictory": 0}
    assert found["AskForTokensOperator"] == {"answered": 12, "unanswered": 0}
    assert found["SettleTokensOperator"]["new"] == len(given) == found["TellTokensOperator"]["inserted"]
    assert not any(token in json.dumps(found) for token in given)
    (run,) = deployed.sql("SELECT kind, state FROM run")
    assert (run["kind"], run["state"]) == ("tokens", "closed")
    again = _tasks(context, "scheduled__1")  # cleared
    assert again["AskForTokensOperator"] == {"answered": 0, "unanswered": 0}
    assert again["TellTokensOperator"] == {"inserted": 0, "changed": 0, "same": 0}


def test_an_unusual_loss_waits_for_a_person_and_a_dead_server_for_itself(deployed, vault, context, monkeypatch, capsys):
    _tasks(context, "scheduled__1")
    with_one = [one for one in CUSTOMERS if vault.active(one)]
    for customer_id in with_one[:3]:
        vault.put(customer_id, [])
    deployed.later(hours=24)
    with pytest.raises(AirflowFailException, match=r"3 of \d+ customers .* accept-token-losses 3"):
        _tasks(context, "scheduled__2")
    assert set(_status(deployed)) == {"active"}
    by = ("--profile", "insurance", "--by", "ani", "--why", "DOKU's mail", "--apply")
    assert _cli("accept-token-losses", *by, "3") == 0
    assert "is accepted" in capsys.readouterr().out
    SettleTokensOperator(**P).execute(context("scheduled__2"))
    TellTokensOperator(**P).execute(context("scheduled__2"))
    assert _status(deployed).count("lost") >= 3

    monkeypatch.setenv("AIRFLOW_CONN_DOKU_API", json.dumps(
        {"conn_type": "doku", "host": "http://127.0.0.1:9", "login": "MCH", "password": "x"}))  # fmt: skip
    deployed.changed({"connections": {"doku": "doku_api"}, "http": {"tries": 1}, "tokens": {"stop_after": 2}})
    deployed.later(hours=24)
    with pytest.raises(AirflowException, match="in a row came to nothing") as raised:
        _tasks(context, "scheduled__3")
    assert type(raised.value) is AirflowException  # tried again by itself


def test_the_command_is_dry_unless_told_otherwise(deployed, vault, capsys):
    assert _cli("tokens", "--profile", "insurance") == 0
    assert "never asked for tokens" in capsys.readouterr().out
    assert _status(deployed) == []
    assert _cli("tokens", "--profile", "insurance", "--apply") == 0
    said = capsys.readouterr().out
    assert "12 customers listed, 12 answered about, 0 not" in said
    assert _status(deployed).count("active") == sum(len(vault.active(one)) for one in CUSTOMERS)
    customer = next(one for one in CUSTOMERS if vault.active(one))
    assert _cli("tokens", "--profile", "insurance", "--customer", customer) == 0
    shown = capsys.readouterr().out
    assert f"Customer {customer}: last answered about 2026-11-19" in shown
    assert vault.active(customer)[0]["token"] not in said + shown
    assert _cli("tokens", "--profile", "insurance", "--customer", "nobody") == 1


def _cli(*arguments: str) -> int:
    return main(arguments, connection_from_environment, UPath)
