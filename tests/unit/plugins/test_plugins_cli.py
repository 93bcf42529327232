"""`python -m plugins.cli`: the same commands, with what Airflow logs kept apart from what they say."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

from include.domain.connection import ConnectionSettings
from include.ledger import schema
from include.ledger.store import ledger_engine
from tests.stack.airflow import PROJECT


def test_what_a_command_says_as_json_is_json_and_nothing_else(tmp_path):
    ledger = {"conn_type": "sqlite", "host": str(tmp_path / "ledger.sqlite")}
    engine = ledger_engine(ConnectionSettings("doku_ledger", "sqlite", host=ledger["host"]))
    schema.upgrade(engine, "sandbox", datetime(2026, 11, 20, tzinfo=UTC))
    engine.dispose()
    environment = {
        **os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW_CONN_DOKU_LEDGER": json.dumps(ledger),
        "DOKU_ARTEFACTS": tmp_path.as_uri(), "PYTHONPATH": str(PROJECT), "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG",
    }  # fmt: skip
    arguments = ["books", "--profile", "insurance", "--business-date", "2026-11-20", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "plugins.cli", *arguments], env=environment, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["profile"] == "insurance"
    assert "debug" in done.stderr  # Airflow did log something
