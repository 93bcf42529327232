"""The connection type `doku`: Airflow finds it, its form names the fields, and its test harms nothing."""

import json
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from jsonschema import validate

from plugins.hooks.doku_hook import DokuHook
from tests.doku_simulator import HttpConfig, Simulator
from tests.doku_simulator.behaviour import Fault
from tests.flows_harness import Merchant

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def simulator(merchant: Merchant, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulator]:
    with merchant.doku(http=HttpConfig()) as simulator:
        told = simulator.describe()["http"]
        _connect(monkeypatch, told["url"], told["client_id"], told["secret_key"])
        yield simulator


def _connect(monkeypatch: pytest.MonkeyPatch, host: str, login: str, password: str, kind: str = "doku") -> None:
    connection = {"conn_type": kind, "host": host, "login": login, "password": password}
    monkeypatch.setenv("AIRFLOW_CONN_DOKU_API", json.dumps(connection))


def test_airflow_finds_the_provider_on_the_import_path() -> None:
    import airflow

    found = distribution("doku-account-billing")
    (entry,) = [one for one in found.entry_points if one.group == "apache_airflow_provider"]
    told = entry.load()()
    schema = Path(airflow.__file__).with_name("provider_info.schema.json")
    validate(told, json.loads(schema.read_text(encoding="utf-8")))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert (found.metadata["Name"], found.version) == (project["name"], project["version"]), "as pyproject.toml"
    assert told["package-name"] == project["name"]
    (kind,) = told["connection-types"]
    assert kind["connection-type"] == DokuHook.conn_type
    assert kind["hook-class-name"] == f"{DokuHook.__module__}.{DokuHook.__name__}"
    assert kind["hook-name"] == DokuHook.hook_name


def test_the_image_has_it() -> None:
    assert "COPY doku_account_billing.dist-info " in (PROJECT / "Dockerfile").read_text(encoding="utf-8")


def test_the_test_of_a_connection(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    good, words = DokuHook("doku_api").test_connection()
    assert good
    assert words.endswith("takes Client-Id and key.")
    told = simulator.describe()["http"]
    _connect(monkeypatch, told["url"], told["client_id"], "another key")
    good, words = DokuHook("doku_api").test_connection()
    assert not good
    assert "secret key" in words
    assert "another key" not in words
    assert {one["method"] for one in simulator.web.requests} == {"GET"}


def test_a_clock_that_is_wrong_is_said(simulator: Simulator) -> None:
    simulator.behave(faults=[Fault("clock_skew", params={"seconds": 400})])
    good, words = DokuHook("doku_api").test_connection()
    assert not good
    assert "This machine's clock is" in words


def test_a_connection_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    _connect(monkeypatch, "api-sandbox.doku.com", "MCH-1", "a secret key", "http")
    assert DokuHook("doku_api").test_connection() == (
        False,
        "connection doku_api: conn_type: is 'http'; DOKU's API needs a connection of type doku",
    )
    good, words = DokuHook("not_there").test_connection()
    assert not good
    assert "a secret key" not in words
