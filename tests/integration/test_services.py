"""The throwaway servers of the tests start, answer, and leave nothing behind."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import paramiko
import psutil
import pytest
import sqlalchemy as sa

from tests.services.processes import ServiceFailed, ServiceUnavailable, Started, find_binary, start, wait_until
from tests.stack.airflow import PROJECT


@pytest.mark.services
def test_postgres_gives_a_database(postgres):
    name = postgres.create_database("made_for_one_test")
    engine = sa.create_engine(postgres.sqlalchemy_url(name))
    with engine.connect() as connection:
        assert connection.scalar(sa.text("show timezone")) == "UTC"
    engine.dispose()
    postgres.drop_database(name)


@pytest.mark.services
def test_mariadb_gives_a_database(mariadb):
    name = mariadb.create_database("made_for_one_test")
    engine = sa.create_engine(mariadb.sqlalchemy_url(name))
    with engine.connect() as connection:
        assert "MariaDB" in connection.scalar(sa.text("select version()"))
    engine.dispose()
    mariadb.drop_database(name)


@pytest.mark.services
def test_openssh_serves_files_with_its_pinned_host_key(openssh):
    transport = paramiko.Transport((openssh.host, openssh.port))
    try:
        transport.start_client(timeout=10)
        server_key = transport.get_remote_server_key()
        assert f"{server_key.get_name()} {server_key.get_base64()}" == openssh.host_key
        transport.auth_publickey(openssh.user, paramiko.Ed25519Key(filename=str(openssh.private_key)))
        sftp = paramiko.SFTPClient.from_transport(transport)
        with sftp.open(openssh.remote_path("inbound/a.txt"), "wb") as file:
            file.write(b"hello")
        assert (openssh.root / "inbound/a.txt").read_bytes() == b"hello"
        sftp.remove(openssh.remote_path("inbound/a.txt"))
    finally:
        transport.close()


def test_a_missing_program_names_its_package():
    with pytest.raises(ServiceUnavailable, match="apt-get install nothing-of-the-sort"):
        find_binary("no-such-server", "/usr/lib/none/*/bin", package="nothing-of-the-sort")


def test_a_process_that_ends_early_shows_its_last_words(tmp_path: Path):
    started = start("talker", [sys.executable, "-c", "print('the disk is full')"], log=tmp_path / "log")
    with pytest.raises(ServiceFailed, match="the disk is full"):
        wait_until(lambda: False, started, timeout=10, what="The talker")
    started.stop()


def test_stopping_takes_what_the_leader_left_behind(tmp_path: Path):
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
    )
    started = start("leaver", [sys.executable, "-c", script], log=tmp_path / "log")
    deadline = time.monotonic() + 10
    while not (words := (tmp_path / "log").read_text().split()) and time.monotonic() < deadline:
        time.sleep(0.05)
    orphan = int(words[0])
    while started.is_running():
        time.sleep(0.02)
    assert psutil.pid_exists(orphan)
    started.stop()
    assert not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE


def test_a_number_given_to_somebody_else_is_left_alone():
    somebody = Started("an earlier process", os.getpid(), created=psutil.Process().create_time() - 3600, log="none")
    assert not somebody.is_running()
    somebody.stop()  # would have ended this very test


def test_nothing_outlives_a_parent_that_was_killed(tmp_path: Path):
    """`kill -9` of a test run, or of the demo, leaves no server behind."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (Debian: util-linux) is not on this machine")
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from tests.services.processes import start
        log = Path({str(tmp_path / "log")!r})
        sleep = "import time; print('asleep', flush=True); time.sleep(600)"
        started = start("sleeper", [sys.executable, "-c", sleep], log=log)
        while "asleep" not in log.read_text():
            time.sleep(0.05)
        print(started.pid, flush=True)
        time.sleep(600)
    """)
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=PROJECT)
    sleeper = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs([sleeper], timeout=30)
    assert all(one.status() == psutil.STATUS_ZOMBIE for one in alive)
