"""What holds for every test: an Airflow home of the tests' own, and the big servers each in one worker."""

import os
from pathlib import Path

import pytest

_PROJECT = Path(__file__).resolve().parents[1]


def _isolate_airflow() -> None:
    """Keep Airflow, which reads its settings when first imported, away from this machine's own Airflow and home."""
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "DOKU_"))]:
        del os.environ[name]
    home = _PROJECT / "var" / "tests" / f"airflow-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    home.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        AIRFLOW_HOME=str(home),
        AIRFLOW__CORE__DAGS_FOLDER=str(_PROJECT / "dags"),
        AIRFLOW__CORE__PLUGINS_FOLDER=str(_PROJECT / "plugins"),
        AIRFLOW__CORE__LOAD_EXAMPLES="False",
        AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
        # Without it every worker writes a configuration file with a key of its own.
        AIRFLOW__CORE__FERNET_KEY="",
    )


_isolate_airflow()


@pytest.hookimpl(tryfirst=True)  # before xdist looks at the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that share a real Airflow in one worker: a second one would cost more than it saves."""
    for item in items:
        if item.get_closest_marker("airflow"):
            item.add_marker(pytest.mark.xdist_group("airflow"))
