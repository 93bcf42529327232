"""What docker-compose.yaml needs before Airflow starts: `python -m tests.stack.compose setup`, then `... bucket`.

`setup` makes the databases, the example's data, the keys of both sides, the profile, the OpenSSH server's settings, and
the connections that hold what did not exist before. `bucket` makes the bucket once the object store answers. Run again
both leave what is there.
"""

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from include.domain.connection import ConnectionSettings
from tests.doku_simulator.keys import KeyRing
from tests.services.openssh import sshd_config
from tests.stack.databases import Database, seeded
from tests.stack.remote import Remote
from tests.stack.scene import QUICK, Scene

_MERCHANT = "insurance"
_USER = "airflow"
_SSH_PORT = 2222
_SERVED = Path("/sftp")
_BUCKET = "artefacts"
_BUCKET_KEY = "doku"


def set_up(state: Path, environment: Mapping[str, str], served: Path = _SERVED) -> Scene:
    """Make whatever is missing in the folder `state`, in `served` (what OpenSSH shows) and in the databases."""
    billing = _database("insurance_billing", environment["AIRFLOW_CONN_INSURANCE_BILLING"])
    ledger = _database("doku_ledger", environment["AIRFLOW_CONN_DOKU_LEDGER"])
    today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
    for database in (billing, ledger):
        _create(database)
    remote = _remote(state, served)
    if not _has_tables(billing):
        seeded(billing, _MERCHANT, int(environment.get("EXAMPLE_CHARGES", "3000")), today)
    scene = Scene(state, _MERCHANT, today, billing, ledger, remote, changes=QUICK)
    if not (scene.profiles / f"{_MERCHANT}.toml").exists():
        scene.write_profile()
    secret = environment["BUCKET_SECRET"]
    connections = {"insurance_sftp": dict(remote.sftp), "doku_artefacts": _bucket_connection(secret)}
    _write_private(state / "connections.json", connections)
    _write_private(state / "bucket.json", {"identities": [_identity(secret)]})
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


def _remote(state: Path, served: Path) -> Remote:
    """DOKU's end: an OpenSSH server in the service `sftp`, whose folders the simulator in `doku` works in."""
    keys, home = KeyRing(state / "doku" / "keys"), state / "sshd"
    keys.create()
    home.mkdir(exist_ok=True)
    _write_private(home / "host_key", keys.ssh_path("host_key").read_text(encoding="ascii"))
    (home / "authorized_keys").write_text(keys.ssh_public_line("client_key") + "\n", encoding="ascii")
    (home / "sshd_config").write_text(sshd_config(home, _SSH_PORT, _USER, None, "0.0.0.0"), encoding="ascii")
    for folder in ("inbound", "outbound", "archive"):
        (served / folder).mkdir(exist_ok=True)
    extra = {
        "private_key": keys.ssh_path("client_key").read_text(encoding="ascii"),
        "host_key": keys.ssh_public_line("host_key"), "compress": False, "look_for_keys": False,
    }  # fmt: skip
    sftp = {"conn_type": "sftp", "host": "sftp", "port": _SSH_PORT, "login": _USER, "extra": extra}
    return Remote(sftp, keys.public_path("doku"), keys.private_path("merchant"), served, str(served))


def _bucket_connection(secret: str) -> dict[str, object]:
    extra = {"endpoint_url": "http://bucket:8333", "region_name": "us-east-1"}
    return {"conn_type": "aws", "login": _BUCKET_KEY, "password": secret, "extra": extra}


def _identity(secret: str) -> dict[str, object]:
    """The object store's one user."""
    credentials = [{"accessKey": _BUCKET_KEY, "secretKey": secret}]
    return {"name": "doku", "credentials": credentials, "actions": ["Admin", "Read", "Write", "List"]}


def make_bucket(state: Path, patience: float = 120.0) -> None:
    """Make the bucket of the artefacts where it is not there; waits until the object store answers."""
    import botocore.exceptions
    from boto3.session import Session

    connection = json.loads((state / "connections.json").read_text(encoding="utf-8"))["doku_artefacts"]
    client = Session(connection["login"], connection["password"]).client("s3", **connection["extra"])
    deadline = time.monotonic() + patience
    while True:
        try:
            if _BUCKET not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=_BUCKET)
        except (botocore.exceptions.BotoCoreError, botocore.exceptions.ClientError):
            if time.monotonic() > deadline:
                raise
            time.sleep(1)
        else:
            return


def _write_private(path: Path, value: Mapping[str, object] | str) -> None:
    path.touch(mode=0o600)
    path.write_text(value if isinstance(value, str) else json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["bucket"]:
        make_bucket(Path("/state"))
    else:
        made = set_up(Path("/state"), os.environ)
        sys.stdout.write(f"Ready: profiles in {made.profiles}, business date {made.business_date}.\n")
