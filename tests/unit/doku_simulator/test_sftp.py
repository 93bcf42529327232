"""The SFTP server, seen by paramiko: OpenSSH's manners, and the operation log."""

import io
import shutil
import subprocess
import time
from pathlib import Path

import paramiko
import pytest

from tests.unit.doku_simulator.conftest import Merchant, Start


@pytest.fixture
def merchant(start: Start):
    with start(sftp=True, clock=time.time) as merchant:
        yield merchant


@pytest.mark.parametrize("with_key", [False, True])
def test_upload_process_download(merchant: Merchant, *, with_key: bool) -> None:
    data = merchant.sealed(merchant.plain("TKN1.TXT", merchant.rows(50)))
    with merchant.sftp(with_key=with_key) as sftp:
        sftp.putfo(io.BytesIO(data), "/inbound/.new.part")
        assert sftp.stat("/inbound/.new.part").st_size == len(data)
        assert abs(sftp.stat("/inbound/.new.part").st_mtime - time.time()) < 5
        assert sftp.open("/inbound/.new.part").read() == data
        sftp.rename("/inbound/.new.part", "/inbound/TKN1.TXT")
        assert sftp.listdir("/inbound") == ["TKN1.TXT"]
        merchant.simulator.process_once()
        assert sftp.listdir("/inbound") == []
        assert sftp.listdir("/archive") == ["TKN1.TXT"]
        assert sftp.listdir("/outbound") == ["RPT_TKN1.TXT"]
        got = io.BytesIO()
        sftp.getfo("/outbound/RPT_TKN1.TXT", got)
        assert got.getvalue() == (merchant.simulator.outbound / "RPT_TKN1.TXT").read_bytes()
    operations = [(record["op"], record["path"]) for record in merchant.simulator.operations]
    assert ("open", "/inbound/.new.part") in operations
    (renamed,) = [record for record in merchant.simulator.operations if record["op"] == "rename"]
    assert (renamed["path"], renamed["to"], renamed["size"]) == ("/inbound/.new.part", "/inbound/TKN1.TXT", len(data))


def test_plain_rename_refuses_an_existing_target(merchant: Merchant) -> None:
    with merchant.sftp() as sftp:
        for name in ("a", "b"):
            sftp.putfo(io.BytesIO(name.encode()), f"/inbound/{name}")
        with pytest.raises(OSError, match="Failure"):
            sftp.rename("/inbound/a", "/inbound/b")
        assert sftp.open("/inbound/b").read() == b"b"
        sftp.posix_rename("/inbound/a", "/inbound/b")
        assert sftp.open("/inbound/b").read() == b"a"
        assert sftp.listdir("/inbound") == ["b"]


def test_errors_are_those_of_openssh(start: Start) -> None:
    with start(sftp=True, read_only=("/outbound",)) as merchant, merchant.sftp() as sftp:
        with pytest.raises(FileNotFoundError):
            sftp.stat("/inbound/nothing")
        with pytest.raises(FileNotFoundError):
            sftp.listdir("/nowhere")
        with pytest.raises(FileNotFoundError):
            sftp.rename("/inbound/nothing", "/inbound/b")
        with pytest.raises(PermissionError):
            sftp.open("/top", "w")
        with pytest.raises(PermissionError):
            sftp.open("/outbound/x", "w")
        with pytest.raises(PermissionError):
            sftp.symlink("/etc/passwd", "/inbound/link")
        sftp.open("/inbound/once", "x").close()
        with pytest.raises(OSError, match="Failure"):
            sftp.open("/inbound/once", "x")
        with pytest.raises(OSError, match="Failure"):
            sftp.mkdir("/inbound/once")


def test_nothing_outside_the_folders_is_reached(merchant: Merchant) -> None:
    with merchant.sftp() as sftp:
        assert sftp.normalize("/../../etc") == "/etc"
        with pytest.raises(FileNotFoundError):
            sftp.open("/../../../../etc/passwd")
        assert sorted(sftp.listdir("/")) == ["archive", "inbound", "outbound"]


def test_wrong_password_and_user(merchant: Merchant) -> None:
    simulator = merchant.simulator
    for user, password in ((simulator.user, "wrong"), ("nobody", simulator.password)):
        client = paramiko.SSHClient()
        client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        with pytest.raises(paramiko.AuthenticationException):
            client.connect(
                simulator.host, simulator.port, user, password, look_for_keys=False, allow_agent=False, timeout=10
            )
        client.close()


def test_a_file_being_written_is_not_picked_up(merchant: Merchant) -> None:
    with merchant.sftp() as sftp:
        with sftp.open("/inbound/TKN1.TXT", "w") as file:
            file.write(b"half")
            file.flush()
            assert merchant.simulator.process_once() == []
        (result,) = merchant.simulator.process_once()
        assert result.event == "rejected"


def test_no_secret_is_in_any_journal(merchant: Merchant) -> None:
    merchant.upload("TKN1.TXT", merchant.sealed(merchant.plain("TKN1.TXT", merchant.rows(20))))
    merchant.simulator.process_once()
    for path in merchant.simulator.config.root.glob("*.jsonl"):
        text = path.read_text()
        assert "tok-INV" not in text
        assert merchant.simulator.password not in text


@pytest.mark.skipif(shutil.which("sftp") is None, reason="the OpenSSH client is not installed")
def test_the_openssh_client(merchant: Merchant, tmp_path: Path) -> None:
    simulator = merchant.simulator
    key = tmp_path / "client_key"
    key.write_bytes(simulator.keys.ssh_path("client_key").read_bytes())
    key.chmod(0o600)
    (tmp_path / "known_hosts").write_text(f"[{simulator.host}]:{simulator.port} {simulator.host_key}\n")
    (tmp_path / "upload").write_bytes(merchant.sealed(merchant.plain("TKN1.TXT", merchant.rows(3))))
    options = ["UserKnownHostsFile=known_hosts", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "BatchMode=yes"]
    commands = "put upload /inbound/.t\nrename /inbound/.t /inbound/TKN1.TXT\nls -l /inbound\n"
    done = subprocess.run(
        ["sftp", "-b", "-", "-i", "client_key", "-P", str(simulator.port)]
        + [part for option in options for part in ("-o", option)]
        + [f"{simulator.user}@{simulator.host}"],
        input=commands,
        text=True,
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "TKN1.TXT" in done.stdout
    (result,) = simulator.process_once()
    assert result.event == "processed"
