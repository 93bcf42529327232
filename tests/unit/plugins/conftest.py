"""A merchant as Airflow's components see it: connections, folders and DOKU's server looked up, contexts made up."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from include.domain.connection import ConnectionSettings
from tests.flows_harness import MORNING, Merchant
from tests.stack.toml import changed
from tests.unit.plugins.notified import TAKES_ALL, Door


@pytest.fixture
def deployed(merchant: Merchant, monkeypatch: pytest.MonkeyPatch) -> Merchant:
    """The environment of a deployment; the SFTP server is the merchant's folder, the clock the merchant's."""
    described = merchant.ledger_settings
    values = {
        "DOKU_LEDGER": {"conn_type": described.conn_type, "host": described.host},
        "INSURANCE_BILLING": {"conn_type": "sqlite", "host": str(merchant.billing_file)},
        "INSURANCE_SFTP": {"conn_type": "sftp", "host": "doku.example", "login": "merchant", "password": "pa55"},
    }
    for name, value in values.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(value))
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(merchant.profile_file.parent))
    monkeypatch.setenv("DOKU_ARTEFACTS", merchant.artefacts.as_uri())
    monkeypatch.setattr("include.flows.assemble.connect", lambda settings: merchant.server.session())

    from include.flows import assemble

    given = assemble.flow_context
    monkeypatch.setattr(
        assemble,
        "flow_context",
        lambda profile, look_up, artefacts, clock=None: given(profile, look_up, artefacts, lambda: merchant.now),
    )
    return merchant


@pytest.fixture
def context() -> Callable[..., dict[str, Any]]:
    """Makes what Airflow hands to `execute`: `context("run id", business_date=...)`."""

    def make(run_id: str = "scheduled__1", run_type: str = "scheduled", **params: Any) -> dict[str, Any]:
        dag_run = SimpleNamespace(
            run_id=run_id, run_type=run_type, logical_date=MORNING, run_after=MORNING + timedelta(minutes=1), conf={},
            triggering_user_name=None,
        )  # fmt: skip
        known = {"business_date": None, "dry_run": False, "send_past": {}}
        return {"dag_run": dag_run, "params": {**known, **params}, "ti": SimpleNamespace(task_id="t", try_number=1)}

    return make


@pytest.fixture
def make_door(make_merchant: Callable[..., Merchant], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Door]]:
    """Makes doors for DOKU's notifications: `make_door(ledger=None, **changes of the profile)`."""
    made: list[Door] = []

    def make(ledger: ConnectionSettings | None = None, **changes: Any) -> Door:
        door = Door.of(make_merchant(ledger, changes=changed(TAKES_ALL, changes)))
        monkeypatch.setenv("DOKU_PROFILES_DIR", str(door.merchant.profile_file.parent))
        made.append(door)
        return door

    yield make
    for door in made:
        door.close()


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    """The notification paths of profile `insurance`, with an empty inbox in SQLite."""
    return make_door()
