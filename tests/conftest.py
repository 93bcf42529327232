"""What holds for every test: an Airflow home of the tests' own, and the big servers each in one worker."""

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

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


# A real Airflow takes most of a core and half a minute to start, and its web app a good part of that: all tests that
# need one share it, in one worker. So do those that look at one long history, or at one finished day.
_TOGETHER = (
    "tests/airflow/", "tests/history/", "tests/unit/plugins/test_web.py", "tests/sweeps/test_verify_proofs.py"
)  # fmt: skip


class _SomeInOneWorker(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return next((start for start in _TOGETHER if nodeid.startswith(start)), nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Hand out tests one by one, but for those that share something large; the largest group goes first."""
    return _SomeInOneWorker(config, log)
