"""A ledger to try rules on: rows staged as validation would leave them, claims, outcomes by whoever witnessed them."""

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from include.domain.fingerprints import token_fingerprint
from include.domain.invoice_numbers import charge_stem
from include.domain.states import BatchState, OutcomeStatus, RunKind
from include.ledger import tables
from include.ledger.bulk import insert_frame
from include.ledger.claims import BatchPlan, claim
from include.ledger.events import Note, enter
from include.ledger.layouts import keep_layout
from include.ledger.runs import Run, RunRequest, open_run
from include.ledger.store import Ledger
from include.ledger.work_tables import staged_charge
from tests.flows_harness import BUSINESS_DATE, MORNING, TOKEN

SOURCE = "billing"
_numbers = itertools.count(1)

_TYPES = {
    "row_no": pa.int64(), "amount": pa.int64(), "due_date": pa.date32(), "attempt_no": pa.int64(), "late": pa.bool_(),
}  # fmt: skip


def row(charge_id: str | None, amount: int = 1000, **changes: Any) -> dict[str, Any]:
    """A row of the view as validation leaves it: a good one, unless `changes` say otherwise."""
    values = {
        "charge_id": charge_id, "customer_id": f"K-{charge_id}", "billing_number": None, "token": TOKEN,
        "amount": amount, "currency": "IDR", "due_date": BUSINESS_DATE, "channel": None, "description": None,
        "network": None, "billing_period": None, "attempt_no": None, "late": False, "reasons": None,
    }  # fmt: skip
    return {**values, **changes}


def frame_of(rows: list[dict[str, Any]], source: str = SOURCE, key: bytes = b"lab") -> pd.DataFrame:
    """Rows as a frame for `staged_charge`."""
    numbered = [{"row_no": number, **one} for number, one in enumerate(rows, start=1)]
    for one in numbered:
        one["stem"] = charge_stem(source, one["charge_id"]) if one["charge_id"] is not None else None
        one["fingerprint"] = token_fingerprint(key, one["token"]) if one["token"] is not None else None
    columns = list(numbered[0]) if numbered else []
    arrays = {name: pa.array([one[name] for one in numbered], _TYPES.get(name, pa.string())) for name in columns}
    return pa.table(arrays).to_pandas(types_mapper=pd.ArrowDtype)


@dataclass
class Lab:
    """See the module."""

    ledger: Ledger
    now: datetime = MORNING

    def __post_init__(self) -> None:
        with self.ledger.write() as connection:
            keep_layout(connection, digest="d" * 64, name="l", kind="batch", text="", at=self.now)

    def run(self, *, business_date: date = BUSINESS_DATE, today: date = BUSINESS_DATE, **request: Any) -> Run:
        values = {"profile": "insurance", "external_id": f"run-{next(_numbers)}", **request}
        asked = RunRequest(kind=RunKind.SUBMIT, business_date=business_date, today=today, **values)
        return open_run(self.ledger, asked, self.now)

    def plan(self, **changes: Any) -> BatchPlan:
        known = BatchPlan.__dataclass_fields__
        values = {
            "merchant": "M", "billing_source": SOURCE, "profile": "insurance", "execute_date": BUSINESS_DATE,
            "remote_folder": "sftp:/inbound", "layout_digest": "d" * 64, "max_rows": 1000, "max_total": 10**12,
            "file_name": lambda day, sequence: f"TKN_{day:%Y%m%d}_{sequence}.TXT", "release_by_person": False,
        }  # fmt: skip
        base = BatchPlan(**{name: value for name, value in values.items() if name in known})
        return replace(base, **changes)

    def claim(self, *rows: dict[str, Any], run: Run | None = None, **changes: Any) -> tuple[Run, list[int]]:
        """Stage rows and claim."""
        run = run or self.run(profile=changes.get("profile", "insurance"))
        plan = self.plan(**changes)
        reading: dict[str, tuple[int, int]] = {}
        for one in rows:
            count, amount = reading.get(one["currency"] or "?", (0, 0))
            reading[one["currency"] or "?"] = (count + 1, amount + one["amount"])
        with self.ledger.workspace() as workspace:
            if rows:
                with workspace.stage() as connection:
                    insert_frame(connection, staged_charge, frame_of(list(rows), plan.billing_source))
            return run, claim(workspace, run, plan, reading, self.now)

    def move(self, batch_id: int, *states: BatchState) -> None:
        """Take a batch through states."""
        with self.ledger.write() as connection:
            for state in states:
                assert enter(connection, batch_id, state, Note(self.now, "test"))

    def sent(self, *rows: dict[str, Any], **changes: Any) -> int:
        """Claim rows and deliver their one batch; its id."""
        _, (batch_id,) = self.claim(*rows, **changes)
        self.move(
            batch_id, BatchState.SEALED, BatchState.DELIVERING, BatchState.RENAMING, BatchState.DELIVERED
        )  # fmt: skip
        return batch_id

    def outcome(self, invoice_number: str, status: OutcomeStatus | str, **columns: Any) -> None:
        """An outcome that a person witnessed."""
        values = {"invoice_number": invoice_number, "status": str(status), "decided_at": self.now, "witness": "person"}
        with self.ledger.write() as connection:
            connection.execute(tables.outcome.insert().values({**values, **columns}))

    def hold(self, scope: str, subject: str, **columns: Any) -> None:
        values = {
            "billing_source": SOURCE, "scope": scope, "subject": subject, "profile": "insurance", "placed_by": "ani",
            "placed_at": self.now, "reason": "asked to",
        }  # fmt: skip
        with self.ledger.write() as connection:
            connection.execute(tables.hold.insert().values({**values, **columns}))

    def invoice(self, charge_id: str, attempt_no: int = 1) -> str:
        (found,) = self.sql(
            "SELECT invoice_number FROM attempt WHERE charge_id = :id AND attempt_no = :no", id=charge_id, no=attempt_no
        )
        return found["invoice_number"]

    def fates(self, run: Run) -> Counter[tuple[str, str, str]]:
        """(charge, term, reason) of every row of a run, from the records that it left behind."""
        passed = self.sql("SELECT charge_id, fate, reason FROM run_charge WHERE run_id = :id", id=run.run_id)
        kept = self.sql("SELECT charge_id, reasons FROM quarantined_charge WHERE run_id = :id", id=run.run_id)
        claimed = self.sql(
            "SELECT a.charge_id, a.rule FROM attempt a JOIN batch b USING (batch_id) WHERE b.run_id = :id",
            id=run.run_id,
        )
        return Counter(
            [(one["charge_id"], one["fate"], one["reason"]) for one in passed]
            + [(one["charge_id"], "quarantined", one["reasons"]) for one in kept]
            + [(one["charge_id"], "claimed", one["rule"]) for one in claimed]
        )

    def sql(self, query: str, **values: Any) -> list[dict[str, Any]]:
        with self.ledger.engine.connect() as connection:
            return [dict(one) for one in connection.execute(sa.text(query), values).mappings()]

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every row of every table."""
        with self.ledger.engine.connect() as connection:
            return {
                name: sorted(map(tuple, connection.execute(sa.text(f'SELECT * FROM "{name}"'))), key=repr)
                for name in sa.inspect(self.ledger.engine).get_table_names()
            }
