"""Bills registered by a file in the inbound folder, by a layout, in an envelope or not."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.doku_simulator.envelope import BadEnvelopeError, EnvelopeForm, open_sealed
from tests.doku_simulator.intake import Intake
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.layout import BadFileError, Layout, Value, read_file
from tests.doku_simulator.web.answers import Refused
from tests.doku_simulator.web.bills import Bills
from tests.doku_simulator.web.settings import zulu
from tests.doku_simulator.web.store import Store

_NAMES: Final = {
    "name": "customer_name",
    "customer_email": "email",
    "customer_phone": "phone",
    "schedule": "execute_type",
    "schedule_kind": "execute_type",
    "schedule_type": "execute_type",
    "schedule_on": "execute_date",
    "execute_on": "execute_date",
    "months": "execute_month",
    "execute_months": "execute_month",
    "schedule_months": "execute_month",
    "starts_on": "start",
    "start_date": "start",
    "ends_on": "end",
    "end_date": "end",
    "flat_status": "flat",
}
"""What a layout's sources may be called, beside our own names; what stands before the dot does not count."""


class BillFiles:
    """Takes such files and registers their bills, each file once; what is wrong with a line is noted."""

    def __init__(
        self,
        intake: Intake,
        layout: Layout,
        key: RSAPrivateKey | None,
        form: EnvelopeForm,
        bills: Bills,
        store: Store,
        journal: Journal,
        archive: Path | None,
        reject: Callable[[str, str], None],
        now: Callable[[], float],
    ) -> None:
        self._intake, self._layout, self._key, self._form = intake, layout, key, form
        self._bills, self._store, self._journal, self._archive = bills, store, journal, archive
        self._reject, self._now = reject, now

    def take(self, settle_seconds: float) -> int:
        """Take what is ready; how many files were done."""
        for path in self._intake.ready(settle_seconds):
            self._intake.take(path)
        spooled = self._intake.spooled()
        for path in spooled:
            self._process(path, self._intake.name_of(path))
        return len(spooled)

    def _process(self, path: Path, name: str) -> None:
        data = path.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        try:
            with self._store.change():
                if self._store.get(f"bill_file:{digest}"):
                    facts: dict[str, Any] = {"event": "again"}
                else:
                    facts = {"event": "processed", **self._register(data, digest)}
                    self._store.put(f"bill_file:{digest}", name)
        except (BadEnvelopeError, BadFileError) as error:
            facts = {"event": "rejected", "reason": str(error)}
            self._reject(name, str(error))
        event = {**facts, "event": f"file {facts['event']}"}
        self._journal.append([{"at": zulu(self._now()), "name": name, "digest": digest, **event}])
        if self._archive is None:
            path.unlink()
        else:
            shutil.move(path, self._archive / name)

    def _register(self, data: bytes, digest: str) -> dict[str, Any]:
        plain = open_sealed(data, self._key, self._form) if self._key else data
        file = read_file(self._layout, plain)
        good, refused = 0, []
        for number, row in enumerate(file.details, file.first_line):
            facts = _facts(dict(zip(file.fields, row, strict=True)))
            token = str(facts.pop("token", None) or "")
            try:
                self._bills.register(facts, f"{digest[:16]}-{number}", token)
                good += 1
            except Refused as error:
                refused.append({"line_no": number, "billing_number": facts.get("billing_number"), "reason": str(error)})
        return {"count": good, "refused": refused}


def _facts(row: dict[str, Value]) -> dict[str, Any]:
    named = {source.partition(".")[2] or source: value for source, value in row.items()}
    return {_NAMES.get(name, name): value for name, value in named.items() if value is not None}
