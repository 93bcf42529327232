"""The one-off service of the compose file makes what the others need, and leaves it alone the next time."""

import json

import pytest
import sqlalchemy as sa

from tests.stack.compose import set_up


@pytest.mark.services
def test_set_up_is_complete_and_repeatable(postgres, tmp_path):
    def connection(database: str) -> str:
        return json.dumps(postgres.airflow_connection(database))

    environment = {
        "AIRFLOW_CONN_INSURANCE_BILLING": connection("compose_billing"),
        "AIRFLOW_CONN_DOKU_LEDGER": connection("compose_ledger"),
        "AIRFLOW_ADMIN_PASSWORD": "for the admin",
        "SIMULATOR_PASSWORD": "for the simulator",
        "EXAMPLE_CHARGES": "50",
    }
    try:
        scene = set_up(tmp_path, environment)
        first = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
        engine = scene.billing.engine()
        with engine.connect() as seeing:
            rows = seeing.scalar(sa.text("select count(*) from doku_due_charges"))
        assert rows >= 40

        set_up(tmp_path, environment)
        assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == first
        with engine.connect() as seeing:
            assert seeing.scalar(sa.text("select count(*) from doku_due_charges")) == rows
    finally:
        postgres.drop_database("compose_billing")
        postgres.drop_database("compose_ledger")

    sftp = json.loads((tmp_path / "connections.json").read_text())["insurance_sftp"]
    assert (sftp["host"], sftp["password"]) == ("doku", "for the simulator")
    assert sftp["extra"]["host_key"].startswith("ssh-ed25519 ")
    assert (tmp_path / "profiles" / "insurance.toml").exists()
    assert (tmp_path / "connections.json").stat().st_mode & 0o077 == 0
