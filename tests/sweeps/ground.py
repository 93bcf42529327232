"""Ground for days with a real SFTP server: keys and an empty ledger, made once for a process and then copied."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from include.domain.connection import ConnectionSettings
from include.ledger import schema
from include.ledger.store import ledger_engine
from tests.doku_simulator.keys import KeyRing
from tests.flows_harness import MORNING


@cache
def folder() -> Path:
    """A folder of this process's own; gone when it ends."""
    made = Path(tempfile.mkdtemp(prefix="doku-sweeps-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


@cache
def keys() -> Path:
    """DOKU's and the merchant's keys: making RSA keys takes longer than most days."""
    made = folder() / "keys"
    KeyRing(made).create()
    return made


@cache
def _ledger() -> Path:
    file = folder() / "ledger.db"
    other_ledger(file)
    return file


def other_ledger(file: Path) -> ConnectionSettings:
    """An empty ledger at head with an id of its own, in SQLite."""
    settings = ConnectionSettings("doku_ledger", "sqlite", host=str(file))
    engine = ledger_engine(settings)
    schema.upgrade(engine, "sandbox", MORNING)
    engine.dispose()
    return settings


def new_ledger(place: Path) -> ConnectionSettings:
    """An empty ledger at head, in SQLite, in that folder; all that are made so have the same id, as copies have."""
    place.mkdir(parents=True, exist_ok=True)
    file = place / "ledger.db"
    shutil.copyfile(_ledger(), file)
    return ConnectionSettings("doku_ledger", "sqlite", host=str(file))
