"""The Airflow that the tests and the demo start is a real one, and goes away completely."""

import textwrap
from pathlib import Path

import httpx
import psutil
import pytest

from tests.stack.airflow import AirflowStack, recorded

_DAG = """
    from airflow.sdk import dag, task

    @dag(schedule=None, catchup=False)
    def two_steps():
        @task
        def first(params=None):
            print("hello from the first step")
            return 41

        @task
        def second(number):
            return number + 1

        second(first())

    two_steps()
"""


@pytest.mark.airflow
def _is_alive(process: psutil.Process) -> bool:
    """A zombie is dead: it only waits for this machine's first process to take note."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_dag_runs_and_nothing_is_left(tmp_path: Path):
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "two_steps.py").write_text(textwrap.dedent(_DAG))
    said: list[str] = []

    with AirflowStack(
        tmp_path / "airflow", dags_folder=dags, plugins_folder=tmp_path / "plugins", say=said.append
    ) as stack:
        client = stack.client
        client.wait_for_dags("two_steps")
        client.unpause("two_steps")
        run_id = client.trigger("two_steps", {"why": "a test"})
        assert client.wait("two_steps", run_id) == "success", client.failures("two_steps", run_id)
        assert client.xcoms("two_steps", run_id, "second")["return_value"] == 42
        assert "hello from the first step" in client.log("two_steps", run_id, "first")
        assert {one["task_id"] for one in client.task_instances("two_steps", run_id)} == {"first", "second"}
        assert client.import_errors() == []
        started = stack.processes()
        assert recorded(stack.root) == started
        family = [child for one in started for child in psutil.Process(one.pid).children(recursive=True)]

    assert not any(one.is_running() for one in started)
    assert not [child for child in family if _is_alive(child)]
    assert recorded(stack.root) == []
    with pytest.raises(httpx.ConnectError):
        httpx.get(stack.url)
    assert said
