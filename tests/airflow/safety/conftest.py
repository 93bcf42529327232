"""One Airflow for all proofs that money is safe; the merchants live in it side by side."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.airflow.safety.house import PEOPLE, House, away_from_utc
from tests.airflow.safety.refusals import BROKEN, break_in
from tests.stack.airflow import AirflowStack
from tests.stack.databases import Database
from tests.stack.simulator import simulator

ALL = os.environ.get("SWEEP") == "all"
"""`make sweep`: the full size of what `make test` shows in short."""

DAYS = 30 if ALL else 4
"""How many dates a backfill has."""

_SETTINGS = {
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in PEOPLE.items()),
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",  # an answer that does not come is noticed soon
    # A task whose supervisor is killed is noticed sooner than after five minutes.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
}


@pytest.fixture(scope="package")
def house(request, postgres, tmp_path_factory) -> Iterator[House]:
    """Airflow, DOKU's simulator, and every merchant; those with something broken have already started their day."""
    root = tmp_path_factory.mktemp("safety")
    today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
    passwords = root / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in PEOPLE}))
    databases = ["safety_airflow", "safety_ledger", *(["safety_killed"] if ALL else [])]
    with ExitStack() as stack:
        doku = stack.enter_context(simulator(root / "doku", "--seed", "7", "--process-after", "0.3"))
        made = House(root, today, doku)
        few = {"brakes": {"max_count": 5}}
        made.settle("braked", changes=few)
        made.settle("four_eyes", changes={"brakes": {**few["brakes"], "four_eyes": True}})
        made.settle("unanswered", changes=few)
        made.settle("cleared", ledger=Database.on(postgres, "safety_ledger"), charges=30)
        hour = max(datetime.now(ZoneInfo("Asia/Jakarta")).hour - 1, 0)
        made.settle("past", charges=60 * DAYS // 2, changes={"schedule": {"submit": f"0 {hour} * * *"}})
        made.settle("dated", changes=away_from_utc())
        if ALL:
            made.faulty = stack.enter_context(simulator(root / "faulty", "--seed", "8", "--process-after", "0.3"))
            made.settle("killed", ledger=Database.on(postgres, "safety_killed"), remote=made.faulty.remote)
        break_in(made)
        environment = {name: value for scene in made.scenes.values() for name, value in scene.environment().items()}
        metadata = Database.on(postgres, "safety_airflow").url.replace("+psycopg:", "+psycopg2:")
        settings = {**_SETTINGS, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords)}
        try:
            with AirflowStack(root / "airflow", env={**environment, **settings}, metadata_url=metadata) as airflow:
                made.airflow = airflow
                made.client().wait_for_dags(*(f"doku_submit__{name}" for name in made.scenes))
                made.started = {name: made.start(name) for name in BROKEN}
                with ThreadPoolExecutor(max_workers=8) as pool:
                    _tell(pool, made, request.session.items)
                    yield made
        finally:
            for client in made.clients.values():
                client.close()
            for name in databases:
                postgres.drop_database(name)


def _tell(pool: ThreadPoolExecutor, house: House, items: list[pytest.Item]) -> None:
    """Start every test that is a story. Most of the time it waits for Airflow, which has four tasks at a time to do."""
    for item in items:
        if isinstance(item, pytest.Function) and item.get_closest_marker("story"):
            given = item.callspec.params if hasattr(item, "callspec") else {}
            house.stories[item.nodeid] = pool.submit(item.obj, house=house, **given)


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A story has been going on since the house was opened: take its end as the test's."""
    if not pyfuncitem.get_closest_marker("story"):
        return None
    pyfuncitem.funcargs["house"].stories[pyfuncitem.nodeid].result()
    return True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Minutes of a real Airflow under many runs: `make sweep` plays them, `make test` the whole days beside them."""
    if not ALL:
        for item in items:
            if "tests/airflow/safety/" in item.nodeid:
                item.add_marker(pytest.mark.skip(reason="takes minutes: make sweep"))
