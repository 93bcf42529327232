"""A small merchant for tests of the flows: its databases, its profile, DOKU's server as a folder that fails on command.

Nothing is slept for and no port is opened: the clock is set by the test, and `FolderServer` has the methods of
`include.doku.sftp.SftpServer` over a local folder. DOKU's simulator works in that same folder when a test asks it to.
"""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from upath import UPath

from include.billing.outcomes import create_outcomes_table
from include.doku.sftp import RemoteFile
from include.domain.connection import ConnectionSettings
from include.domain.errors import RemoteError, RemoteRefused
from include.domain.states import RunKind
from include.flows.artefacts import Artefacts
from include.flows.close import close_submit_run
from include.flows.context import FlowContext
from include.flows.deliver import deliver
from include.flows.fetch import fetch_reports, look_for_reports
from include.flows.ingest import Ingested, ingest_fetched
from include.flows.plan_next import plan_next_attempts
from include.flows.reconcile import close_reconcile_run, conclude_batches, write_back
from include.flows.seal import render_and_seal
from include.flows.submit import extract_and_claim
from include.ledger.runs import Run, RunRequest, open_run
from include.ledger.store import Ledger, ledger_engine
from include.schemas.profile import SHIPPED_CONFIG, Profile, load_profile
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.simulator import Simulator
from tests.stack.toml import changed, dumps

BUSINESS_DATE = date(2026, 11, 20)
"""A Friday."""

MORNING = datetime(2026, 11, 19, 23, 0, tzinfo=UTC)
"""06:00 in Jakarta on the business date: 15 hours before the cut-off."""

CUTOFF = datetime(2026, 11, 20, 14, 0, tzinfo=UTC)
"""21:00 in Jakarta on the business date."""

TOKEN = "0123456789abcdef0123456789abcdef"

_COLUMNS = {
    "charge_id": "VARCHAR(60)",
    "customer_id": "VARCHAR(60)",
    "billing_number": "VARCHAR(60)",
    "token": "VARCHAR(200)",
    "amount": "DECIMAL(18,2)",
    "currency": "VARCHAR(10)",
    "due_date": "DATE",
    "channel": "VARCHAR(60)",
    "description": "VARCHAR(200)",
    "attempt_no": "INTEGER",
}

_numbers = itertools.count(1)

Effect = Callable[[], None] | BaseException


def token_of(charge_id: str) -> str:
    """The token of a charge's customer: each has one of its own, and `TOKEN` is in all of them."""
    return f"{TOKEN}{hashlib.sha256(str(charge_id).encode()).hexdigest()[:8]}"


def charge(charge_id: str, amount: int | str = 150_000, **changes: Any) -> dict[str, Any]:
    """A good row of `doku_due_charges`."""
    row = {
        "charge_id": charge_id, "customer_id": f"K-{charge_id}", "billing_number": None, "token": token_of(charge_id),
        "amount": amount, "currency": "IDR", "due_date": BUSINESS_DATE.isoformat(), "channel": "CREDIT_CARD",
        "description": "Premi", "attempt_no": None,
    }  # fmt: skip
    return {**row, **changes}


@dataclass
class Fault:
    """Something that happens when the server is asked for the nth time to do `op` at a path that matches.

    Attributes:
        before: Raised or called in place of doing it.
        after: Raised or called once it is done: the answer is lost.
        keep: For `write`: so many bytes are written before `before` happens.
    """

    op: str
    match: str = "*"
    nth: int = 1
    times: int = 1
    before: Effect | None = None
    after: Effect | None = None
    keep: int = 0
    seen: int = 0

    def happens(self, op: str, path: str) -> bool:
        if self.op != op or not fnmatch(path, self.match):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


def lost(what: str = "the answer") -> RemoteError:
    """No answer came."""
    return RemoteError(f"The connection broke before {what} came.")


def refused(what: str = "it") -> RemoteRefused:
    """The server said no."""
    return RemoteRefused(f"The server refused {what}.")


class FolderServer:
    """What `SftpServer` can do, over a local folder, with faults on command and a log of what was asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = "server"
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str]] = []
        self.sessions = 0

    def plan(self, op: str, **settings: Any) -> Fault:
        """Order a fault."""
        fault = Fault(op, **settings)
        self.faults.append(fault)
        return fault

    def files(self, folder: str) -> dict[str, bytes]:
        """What lies in a folder, by name."""
        return {path.name: path.read_bytes() for path in sorted(self._at(folder).iterdir()) if path.is_file()}

    def put(self, path: str, content: bytes) -> None:
        """Somebody else writes a file."""
        self._at(path).write_bytes(content)

    def asked(self, op: str) -> list[str]:
        """Paths that an operation was asked for."""
        return [path for done, path in self.log if done == op]

    @contextmanager
    def session(self) -> Iterator["FolderServer"]:
        """What `FlowContext.remote` gives."""
        self.sessions += 1
        with self._fault("connect", ""):
            pass
        yield self

    # --- as SftpServer --------------------

    def list(self, folder: str) -> list[RemoteFile]:
        with self._fault("list", folder):
            if not self._at(folder).is_dir():
                raise refused(f"listing {folder}")
            return [self._seen(path) for path in sorted(self._at(folder).iterdir()) if path.is_file()]

    def stat(self, path: str) -> RemoteFile | None:
        with self._fault("stat", path):
            return self._seen(self._at(path)) if self._at(path).exists() else None

    def write(self, path: str, chunks: Iterable[bytes]) -> int:
        with self._fault("write", path, chunks):
            if self._at(path).exists():
                raise refused(f"writing {path}")
            with self._at(path).open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
        if not self._at(path).exists():
            raise refused(f"looking at {path}")
        return self._at(path).stat().st_size

    def read(self, path: str, size: int | None = None) -> Iterator[bytes]:
        with self._fault("read", path):
            if not self._at(path).exists():
                raise refused(f"reading {path}")
            yield self._at(path).read_bytes()

    def digest(self, path: str) -> tuple[str, int]:
        content = b"".join(self.read(path))
        return hashlib.sha256(content).hexdigest(), len(content)

    def rename(self, old: str, new: str) -> None:
        with self._fault("rename", new):
            if self._at(new).exists() or not self._at(old).exists():
                raise refused(f"renaming {old} to {new}")
            self._at(old).rename(self._at(new))

    def remove(self, path: str) -> None:
        with self._fault("remove", path):
            self._at(path).unlink(missing_ok=True)

    def _at(self, path: str) -> Path:
        return self.root / path.strip("/")

    @staticmethod
    def _seen(path: Path) -> RemoteFile:
        status = path.stat()
        return RemoteFile(path.name, status.st_size, int(status.st_mtime))

    @contextmanager
    def _fault(self, op: str, path: str, chunks: Iterable[bytes] = ()) -> Iterator[None]:
        self.log.append((op, path))
        due = [fault for fault in self.faults if fault.happens(op, path)]
        for fault in due:
            if fault.before is not None:
                if fault.keep:
                    self._at(path).write_bytes(b"".join(chunks)[: fault.keep])
                _happen(fault.before)
        yield
        for fault in due:
            if fault.after is not None:
                _happen(fault.after)


def _happen(effect: Effect) -> None:
    if isinstance(effect, BaseException):
        raise effect
    effect()


def without_fsync(ledger: Ledger) -> Ledger:
    """The same ledger; on SQLite it does not wait for the disk, which the tests have no need of."""
    if ledger.engine.dialect.name == "sqlite":

        @sa.event.listens_for(ledger.engine, "connect")
        def _hasten(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA synchronous = OFF")

    return ledger


@dataclass
class Merchant:
    """A merchant with everything that a flow needs; `context` is what an operator would look up."""

    root: Path
    ledger_settings: ConnectionSettings
    keys: Path
    changes: Mapping[str, Any] = field(default_factory=dict)
    now: datetime = MORNING
    waits: list[float] = field(default_factory=list)
    on_wait: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        self.remote_root = self.root / "remote"
        for folder in ("inbound", "outbound", "archive"):
            (self.remote_root / folder).mkdir(parents=True, exist_ok=True)
        self.server = FolderServer(self.remote_root)
        self.billing_file = self.root / "billing.db"
        self.billing = sa.create_engine(f"sqlite:///{self.billing_file}", poolclass=sa.NullPool)
        self._make_billing()
        self.profile_file = self.write_profile("insurance", self.changes)
        self.ledger = without_fsync(Ledger.open(ledger_engine(self.ledger_settings)))
        self.artefacts = self.root / "artefacts"
        self.context = self.context_for(load_profile(self.profile_file))

    @property
    def profile(self) -> Profile:
        return self.context.profile

    @property
    def billing_settings(self) -> ConnectionSettings:
        return ConnectionSettings("insurance_billing", "sqlite", host=str(self.billing_file))

    def write_profile(self, name: str, changes: Mapping[str, Any]) -> Path:
        """The shipped profile, changed, with keys beside it."""
        import tomllib

        folder = self.root / "profiles"
        (folder / "keys").mkdir(parents=True, exist_ok=True)
        for mine, theirs in (("doku_public", "doku_public"), ("merchant_private", "merchant_private")):
            (folder / "keys" / f"{mine}.pem").write_bytes((self.keys / f"{theirs}.pem").read_bytes())
        shipped = tomllib.loads((SHIPPED_CONFIG / "profiles" / "insurance.toml").read_text(encoding="utf-8"))
        file = folder / f"{name}.toml"
        # A few charges of which many are bad: no brake of its own accord.
        small = changed(shipped, {"name": name, "brakes": {"max_quarantined_share": 1.0}})
        file.write_text(dumps(changed(small, changes)), encoding="utf-8")
        return file

    def context_for(self, profile: Profile, ledger: Ledger | None = None) -> FlowContext:
        """A context for another profile, or with another ledger."""
        return FlowContext(
            profile=profile,
            ledger=ledger or self.ledger,
            billing=lambda: self.billing,
            remote=self.server.session,  # type: ignore[arg-type]
            artefacts=Artefacts(UPath(self.artefacts.as_uri())),
            clock=lambda: self.now,
            wait=self._wait,
        )

    def changed(self, changes: Mapping[str, Any]) -> FlowContext:
        """A context with other settings of the profile."""
        self.context = self.context_for(load_profile(self.write_profile("insurance", changed(self.changes, changes))))
        return self.context

    # --- the billing database --------------------

    def list_charges(self, *rows: Mapping[str, Any]) -> None:
        """Add rows to the view."""
        names = list(_COLUMNS)
        statement = f"INSERT INTO charges ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
        with self.billing.begin() as connection:
            connection.execute(sa.text(statement), [dict(row) for row in rows])

    def change_charges(self, assignment: str, **values: Any) -> None:
        """`UPDATE charges SET ...`"""
        with self.billing.begin() as connection:
            connection.execute(sa.text(f"UPDATE charges SET {assignment}"), values)

    def told(self) -> dict[tuple[str, int], dict[str, Any]]:
        """What `doku_charge_outcomes` says, by charge and attempt."""
        with self.billing.connect() as connection:
            rows = connection.execute(sa.text("SELECT * FROM doku_charge_outcomes")).mappings().all()
        return {(row["charge_id"], row["attempt_no"]): dict(row) for row in rows}

    def _make_billing(self) -> None:
        if self.billing_file.exists():
            return
        described = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
        with self.billing.begin() as connection:
            connection.execute(sa.text(f"CREATE TABLE charges ({described})"))
            connection.execute(sa.text("CREATE VIEW doku_due_charges AS SELECT * FROM charges"))
        create_outcomes_table(self.billing)

    # --- the flows --------------------

    def run(self, kind: RunKind = RunKind.SUBMIT, external_id: str = "", **request: Any) -> Run:
        """A run of the business date."""
        values = {"business_date": BUSINESS_DATE, "today": self.context.today, **request}
        asked = RunRequest(
            kind=kind, profile=self.profile.name, external_id=external_id or f"run-{next(_numbers)}", **values
        )
        return open_run(self.ledger, asked, self.now)

    def claim(self, external_id: str = "", **request: Any) -> tuple[Run, list[int]]:
        """Read the view and claim."""
        run = self.run(RunKind.SUBMIT, external_id, **request)
        return run, extract_and_claim(self.context, run)

    def seal(self, external_id: str = "", **request: Any) -> tuple[Run, list[int]]:
        """Claim and seal."""
        run, batch_ids = self.claim(external_id, **request)
        for batch_id in batch_ids:
            render_and_seal(self.context, batch_id, run.run_id)
        return run, batch_ids

    def submit(self, external_id: str = "", **request: Any) -> tuple[Run, list[int]]:
        """The whole of `doku_submit__<profile>`."""
        run, batch_ids = self.seal(external_id, **request)
        for batch_id in batch_ids:
            deliver(self.context, batch_id, run.run_id)
        close_submit_run(self.context, run)
        return run, batch_ids

    def fetch(self) -> list[int]:
        """Fetch whatever is there."""
        return fetch_reports(self.context, [seen.file_name for seen in look_for_reports(self.context).listed])

    def reconcile(self, external_id: str = "") -> list[Ingested]:
        """The whole of `doku_reconcile__<profile>`; what was taken in."""
        run = self.run(RunKind.RECONCILE, external_id)
        self.fetch()
        ingested = ingest_fetched(self.context)
        conclude_batches(self.context, run.run_id)
        plan_next_attempts(self.context, run.run_id)
        write_back(self.context)
        close_reconcile_run(self.context, run)
        return ingested

    def _wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        if self.on_wait:
            self.on_wait()

    # --- what is there --------------------

    def sql(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the ledger."""
        with self.ledger.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(query), values).mappings()]

    def batch(self, batch_id: int) -> dict[str, Any]:
        """A batch's row."""
        return self.sql("SELECT * FROM batch WHERE batch_id = :id", id=batch_id)[0]

    def states(self, batch_id: int) -> list[str]:
        """The states that a batch went through."""
        events = self.sql("SELECT state FROM event WHERE batch_id = :id ORDER BY batch_event_no", id=batch_id)
        return [event["state"] for event in events]

    def invoices(self) -> dict[str, str]:
        """Charge id -> the invoice number of its last attempt."""
        rows = self.sql("SELECT charge_id, invoice_number FROM attempt ORDER BY attempt_no")
        return {row["charge_id"]: row["invoice_number"] for row in rows}

    def dump(self, *without: str) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table of the ledger, the billing database's outcomes, and every remote file."""
        found: dict[str, list[tuple[Any, ...]]] = {}
        inspector = sa.inspect(self.ledger.engine)
        with self.ledger.engine.connect() as connection:
            for table in sorted(set(inspector.get_table_names()) - set(without)):
                found[table] = sorted(map(tuple, connection.execute(sa.text(f'SELECT * FROM "{table}"'))), key=repr)
        found["outcomes told"] = sorted((tuple(row.values()) for row in self.told().values()), key=repr)
        for folder in ("inbound", "outbound", "archive"):
            found[f"files in {folder}"] = list(self.server.files(folder).items())
        found["kept files"] = sorted(str(path) for path in self.artefacts.rglob("*") if path.is_file())
        return {name: rows for name, rows in found.items() if name not in without}

    # --- DOKU --------------------

    @contextmanager
    def doku(self, **settings: Any) -> Iterator[Simulator]:
        """DOKU's simulator in this merchant's remote folders; it works when told to."""
        root = self.root / "doku"
        (root / "keys").mkdir(parents=True, exist_ok=True)
        for file in self.keys.iterdir():
            (root / "keys" / file.name).write_bytes(file.read_bytes())
        config = SimulatorConfig(root=root, sftp=False, sftp_root=self.remote_root, auto=False, process_after=0)
        with Simulator(replace(config, **settings)) as simulator:
            yield simulator

    def report(self, *lines: tuple[str, int, str], name: str = "RPT_1.TXT", **changes: Any) -> str:
        """Put a report (assumed-report, plain) into the folder: lines of (invoice number, amount, response code)."""
        self.server.put(f"/outbound/{name}", report_text(*lines, **changes))
        return name

    def later(self, **delta: float) -> None:
        """Let time pass."""
        self.now += timedelta(**delta)


def report_text(*lines: tuple[str, int, str], **header: Any) -> bytes:
    """A report by `assumed-report`, written without the package; `header` replaces fields of its first line."""
    paid = sum(code == "0000" for _, _, code in lines)
    fields: dict[str, Any] = {
        "record_type": "H", "batch_name": "B", "date": "20261120", "count": len(lines),
        "total": f"{sum(amount for _, amount, _ in lines)}.00", "success": paid, "failed": len(lines) - paid,
        "part": "", "parts": "", **header,
    }  # fmt: skip
    rows = ["|".join(str(value) for value in fields.values())]
    for invoice, amount, code in lines:
        approval = "A12345" if code == "0000" else ""
        rows.append(f"D|{invoice}|||{amount}.00|IDR||{code}||{approval}|||")
    return "".join(f"{row}\r\n" for row in rows).encode("ascii")
