"""The simulator as one object: start, tell it how to behave, look at what it did, stop."""

import fcntl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.doku_simulator.bank import Bank
from tests.doku_simulator.behaviour import Behaviour, Director, Fault
from tests.doku_simulator.books import Books
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.intake import Intake
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.keys import KeyRing
from tests.doku_simulator.processor import FileResult, Processor, issuer_of
from tests.doku_simulator.sftp import OperationLog, SftpService
from tests.doku_simulator.web.web import Web

if TYPE_CHECKING:
    from tests.doku_simulator.web.bill_files import BillFiles


class AlreadyRunningError(RuntimeError):
    """Another simulator works in the same folder."""


class Simulator:
    """DOKU's end of Account Billing over SFTP, and over HTTP where its settings are given.

    Use as a context manager. With `auto=False` nothing happens to files until `process_once` is called, and nothing to
    bills and notifications until `web.advance_to` or `web.tick` is.
    """

    def __init__(self, config: SimulatorConfig) -> None:
        self.config = config
        self.keys = KeyRing(config.root / "keys", config.key_bits)
        self.error: BaseException | None = None
        self._sftp: SftpService | None = None
        self._web: Web | None = None
        self._bill_files: BillFiles | None = None
        self._workers: list[threading.Thread] = []
        self._ending = threading.Event()
        self._started = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Open the folder, listen, and look for files if `auto`.

        Raises:
            AlreadyRunningError: Another simulator has the folder.
        """
        config = self.config
        config.root.mkdir(parents=True, exist_ok=True)
        self._claim_folder()
        self.keys.create()
        folders = [config.inbound, config.outbound, *([config.archive] if config.archive else []), *config.folders]
        for folder in folders:
            config.local(folder).mkdir(parents=True, exist_ok=True)
        self._books = Books(config.root, sync=config.sync)
        self._fired = Journal(config.root / "faults.jsonl", sync=config.sync)
        self.director = Director(config.root / "control.json", self._fired)
        self._log = OperationLog(config.log or config.root / "operations.jsonl", config.clock)
        intake = Intake(config.local(config.inbound), config.root / "state" / "spool", config.pattern, self._is_open)
        if config.http:
            self._web = Web(
                config.http,
                config.root,
                self.keys,
                self.director,
                seed=config.seed,
                sync=config.sync,
                clock=config.clock,
                issuer=self._issuer,
                knows_file=lambda name: self._books.knows(name) or intake.holds(name),
            )
        self._processor = Processor(
            config,
            self.keys,
            self._books,
            self.director,
            intake,
            is_dead=self._web.vault.is_dead if self._web else lambda token: False,
            on_published=self._web.report_ready if self._web else lambda name: None,
        )
        if self._web and config.http:
            register = Intake(
                config.local(config.inbound),
                config.root / "state" / "bills",
                config.http.register_pattern,
                self._is_open,
            )
            self._bill_files = self._web.bill_files(
                register, self.keys.private("doku"), config.envelope, self.archive, self._processor.note
            )
            self._web.start(config.host)
        if config.sftp:
            self._sftp = SftpService(config, self.keys, self.director, self._log, intake.take)
            self._sftp.start()
        self._started = True
        if config.auto:
            steps: list[Callable[[], object]] = [lambda: self._process(config.process_after)]
            if self._web:
                steps.append(self._web.tick)  # beside the files: a merchant who does not answer holds up no report
            for step in steps:
                worker = threading.Thread(target=self._work, args=(step,), name="doku-simulator", daemon=True)
                worker.start()
                self._workers.append(worker)

    def stop(self) -> None:
        """Stop listening and working; all state stays in the folder."""
        self._ending.set()
        for worker in self._workers:
            worker.join(60)
        if self._sftp:
            self._sftp.stop()
        if self._started:
            self._started = False
            if self._web:
                self._web.stop()
            self._books.close()
            self._fired.close()
            self._log.close()
        self._lock_file.close()

    def _claim_folder(self) -> None:
        path = self.config.root / "state" / "lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = path.open("w")
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock_file.close()
            raise AlreadyRunningError(f"another simulator works in {self.config.root}") from None

    def _issuer(self) -> Bank:
        return issuer_of(self.config, self.director.behaviour)

    def _is_open(self, path: Path) -> bool:
        return self._sftp is not None and self._sftp.is_open(path)

    def _process(self, settle_seconds: float) -> list[FileResult]:
        if self._bill_files:
            self._bill_files.take(settle_seconds)
        return self._processor.process(settle_seconds)

    def _work(self, step: Callable[[], object]) -> None:
        while not self._ending.is_set():
            try:
                step()
            except BaseException as error:  # noqa: BLE001 - kept for the owner: a thread has nobody to tell
                self.error = error
                return
            self._ending.wait(self.config.poll)

    # --- for tests and people --------------------

    def process_once(self) -> list[FileResult]:
        """Process now whatever matches and is not being written, without waiting; put out reports that are due."""
        if self._sftp:
            self._sftp.tick()
        return self._process(0.0)

    def release_reports(self) -> list[str]:
        """Put out all reports that wait for their time, however late; their names."""
        return self._processor.publish(float("inf"))

    def behave(self, behaviour: Behaviour | None = None, *, faults: Iterable[Fault | str] = ()) -> None:
        """Set the behaviour from now on (it stands in `control.json`); without arguments an ordinary day."""
        behaviour = behaviour or Behaviour(
            faults=tuple(Fault(fault) if isinstance(fault, str) else fault for fault in faults)
        )
        self.director.set(behaviour)
        if self._sftp:
            self._sftp.tick()

    @property
    def web(self) -> Web:
        """The HTTP side. Only where `config.http` is given."""
        if self._web is None:
            raise RuntimeError("this simulator has no HTTP side: SimulatorConfig(http=HttpConfig())")
        return self._web

    @property
    def port(self) -> int:
        return self._sftp.port if self._sftp else 0

    @property
    def host(self) -> str:
        return self.config.host

    @property
    def user(self) -> str:
        return self.config.user

    @property
    def password(self) -> str:
        return self.config.password or self.keys.password

    @property
    def host_key(self) -> str:
        """The host key as it stands in a known_hosts file: `ssh-ed25519 AAAA...`."""
        return self.keys.ssh_public_line("host_key")

    @property
    def operations(self) -> list[dict[str, Any]]:
        """What SFTP clients did: time, op, path, and more by kind."""
        return list(self._log.records)

    @property
    def charged(self) -> list[dict[str, Any]]:
        """The money that moved: the records of `charged.jsonl`."""
        return list(self._books.charged.records())

    @property
    def processed(self) -> list[dict[str, Any]]:
        """All lines answered: the records of `processed.jsonl`."""
        return list(self._books.processed.records())

    @property
    def files(self) -> list[dict[str, Any]]:
        """What happened to files: the records of `files.jsonl`."""
        return list(self._books.files.records())

    @property
    def faults_fired(self) -> list[dict[str, Any]]:
        """The faults that happened: the records of `faults.jsonl`."""
        return list(self._fired.records())

    @property
    def reports_waiting(self) -> list[str]:
        """Names of reports that are planned but not yet in the outbound folder."""
        return self._processor.waiting()

    @property
    def inbound(self) -> Path:
        return self.config.local(self.config.inbound)

    @property
    def outbound(self) -> Path:
        return self.config.local(self.config.outbound)

    @property
    def archive(self) -> Path | None:
        return self.config.local(self.config.archive) if self.config.archive else None

    def describe(self) -> dict[str, Any]:
        """What a merchant is told at onboarding, and where things lie."""
        config, keys = self.config, self.keys
        return {
            "host": config.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "host_key": self.host_key,
            "client_key": str(keys.ssh_path("client_key")),
            "doku_public_key": str(keys.public_path("doku")),
            "doku_private_key": str(keys.private_path("doku")),
            "merchant_private_key": str(keys.private_path("merchant")),
            "merchant_public_key": str(config.merchant_public_key or keys.public_path("merchant")),
            "root": str(config.root),
            "sftp_root": str(config.remote_root),
            "inbound": config.inbound,
            "outbound": config.outbound,
            "archive": config.archive,
            "control": str(config.root / "control.json"),
            "charged": str(config.root / "charged.jsonl"),
            "processed": str(config.root / "processed.jsonl"),
            "files": str(config.root / "files.jsonl"),
            "operations": str(config.log or config.root / "operations.jsonl"),
            **({"http": self.web.describe()} if self._web else {}),
        }
