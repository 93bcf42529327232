"""The one-off service of the compose file makes what the others need, and leaves it alone the next time."""

import json
import subprocess

import pytest
import sqlalchemy as sa

from tests.services.openssh import sshd_config
from tests.services.processes import find_binary
from tests.stack.compose import set_up


@pytest.mark.services
def test_set_up_is_complete_and_repeatable(postgres, tmp_path):
    def connection(database: str) -> str:
        return json.dumps(postgres.airflow_connection(database))

    environment = {
        "AIRFLOW_CONN_INSURANCE_BILLING": connection("compose_billing"),
        "AIRFLOW_CONN_DOKU_LEDGER": connection("compose_ledger"),
        "AIRFLOW_ADMIN_PASSWORD": "for the admin",
        "BUCKET_SECRET": "for the bucket",
        "EXAMPLE_CHARGES": "50",
    }
    served = tmp_path / "served"
    served.mkdir()
    try:
        scene = set_up(tmp_path, environment, served)
        first = {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()}
        engine = scene.billing.engine()
        with engine.connect() as seeing:
            rows = seeing.scalar(sa.text("select count(*) from doku_due_charges"))
        assert rows >= 40

        set_up(tmp_path, environment, served)
        assert {path: path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file()} == first
        with engine.connect() as seeing:
            assert seeing.scalar(sa.text("select count(*) from doku_due_charges")) == rows
    finally:
        postgres.drop_database("compose_billing")
        postgres.drop_database("compose_ledger")

    connections = json.loads((tmp_path / "connections.json").read_text())
    sftp, bucket = connections["insurance_sftp"], connections["doku_artefacts"]
    assert (sftp["host"], sftp["port"]) == ("sftp", 2222)
    assert sftp["extra"]["host_key"].startswith("ssh-ed25519 ")
    assert bucket["password"] == "for the bucket"
    (identity,) = json.loads((tmp_path / "bucket.json").read_text())["identities"]
    assert identity["credentials"] == [{"accessKey": bucket["login"], "secretKey": bucket["password"]}]
    assert (tmp_path / "profiles" / "insurance.toml").exists()
    for name in ("connections.json", "bucket.json", "passwords.json", "sshd/host_key"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, name


@pytest.mark.services
def test_openssh_takes_the_settings_that_are_written_for_it(tmp_path):
    sshd = find_binary("sshd", "/usr/sbin", package="openssh-server")
    home = tmp_path / "sshd"
    home.mkdir()
    (home / "sshd_config").write_text(sshd_config(home, 2222, "airflow", None, "0.0.0.0"))
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "host_key")], check=True)
    result = subprocess.run(
        [sshd, "-T", "-f", home / "sshd_config"], capture_output=True, text=True, check=False
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    shown = dict(line.split(" ", 1) for line in result.stdout.splitlines() if " " in line)
    assert shown["forcecommand"] == "internal-sftp"
    assert (shown["passwordauthentication"], shown["allowtcpforwarding"]) == ("no", "no")
