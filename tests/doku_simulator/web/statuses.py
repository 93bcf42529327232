"""The status question: answered from the journals of batches and of scheduled charges."""

import json
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tests.doku_simulator import bank
from tests.doku_simulator.web.settings import HttpConfig, zulu
from tests.doku_simulator.web.store import Store

STATUSES: Final = frozenset({"PENDING", "SUCCESS", "FAILED", "EXPIRED", "REFUNDED", "TIMEOUT", "REDIRECT", "VOIDED"})

Record = dict[str, Any]


class BatchLines:
    """The lines of `processed.jsonl` by invoice number; the file grows, and what is new is read when asked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._read_to = 0
        self._places: dict[str, int] = {}

    def find(self, invoice_number: str) -> Record | None:
        with self._lock:
            if not self._path.exists():
                return None
            with self._path.open("rb") as lines:
                self._catch_up(lines)
                if invoice_number not in self._places:
                    return None
                lines.seek(self._places[invoice_number])
                return dict(json.loads(lines.readline()))

    def _catch_up(self, lines: Any) -> None:
        lines.seek(self._read_to)
        for line in iter(lines.readline, b""):
            if not line.endswith(b"\n"):
                break
            record = json.loads(line)
            if not record["duplicate"]:
                self._places.setdefault(record["invoice_number"], self._read_to)
            self._read_to += len(line)


class Statuses:
    """What DOKU says about a transaction.

    Args:
        scheduled: Finds a record of `recurring.jsonl` by any of its ids.
        registration: Finds (status, moment, facts) of a registration by its Request-Id.
    """

    def __init__(
        self,
        store: Store,
        config: HttpConfig,
        lines: BatchLines,
        scheduled: Callable[[str], Record | None],
        registration: Callable[[str], Record | None],
        now: Callable[[], float],
    ) -> None:
        self._store, self._config, self._now = store, config, now
        self._lines, self._scheduled, self._registration = lines, scheduled, registration

    def put(self, number: str, status: str | None) -> None:
        """From now on this transaction has that status, whatever happened; None: what happened."""
        if status is None:
            self._store.run("delete from status where id = ?", number)
        elif status not in STATUSES:
            raise ValueError(f"there is no status {status!r}")
        else:
            self._store.run("insert or replace into status (id, status) values (?, ?)", number, status)

    def find(self, number: str) -> Record | None:
        """The body of the answer, or None: nobody knows this id."""
        if record := self._lines.find(number):
            return self._transaction(record["invoice_number"], record, "CREDIT_CARD", "")
        if record := self._scheduled(number):
            made = self._transaction(record["reference"], record, "RECURRING", record["request_id"])
            made["billing"] = {"billing_number": record["billing_number"]}
            made["customer"] = {"id": record["customer_id"]}
            return made
        if record := self._registration(number):
            return {
                "order": {"invoice_number": record["billing_number"], "amount": 0, "currency": "IDR"},
                "transaction": {
                    "status": record["status"],
                    "date": zulu(record["at"]),
                    "type": "SALE",
                    "original_request_id": number,
                },
                "service": {"id": "RECURRING"},
                "billing": {"billing_number": record["billing_number"]},
            }
        return None

    def _transaction(self, number: str, record: Record, service: str, request_id: str) -> Record:
        status = self._status(number, record)
        charged_at = datetime.fromisoformat(record["charged_at"]).timestamp()
        amount, code = int(record["reported"]), str(record["response_code"])
        if code in bank.UNKNOWN and status in {"SUCCESS", "FAILED"}:
            code = "0000" if status == "SUCCESS" else "0005"
        made: Record = {
            "order": {"invoice_number": number, "amount": amount, "currency": record["currency"]},
            "transaction": {
                "status": status,
                "date": zulu(charged_at),
                "type": "SALE" if service == "CREDIT_CARD" else "RECURRING",
                "original_request_id": request_id or number,
            },
            "service": {"id": "CREDIT_CARD"},
            "acquirer": {"id": "BANK_SIMULATED", "name": "Bank Simulated"},
            "channel": {"id": "CREDIT_CARD"},
        }
        if status != "PENDING":
            made["card_payment"] = {
                "card_masked": record["masked_card"],
                "approval_code": record["approval_code"]
                or (f"{sum(number.encode()):06d}" if status == "SUCCESS" else ""),
                "response_code": short(code) if self._config.code_width == 2 else code,
                "response_message": bank.message(code),
                "type": "RECURRING" if service == "RECURRING" else "MOTO",
                "request_id": request_id or number,
                "card_type": "CREDIT",
                "issuer": record["bank"],
                "brand": record["network"],
                "transaction_status": status,
                "date": zulu(charged_at),
            }
        return made

    def _status(self, number: str, record: Record) -> str:
        if rows := self._store.run("select status from status where id = ?", number):
            return str(rows[0][0])
        charged_at = datetime.fromisoformat(record["charged_at"]).timestamp()
        if 0 <= self._now() - charged_at < self._config.status_wait:
            return "PENDING"
        code = record["response_code"]
        if code in bank.APPROVED:
            return "SUCCESS"
        if code in bank.UNKNOWN:
            if self._config.status_knows == "never":
                return "TIMEOUT"
            return "SUCCESS" if record["charged"] else "FAILED"
        return "FAILED"


def short(code: str) -> str:
    """Response codes of issuers in two characters, as in the JSON interface; DOKU's own stay as they are."""
    return code[2:] if code.startswith("00") else code
