"""What parsing the DAG folder costs, in a process of its own: Airflow does it again and again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = ("pandas", "numpy", "pandera", "pyarrow", "paramiko", "psycopg", "alembic.command")
SECONDS = 2.0

_SCRIPT = """
import json, runpy, sys, time
from pathlib import Path

import airflow.sdk
from airflow.sdk import DAG, AssetOrTimeSchedule, BaseHook, BaseOperator, Connection, CronTriggerTimetable
from airflow.sdk import Param, Variable
from airflow.sdk.bases.hook import BaseHook
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowException
from airflow.triggers.base import BaseTrigger

before = set(sys.modules)
asked = []

def note(what):
    def refuse(*words, **named):
        asked.append(f"{what} {words} {named}")
        raise RuntimeError(what)
    return refuse

Connection.get = classmethod(note("connection"))
BaseHook.get_connection = classmethod(note("connection"))
Variable.get = classmethod(note("variable"))

import socket
socket.socket.connect = note("network")

start = time.perf_counter()
for path in sorted(Path("dags").glob("*.py")):
    runpy.run_path(str(path))
seconds = time.perf_counter() - start
print(json.dumps({"seconds": seconds, "asked": asked, "loaded": sorted(set(sys.modules) - before)}))
"""


@pytest.fixture(scope="module")
def parsed() -> dict:
    """How parsing went; the quicker of two, since this machine has other work too."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    environment.pop("DOKU_PROFILES_DIR", None)
    found = []
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", _SCRIPT], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr[-3000:]
        found.append(json.loads(result.stdout.splitlines()[-1]))
    return min(found, key=lambda one: one["seconds"])


def test_parsing_loads_no_frames_and_no_drivers(parsed):
    heavy = [name for name in parsed["loaded"] if name.startswith(HEAVY)]
    assert heavy == []


def test_parsing_reads_no_connection_no_variable_and_no_network(parsed):
    assert parsed["asked"] == []


def test_parsing_is_quick(parsed):
    assert parsed["seconds"] < SECONDS


def test_parsing_opens_neither_ledger_nor_billing(parsed):
    rooms = ("include.ledger", "include.billing", "include.doku", "include.flows")
    assert [name for name in parsed["loaded"] if name.startswith(rooms) and name not in rooms] == []
