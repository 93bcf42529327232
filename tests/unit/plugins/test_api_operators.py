"""Telling and asking DOKU by operators and by hand, over a socket; what goes wrong harms nothing."""

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from include.cli import main
from include.domain.connection import ConnectionSettings
from plugins.operators.ask_status import AskStatusOperator
from plugins.operators.deliver import DeliverOperator
from plugins.operators.notify import NotifyOperator
from tests.doku_simulator import HttpConfig, Simulator
from tests.doku_simulator.behaviour import Fault
from tests.flows_harness import Merchant, charge

P = {"task_id": "t", "profile": "insurance"}

Context = Callable[..., dict[str, Any]]


@pytest.fixture
def merchant(make_merchant: Callable[..., Merchant]) -> Merchant:
    http = {"notify_after_delivery": True, "ask_status": True, "tries": 1}
    return make_merchant(changes={"connections": {"doku": "doku_api"}, "http": http})


@pytest.fixture
def doku(deployed: Merchant, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with deployed.doku(http=HttpConfig(), clock=lambda: deployed.now.timestamp()) as simulator:
        told = simulator.describe()["http"]
        connection = {
            "conn_type": "doku", "host": told["url"], "login": told["client_id"], "password": told["secret_key"],
        }  # fmt: skip
        monkeypatch.setenv("AIRFLOW_CONN_DOKU_API", json.dumps(connection))
        yield simulator


def tried(context: Context, nth: int) -> dict[str, Any]:
    return {**context(), "ti": SimpleNamespace(task_id="t", try_number=nth, max_tries=3)}


def test_telling_is_tried_again_and_then_skipped(deployed: Merchant, doku: Simulator, context: Context) -> None:
    deployed.list_charges(charge("A"))
    _, (batch_id,) = deployed.seal("scheduled__1")
    assert DeliverOperator(**P, batch_id=batch_id).execute(context())["state"] == "delivered"
    doku.behave(faults=[Fault("api_error", times=2)])
    with pytest.raises(AirflowException, match="out of order") as caught:
        NotifyOperator(**P).execute(tried(context, 3))
    assert not isinstance(caught.value, AirflowSkipException)
    with pytest.raises(AirflowSkipException, match="The files are delivered all the same"):
        NotifyOperator(**P).execute(tried(context, 4))
    name = deployed.batch(batch_id)["file_name"]
    assert NotifyOperator(**P).execute(tried(context, 1)) == {"told": [name]}
    assert NotifyOperator(**P).execute(tried(context, 1)) == {"told": []}


def unknown(merchant: Merchant) -> str:
    merchant.list_charges(charge("A"))
    merchant.submit()
    number = merchant.invoices()["A"]
    merchant.report((number, 150_000, "0068"))
    merchant.reconcile()
    merchant.later(days=1)
    return number


def test_asking_by_the_operator(deployed: Merchant, doku: Simulator, context: Context) -> None:
    unknown(deployed)
    assert AskStatusOperator(**P).execute(context()) == {"asked": 1}
    assert deployed.sql("SELECT http_status FROM status_question") == [{"http_status": 404}]
    assert AskStatusOperator(**P).execute(context()) == {"asked": 0}
    deployed.later(days=1)
    doku.behave(faults=[Fault("api_cut")])
    assert AskStatusOperator(**P).execute(context()) == {"asked": 1}


def test_asking_by_hand(
    deployed: Merchant, doku: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = doku.describe()["http"]
    known = {
        "doku_ledger": deployed.ledger_settings,
        "insurance_billing": deployed.billing_settings,
        "doku_api": ConnectionSettings(
            "doku_api", "doku", host=told["url"], login=told["client_id"], password=told["secret_key"]
        ),
    }

    def cli(*words: str) -> tuple[int, str]:
        code = main(["ask-status", "--profile", "insurance", *words], known.__getitem__)
        caught = capsys.readouterr()
        return code, caught.out + caught.err

    deployed.list_charges(charge("A", 158_136), charge("B", 258_136), charge("C", 358_136), charge("D", 458_136))
    deployed.submit()
    doku.process_once()
    deployed.reconcile()
    deployed.later(days=1)
    (numbers := sorted(row["invoice_number"] for row in deployed.sql("SELECT * FROM outcome WHERE status = 'unknown'")))
    before = deployed.dump()
    code, said = cli()
    assert (code, f"DOKU would be asked about {len(numbers)} attempts; run again with --apply" in said) == (0, True)
    code, said = cli("--invoice", numbers[0])
    assert (code, said.startswith(f"DOKU says of {numbers[0]}: ")) == (0, True)
    assert deployed.dump() == before
    moved = {record["invoice_number"] for record in doku.charged} & set(numbers)
    assert moved
    code, said = cli("--apply")
    assert (code, f"DOKU was asked about {len(numbers)} attempts." in said) == (0, True)
    paid = {row["invoice_number"] for row in deployed.sql("SELECT * FROM outcome WHERE witness = 'status'")}
    assert paid == moved
    assert {one["status"] for one in deployed.told().values() if one["invoice_number"] in moved} == {"paid"}
    code, said = cli("--invoice", "X")
    assert (code, "has no attempt" in said) == (1, True)
