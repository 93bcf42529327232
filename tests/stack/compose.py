"""What docker-compose.yaml needs before Airflow starts: `python -m tests.stack.compose`, in the service `setup`.

Makes the databases, the example's data, the simulator's keys, the profile, and the one connection that pins a key which
did not exist before. Run again it leaves what is there.
"""

import json
import os
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from include.domain.connection import ConnectionSettings
from tests.doku_simulator.keys import KeyRing
from tests.stack.databases import Database, seeded
from tests.stack.remote import Remote
from tests.stack.scene import QUICK, Scene

_MERCHANT = "insurance"


def set_up(state: Path, environment: Mapping[str, str]) -> Scene:
    """Make whatever is missing in the folder `state` and in the databases that the environment's connections name."""
    billing = _database("insurance_billing", environment["AIRFLOW_CONN_INSURANCE_BILLING"])
    ledger = _database("doku_ledger", environment["AIRFLOW_CONN_DOKU_LEDGER"])
    today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
    for database in (billing, ledger):
        _create(database)
    if not _has_tables(billing):
        seeded(billing, _MERCHANT, int(environment.get("EXAMPLE_CHARGES", "3000")), today)
    scene = Scene(state, _MERCHANT, today, billing, ledger, _remote(state / "doku", environment), changes=QUICK)
    if not (scene.profiles / f"{_MERCHANT}.toml").exists():
        scene.write_profile()
    _write_private(state / "connections.json", {"insurance_sftp": dict(scene.remote.sftp)})
    _write_private(state / "passwords.json", {"admin": environment["AIRFLOW_ADMIN_PASSWORD"]})
    return scene


def _database(conn_id: str, value: str) -> Database:
    settings = ConnectionSettings.from_env_value(conn_id, value)
    url = sa.URL.create(**settings.sqlalchemy_url_parts())
    return Database(url.get_backend_name(), url.render_as_string(hide_password=False), {})


def _create(database: Database) -> None:
    """Create a PostgreSQL database when it is missing."""
    url = sa.make_url(database.url)
    engine = sa.create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        query = sa.text("select 1 from pg_database where datname = :name")
        if connection.scalar(query, {"name": url.database}) is None:
            connection.execute(sa.text(f'create database "{url.database}"'))


def _has_tables(database: Database) -> bool:
    return bool(sa.inspect(database.engine()).get_table_names())


def _remote(root: Path, environment: Mapping[str, str]) -> Remote:
    keys = KeyRing(root / "keys")
    keys.create()
    return Remote.simulator(
        {
            "host": "doku",
            "port": 2222,
            "user": "merchant",
            "password": environment["SIMULATOR_PASSWORD"],
            "host_key": keys.ssh_public_line("host_key"),
            "doku_public_key": keys.public_path("doku"),
            "merchant_private_key": keys.private_path("merchant"),
            "sftp_root": root / "sftp",
        }
    )


def _write_private(path: Path, value: Mapping[str, object]) -> None:
    path.touch(mode=0o600)
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    made = set_up(Path("/state"), os.environ)
    sys.stdout.write(f"Ready: profiles in {made.profiles}, business date {made.business_date}.\n")
