"""A merchant with bills at DOKU, for tests of Recurring: bills as registered, notifications as DOKU would send them."""

import hashlib
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa

from include.domain.bill_events import PaymentResult
from include.domain.bill_life import BillEventKind
from include.domain.states import NotificationKind, NotificationState, RunKind
from include.flows.recurring.payments import apply_payment
from include.flows.recurring.terms import reader_of, terms_of
from include.ledger.bill_payments import judge, lock_charges
from include.ledger.bill_tables import bill, bill_attempt, bill_charge, bill_outcome, bill_testimony, bill_told
from include.ledger.bill_telling import all_told
from include.ledger.bill_testimonies import keep_said
from include.ledger.bills import BillEvent, Key, happen
from include.ledger.inbox import Arrived, Waiting, conclude, store
from include.ledger.inbox_tables import notification
from include.ledger.runs import Run
from include.ledger.tables import recon_break
from tests.flows_harness import MORNING, Merchant

SOURCE = "insurance"
_numbers = itertools.count(1)

RECURRING = {"recurring": {"dialect": "json", "ask_by": "{billing_number}/{day:yyyy-MM-dd}"}}
"""What makes the merchant of the flows' harness one that has bills too."""


def payment(reference: str, billing_number: str = "B-1", code: str | None = "0000", **changes: Any) -> PaymentResult:
    """A payment result: paid, unless the code says otherwise."""
    paid = code in ("0000", "0011")
    values = {
        "reference": reference, "billing_number": billing_number, "customer_id": "K-1", "response_code": code,
        "succeeded": paid, "word": "SUCCESS" if paid else "FAILED", "amount": 100_000, "currency": "IDR",
        "paid_at": MORNING, "approval_code": "A1" if paid else None,
    }  # fmt: skip
    return PaymentResult(**{**values, **changes})


@dataclass
class Bills:
    """What tests of bills do with a merchant."""

    merchant: Merchant

    def register(self, billing_number: str = "B-1", **changes: Any) -> None:
        """A bill that DOKU has taken: 100,000 on the 20th of each month, since the first of the month."""
        values = {
            "billing_source": self.merchant.profile.billing_source, "billing_number": billing_number,
            "profile": self.merchant.profile.name, "customer_id": "K-1", "amount": 100_000, "currency": "IDR",
            "schedule": "date", "schedule_on": "20", "months": None, "starts_on": date(2026, 11, 1), "ends_on": None,
            "registration": "link", "terms_digest": "0" * 64, "listed_as": "0" * 64, "state": "active",
            "registered_at": datetime.fromisoformat("2026-11-01T03:00:00+00:00"),
        }  # fmt: skip
        row = {**values, **changes}
        key = Key(row["billing_source"], billing_number)
        with self.merchant.ledger.write() as connection:
            connection.execute(sa.insert(bill).values(row))
            if row["state"] == "active":  # and what has made it so
                terms = {"terms": row["terms_digest"], "asked_by": "link"}
                for kind in (BillEventKind.WANTED, BillEventKind.ASKED, BillEventKind.REGISTERED):
                    happen(connection, key, BillEvent(kind, row["registered_at"], "a test", terms))

    def change(self, billing_number: str = "B-1", **values: Any) -> None:
        """The register says something else of a bill."""
        with self.merchant.ledger.write() as connection:
            connection.execute(sa.update(bill).where(bill.c.billing_number == billing_number).values(**values))

    def notify(self, event: PaymentResult, run_id: int | None = None) -> str:
        """A notification is stored, and taken in; what became of it."""
        ledger, now = self.merchant.ledger, self.merchant.now
        body = json.dumps(event.__dict__, default=str).encode()
        arrived = Arrived(
            profile=self.merchant.profile.name, kind=NotificationKind.PAYMENT, body=body, received_at=now,
            content_digest=hashlib.sha256(body + str(next(_numbers)).encode()).hexdigest(),
        )  # fmt: skip
        with ledger.write() as connection:
            notification_id, _ = store(connection, arrived)
        waiting = Waiting(notification_id, arrived.profile, arrived.kind, None, body, None, now, now)
        with ledger.write() as connection:
            words = apply_payment(self.merchant.context, connection, waiting, event, run_id)
            conclude(connection, notification_id, NotificationState.DONE, words, run_id, now)
        return words

    def says(self, witness: str, status: str, reference: str | None, day: date | None, **said: Any) -> None:
        """DOKU when asked, or a person, says something of a transaction or of the charge of a day."""
        context = self.merchant.context
        values = {
            "profile": context.profile.name, "billing_source": context.profile.billing_source, "reference": reference,
            "billing_number": "B-1", "expected_on": day, "witness": witness, "status": status, "currency": "IDR",
            "said_by": "x", "said_at": self.merchant.now, "kept_at": self.merchant.now, "evidence": "x",
        }  # fmt: skip
        with self.merchant.ledger.write() as connection:
            lock_charges(connection, context.profile.name)
            keep_said(connection, {**values, **said})
            about = {reference} if reference else set()
            judge(connection, terms_of(context), reader_of(context), about, [("B-1", day)] if day else [])

    def forget(self) -> None:
        """Nothing was said or expected; the register stays."""
        with self.merchant.ledger.write() as connection:
            for table in (
                bill_told,
                bill_outcome,
                bill_attempt,
                bill_testimony,
                bill_charge,
                notification,
                recon_break,
            ):
                connection.execute(sa.delete(table))

    def run(self) -> Run:
        """A run of Recurring for the day that it is."""
        return self.merchant.run(RunKind.RECURRING, business_date=self.merchant.context.today)

    def sql(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the ledger."""
        return self.merchant.sql(query, **values)

    def status(self, reference: str) -> str | None:
        """The outcome that a transaction has."""
        rows = self.sql(
            "SELECT status FROM bill_outcome WHERE reference = :reference ORDER BY strength DESC", reference=reference
        )
        return rows[0]["status"] if rows else None

    def breaks(self, *, resolved: bool = False) -> list[tuple[str, str]]:
        """(kind, subject) of the breaks that are not resolved, or of those that are."""
        rows = self.sql("SELECT kind, subject, state FROM recon_break ORDER BY kind, subject")
        return [(row["kind"], row["subject"]) for row in rows if (row["state"] == "resolved") is resolved]

    def tables(self) -> Mapping[str, Any]:
        """What is known in the end, without what tells when and in which order it came."""
        queries = {
            "attempts": "SELECT reference, billing_number, expected_on, customer_id, amount, currency, charged_on "
            "FROM bill_attempt",
            "outcomes": "SELECT reference, status, response_code, approval_code, amount, witness FROM bill_outcome",
            "charges": "SELECT charge_id, amount FROM bill_charge",
            "said": "SELECT reference, billing_number, status, response_code, amount FROM bill_testimony",
            # One that was open for a while because the rest had not come yet stays in the table, as resolved.
            "breaks": "SELECT kind, subject, invoice_number, amount, details, state FROM recon_break "
            "WHERE closed_reason IS NULL OR closed_reason NOT LIKE 'what was said since%'",
        }
        found = {
            name: sorted((tuple(row.values()) for row in self.sql(query)), key=repr) for name, query in queries.items()
        }
        return {**found, "told": self._told()}

    def _told(self) -> list[tuple[Any, ...]]:
        """What the merchant is told of transactions of their own charges; which others they were of before is order."""
        with self.merchant.ledger.read() as connection:
            rows = all_told(connection, self.merchant.profile.name)
        names = ("charge_id", "reference", "status", "amount", "response_code", "approval_code")
        own = (row for row in rows if "of another charge" not in (row["response_message"] or ""))
        return sorted((tuple(row[name] for name in names) for row in own), key=repr)
