"""The yardstick: the same rows and bytes through the tools that move them fastest, with no check and no promise.

Each step is one program of PostgreSQL, OpenSSL or OpenSSH. The rows of the ledger, the files and the reports are those
that our own run of the same size made.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tests.bench.ground import DAY, Servers
from tests.bench.meter import Cost, Meter, added
from tests.stack.scene import Scene

SUBMIT: Final = ("copy out", "copy in", "copy lines out", "seal", "copy claims", "put")
RECONCILE: Final = ("get", "open", "copy in", "update", "copy outcomes")

AS_LISTED: Final = frozenset({*SUBMIT, *RECONCILE} - {"copy claims"})
"""Claims are told to the merchant before anything leaves: rows that only our promises ask for."""

_DUE: Final = f"""
    SELECT charge_id, customer_id, billing_number, token, amount, currency, due_date, channel, description, network
    FROM doku_due_charges WHERE due_date IS NULL OR due_date <= '{DAY}' ORDER BY charge_id
"""
_LINES: Final = """
    SELECT line_no, invoice_number, customer_id, billing_number, token, amount, currency, execute_date, channel,
           description
    FROM yard_attempt_claim WHERE batch_id = {batch_id} ORDER BY line_no
"""
_REPORT_LINES: Final = """
    SELECT line_no, invoice_number, amount, currency, status, response_code, response_message, approval_code,
           masked_card, bank
    FROM report_line WHERE report_id = {report_id} ORDER BY line_no
"""
_TOLD_COLUMNS: Final = """
    billing_source, profile, charge_id, attempt_no, invoice_number, ledger_id, batch_name, status, response_code,
    response_message, approval_code, amount, currency, execute_date, decided_at, next_attempt_on, updated_at
"""
_CLAIMS: Final = """
    SELECT a.billing_source, a.profile, a.charge_id, a.attempt_no, a.invoice_number, 'ledger', b.file_name,
           'in_flight', NULL, NULL, NULL, a.amount, a.currency, a.execute_date, NULL, NULL, now()
    FROM {table} a JOIN batch b ON b.batch_id = a.batch_id
"""
_OUTCOMES: Final = """
    SELECT a.billing_source, a.profile, a.charge_id, a.attempt_no, a.invoice_number, 'ledger', b.file_name, a.status,
           a.response_code, a.response_message, a.approval_code, a.amount, a.currency, a.execute_date, now(), NULL,
           now()
    FROM yard_attempt a JOIN batch b ON b.batch_id = a.batch_id
"""
_UPDATE: Final = """
    UPDATE yard_attempt a SET status = CASE l.response_code WHEN '0000' THEN 'paid' ELSE 'declined' END,
        response_code = l.response_code, response_message = l.response_message, approval_code = l.approval_code
    FROM yard_line l WHERE l.invoice_number = a.invoice_number
"""


class Yardstick:
    """The yardstick of one scene that our flows have worked through."""

    def __init__(self, scene: Scene, servers: Servers, folder: Path) -> None:
        self._scene, self._servers, self._folder = scene, servers, folder
        self._billing, self._ledger = (str(sa.make_url(one.url).database) for one in (scene.billing, scene.ledger))
        folder.mkdir(parents=True, exist_ok=True)
        self._meter = Meter(servers.pids)

    def submit(self) -> list[Cost]:
        """Once; `prepare_submit` comes before it."""
        meter = self._meter
        lines = self._files("lines")
        with meter.stage("copy out"):
            self._out(self._billing, _DUE, self._folder / "due.csv")
        with meter.stage("copy in"):
            self._in(self._ledger, "yard_attempt_claim", self._folder / "attempts.csv")
        with meter.stage("copy lines out"):
            for path in lines:
                query = _LINES.format(batch_id=path.suffix[1:])
                self._out(self._ledger, query, path, "FORMAT csv, DELIMITER '|'")
        with meter.stage("seal"):
            for path in lines:
                self._shell(f"openssl enc -aes-256-ecb -K {'61' * 32} -in {path} | base64 -w 0 > {path}.sealed")
        with meter.stage("copy claims"):
            self._out(self._ledger, _CLAIMS.format(table="yard_attempt_claim"), self._folder / "claims.csv")
            self._in(self._billing, "yard_outcomes", self._folder / "claims.csv", _TOLD_COLUMNS)
        with meter.stage("put"):
            self._sftp([f"put {path}.sealed inbound/yard{path.suffix}" for path in lines])
        return self._costs()

    def prepare_submit(self) -> None:
        """What is not measured: empty tables with our indexes, the rows of the ledger as a file."""
        self._sql(self._ledger, "CREATE TABLE yard_attempt_claim (LIKE attempt INCLUDING INDEXES)")
        self._sql(self._billing, "CREATE TABLE yard_outcomes (LIKE doku_charge_outcomes INCLUDING INDEXES)")
        self._out(self._ledger, "SELECT * FROM attempt ORDER BY batch_id, line_no", self._folder / "attempts.csv")

    def prepare_reconcile(self) -> None:
        """The ledger's rows in a table with room for updates, and the merchant's table empty."""
        self._sql(
            self._ledger,
            "CREATE TABLE yard_attempt (LIKE attempt INCLUDING INDEXES) "
            "WITH (fillfactor = 45, autovacuum_enabled = off)",
            "ALTER TABLE yard_attempt ADD status text, ADD response_code text, ADD response_message text, "
            "ADD approval_code text",
            "INSERT INTO yard_attempt SELECT *, 'in_flight' FROM attempt ORDER BY batch_id, line_no",
            "ANALYZE yard_attempt",
            "CREATE UNLOGGED TABLE yard_line (line_no integer, invoice_number text, amount bigint, currency text, "
            "status text, response_code text, response_message text, approval_code text, masked_card text, bank text)",
        )
        self._sql(self._billing, "TRUNCATE yard_outcomes")
        self._plain_reports()

    def _plain_reports(self) -> None:
        """Reports of the same size sealed with the yardstick's own key: not measured."""
        for path in self._files("report"):
            query = _REPORT_LINES.format(report_id=path.suffix[1:])
            self._out(self._ledger, query, path)
            self._shell(f"openssl enc -aes-256-ecb -K {'61' * 32} -in {path} | base64 -w 0 > {path}.sealed")
            shutil.copyfile(f"{path}.sealed", self._scene.remote.files / "outbound" / f"yard{path.suffix}")
            (self._scene.remote.files / "outbound" / f"yard{path.suffix}").chmod(0o644)

    def reconcile(self) -> list[Cost]:
        """Once; `prepare_reconcile` comes before it."""
        meter, reports = self._meter, self._files("report")
        with meter.stage("get"):
            self._sftp([f"get outbound/yard{path.suffix} {path}.got" for path in reports])
        with meter.stage("open"):
            for path in reports:
                self._shell(f"base64 -d {path}.got | openssl enc -d -aes-256-ecb -K {'61' * 32} > {path}.open")
        with meter.stage("copy in"):
            for path in reports:
                self._in(self._ledger, "yard_line", Path(f"{path}.open"))
        with meter.stage("update"):
            self._sql(self._ledger, "ANALYZE yard_line", _UPDATE)
        with meter.stage("copy outcomes"):
            self._out(self._ledger, _OUTCOMES, self._folder / "outcomes.csv")
            self._in(self._billing, "yard_outcomes", self._folder / "outcomes.csv", _TOLD_COLUMNS)
        return self._costs()

    def _costs(self) -> list[Cost]:
        costs = added(self._meter.costs)
        self._meter.costs = []
        return costs

    def _files(self, kind: str) -> list[Path]:
        table, column = ("batch", "batch_id") if kind == "lines" else ("report_file", "report_id")
        engine = self._scene.ledger.engine()
        with engine.connect() as connection:
            ids = connection.scalars(sa.text(f"SELECT {column} FROM {table} ORDER BY 1")).all()
        return [self._folder / f"{kind}.{number}" for number in ids]

    def _out(self, database: str, query: str, path: Path, form: str = "FORMAT csv") -> None:
        with path.open("wb") as file:
            self._run([*self._servers.psql(database), "-c", f"COPY ({query}) TO STDOUT ({form})"], stdout=file)

    def _in(self, database: str, table: str, path: Path, columns: str = "") -> None:
        listed = f"({columns})" if columns else ""
        with path.open("rb") as file:
            command = [*self._servers.psql(database), "-c", f"COPY {table} {listed} FROM STDIN (FORMAT csv)"]
            self._run(command, stdin=file)

    def _sql(self, database: str, *statements: str) -> None:
        wanted = [part for statement in statements for part in ("-c", statement)]
        self._run([*self._servers.psql(database), *wanted])

    def _sftp(self, commands: Sequence[str]) -> None:
        batch = self._folder / "sftp"
        batch.write_text("\n".join(commands) + "\n")
        self._run(self._servers.sftp(batch), stdout=subprocess.DEVNULL)

    def _shell(self, command: str) -> None:
        self._run(["bash", "-o", "pipefail", "-c", command])

    @staticmethod
    def _run(command: Sequence[str], **streams: object) -> None:
        environment = {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"}
        subprocess.run(command, check=True, env=environment, **streams)  # type: ignore[call-overload]
