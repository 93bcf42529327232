"""Starting processes so that exactly these can be stopped again, by us or by a later command.

A process is started as the leader of a session of its own. Its identity is its number *and* the moment it was created:
a number that the system has given to somebody else since is left alone. Whatever the leader leaves behind in its
session is stopped with it.
"""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil


class ServiceUnavailable(Exception):
    """A server cannot be had on this machine (no binaries, or it may not be started by this user)."""


class ServiceFailed(Exception):
    """A server was started and ended, or did not answer in time; the message has the end of its log."""


@dataclass(frozen=True)
class Started:
    """The identity of a process we started.

    Attributes:
        name: What it is, for messages.
        pid: Its process number, which is also the number of its session.
        created: When the system created it, in seconds since 1970: tells it from a later process of the same number.
        log: Where its output goes.
    """

    name: str
    pid: int
    created: float
    log: str

    @classmethod
    def of_this_process(cls, name: str) -> "Started":
        """Our own identity, to leave in a record."""
        return cls(name, os.getpid(), psutil.Process().create_time(), "")

    def as_json(self) -> dict[str, Any]:
        """The fields as JSON values; `Started(**value)` reads them back."""
        return asdict(self)

    def is_running(self) -> bool:
        """Whether this very process is still there and not a zombie."""
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def log_tail(self, lines: int = 20) -> str:
        """The last lines of its output, for an error message."""
        with suppress(OSError):
            return "\n".join(Path(self.log).read_text(errors="replace").splitlines()[-lines:])
        return "(no output)"

    def ask_to_stop(self) -> None:
        """Send a polite signal and return at once; for several that may end at the same time. `stop` has to follow."""
        if self.is_running():
            _signal([self.pid], signal.SIGTERM)

    def stop(self, first: signal.Signals = signal.SIGTERM, patience: float = 15.0) -> None:
        """Stop it and what it left in its session: politely, then after `patience` seconds by force."""
        with undisturbed():
            self._stop(first, patience)

    def kill(self) -> None:
        """Kill it and all of its session at once, as a machine that loses its power."""
        family = {self.pid, *self._family()} if self.is_running() else self._family()
        _signal(list(family), signal.SIGKILL)
        _wait_gone(list(family), 5.0)
        _REMEMBERED.pop(self.pid, None)

    def has(self, pid: int) -> bool:
        """Whether that process is it, or of its session, or below it."""
        return pid == self.pid or pid in self._family()

    def _stop(self, first: signal.Signals, patience: float) -> None:
        _reap(self.pid)
        leader_is_ours = self.is_running()
        family = self._family()
        if leader_is_ours:
            _signal([self.pid], first)
            _wait_gone([self.pid], patience)
        left = [pid for pid in {*family, *self._family()} if pid != self.pid]
        _signal(left, signal.SIGTERM)
        _wait_gone(left, 3.0)
        left += [self.pid] if leader_is_ours else []
        _signal(left, signal.SIGKILL)
        _wait_gone(left, 5.0)
        _REMEMBERED.pop(self.pid, None)

    def _family(self) -> set[int]:
        """The numbers of all processes of its session and below it; empty when the number belongs to another now."""
        with suppress(psutil.NoSuchProcess):
            if abs(psutil.Process(self.pid).create_time() - self.created) >= 1:
                return set()
        if self.created < psutil.boot_time():
            return set()
        found = set()
        for pid in psutil.pids():
            with suppress(OSError):
                if os.getsid(pid) == self.pid:
                    found.add(pid)
        with suppress(psutil.NoSuchProcess):
            found |= {child.pid for child in psutil.Process(self.pid).children(recursive=True)}
        return found


_REMEMBERED: dict[int, tuple[Started, subprocess.Popen[bytes] | None]] = {}


def start(
    name: str,
    argv: Sequence[str | Path],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: str | None = None,
    outlives_us: bool = False,
) -> Started:
    """Start a process in a session of its own.

    Args:
        name: What it is, for messages.
        argv: The command.
        log: File for its output, appended to.
        env: Its whole environment; ours when None.
        cwd: Its working folder.
        user: The system user to become (needs root).
        outlives_us: It goes on when we end (`make up`). Otherwise it is stopped when this interpreter ends, and, where
            the system can do it, even when we are killed.
    """
    command = [str(part) for part in argv]
    if not outlives_us and (setpriv := shutil.which("setpriv")):
        command = [setpriv, "--pdeathsig", "TERM", *_become(user), *command]
        user = None
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, cwd=cwd,
            start_new_session=True, user=user, group=pwd.getpwnam(user).pw_gid if user else None,
            extra_groups=[] if user else None,
        )  # fmt: skip
    started = Started(name, process.pid, psutil.Process(process.pid).create_time(), str(log))
    if not outlives_us:
        _REMEMBERED[process.pid] = (started, process)
    return started


def _become(user: str | None) -> list[str]:
    if user is None:
        return []
    account = pwd.getpwnam(user)
    return ["--reuid", str(account.pw_uid), "--regid", str(account.pw_gid), "--clear-groups"]


@atexit.register
def _stop_remembered() -> None:
    """The net under the context managers: nothing we started survives this interpreter by accident."""
    for started, _ in list(_REMEMBERED.values()):
        started.stop(patience=5)


def wait_until(ready: Callable[[], bool], started: Started, *, timeout: float, what: str) -> None:
    """Ask `ready` until it says yes.

    Raises:
        ServiceFailed: The process ended, or `timeout` seconds went by.
    """
    deadline = time.monotonic() + timeout
    pause = 0.02
    while not ready():
        if not started.is_running():
            raise ServiceFailed(f"{what} ended while starting. The end of {started.log}:\n{started.log_tail()}")
        if time.monotonic() > deadline:
            raise ServiceFailed(f"{what} did not answer in {timeout:.0f} s. {started.log} ends:\n{started.log_tail()}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.3)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let a second Ctrl-C or a polite kill not interrupt the stopping of what was started."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {which: signal.signal(which, signal.SIG_IGN) for which in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listened on a moment ago."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Several such ports, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def listens(port: int) -> bool:
    """Whether somebody accepts TCP connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def find_binary(name: str, *folders: str, package: str) -> Path:
    """Where a server's program is: in one of the folders (glob patterns) or on the PATH; the highest version wins.

    Raises:
        ServiceUnavailable: Nowhere; names the Debian package that has it.
    """
    for folder in folders:
        matches = [path for path in Path("/").glob(f"{folder.lstrip('/')}/{name}") if os.access(path, os.X_OK)]
        if matches:
            return max(matches, key=_version_of)
    if found := shutil.which(name):
        return Path(found)
    raise ServiceUnavailable(f"{name} is not on this machine. Install it (Debian: apt-get install {package})")


def _version_of(path: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.parts if part.isdigit())


def _reap(pid: int) -> None:
    """Collect a child that has ended already, so that its number does not count as running."""
    if pid in _REMEMBERED and (process := _REMEMBERED[pid][1]):
        process.poll()


def _signal(pids: Sequence[int], which: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, which)


def _wait_gone(pids: Sequence[int], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    _reap(pid)
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
