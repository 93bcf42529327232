"""A merchant who wants bills registered: the view, the table, DOKU's API as a list of answers, its notifications."""

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import sqlalchemy as sa

from include.billing.bills import create_status_table
from include.doku.api import ApiAnswer
from include.doku.words import CHARGE_NOTIFY, REGISTRATION_NOTIFY, WordsAccount, words_of
from include.domain.states import NotificationKind, RunKind
from include.flows.context import FlowContext, OneCheckout
from include.flows.recurring.run import Registered, register
from include.flows.recurring.take_in import TakenIn, take_in
from include.ledger.inbox import Arrived, store
from include.ledger.runs import Run
from tests.flows_harness import Merchant

TOKEN = "0123456789abcdef0123456789abcdef"
ACCOUNT = WordsAccount("12345", "s3cr3t")
RECURRING: Mapping[str, Any] = {"recurring": {"dialect": "json"}}
_COLUMNS = (
    "billing_number", "customer_id", "amount", "currency", "schedule", "schedule_on", "months", "starts_on", "ends_on",
    "description", "registration", "status", "customer_name", "email", "phone",
)  # fmt: skip
_numbers = itertools.count(1)


def wanted(billing_number: str = "B-1", **changes: Any) -> dict[str, Any]:
    """A good row of `doku_bills`: 100,000 on the 20th of each month, by link."""
    row = {
        "billing_number": billing_number, "customer_id": "K-1", "amount": "100000.00", "currency": "IDR",
        "schedule": "date", "schedule_on": "20", "months": None, "starts_on": "2026-11-01", "ends_on": None,
        "description": "Donasi", "registration": "link", "status": "wanted", "customer_name": "Ani",
        "email": "ani@example.org", "phone": None,
    }  # fmt: skip
    return {**row, **changes}


@dataclass
class FakeApi:
    """Answers calls like `DokuApi`: a link for a registration, yes to all else, or what is planned; once per id."""

    plans: list[BaseException | Mapping[str, Any]] = field(default_factory=list)
    calls: list[tuple[str, Mapping[str, Any], str]] = field(default_factory=list)
    answered: dict[str, Any] = field(default_factory=dict)
    before: Callable[[], None] | None = None

    def post(self, path: str, body: Mapping[str, Any], request_id: str) -> ApiAnswer:
        self.calls.append((path, json.loads(json.dumps(body)), request_id))
        if self.before:
            self.before()
        if request_id in self.answered:
            return ApiAnswer(409, self.answered[request_id], request_id, replay=True)
        plan = self.plans.pop(0) if self.plans else {"registration": {"url": f"https://doku.test/pay/{next(_numbers)}"}}
        if isinstance(plan, BaseException):
            raise plan
        self.answered[request_id] = plan
        return ApiAnswer(200, plan, request_id)


@dataclass
class Register:
    """What tests of the register do with a merchant."""

    merchant: Merchant

    def __post_init__(self) -> None:
        self.api = FakeApi()
        self._use()
        with self.merchant.billing.begin() as connection:
            described = ", ".join(f"{name} TEXT" for name in _COLUMNS)
            connection.execute(sa.text(f"CREATE TABLE bills ({described})"))
            connection.execute(sa.text("CREATE VIEW doku_bills AS SELECT * FROM bills"))
        create_status_table(self.merchant.billing)

    def _use(self) -> None:
        self.merchant.context = replace(
            self.merchant.context,
            api=lambda: self.api,  # type: ignore[arg-type, return-value]
            onecheckout=lambda: OneCheckout(ACCOUNT, "https://old.doku.test"),
        )

    @property
    def context(self) -> FlowContext:
        return self.merchant.context

    def changed(self, changes: Mapping[str, Any]) -> None:
        """Other settings of the profile."""
        self.merchant.changed(changes)
        self._use()

    # --- the merchant --------------------

    def want(self, *rows: Mapping[str, Any]) -> None:
        """Rows of the view, in place of those of the same number."""
        names = ", ".join(_COLUMNS)
        places = ", ".join(f":{name}" for name in _COLUMNS)
        with self.merchant.billing.begin() as connection:
            for row in rows:
                connection.execute(sa.text("DELETE FROM bills WHERE billing_number = :billing_number"), dict(row))
            connection.execute(sa.text(f"INSERT INTO bills ({names}) VALUES ({places})"), [dict(row) for row in rows])

    def also(self, *rows: Mapping[str, Any]) -> None:
        """More rows, whatever their numbers."""
        names, places = ", ".join(_COLUMNS), ", ".join(f":{name}" for name in _COLUMNS)
        with self.merchant.billing.begin() as connection:
            connection.execute(sa.text(f"INSERT INTO bills ({names}) VALUES ({places})"), [dict(row) for row in rows])

    def told(self, billing_number: str = "B-1") -> dict[str, Any]:
        """What `doku_bill_status` says of a bill."""
        with self.merchant.billing.connect() as connection:
            statement = sa.text("SELECT * FROM doku_bill_status WHERE billing_number = :number")
            return dict(connection.execute(statement, {"number": billing_number}).mappings().one())

    # --- DOKU --------------------

    def registered(self, billing_number: str = "B-1", status: str = "SUCCESS", **changes: Any) -> dict[str, Any]:
        """The body of a registration's result."""
        at: datetime = changes.pop("at", self.merchant.now)
        return {
            "billing": {"billing_number": billing_number},
            "customer": {"id": changes.pop("customer_id", "K-1")},
            "transaction": {"status": status, "date": at.isoformat()},
            "token": {"id": changes.pop("token", TOKEN), "card_masked": changes.pop("card", "411111******1111")},
            **changes,
        }

    def hear(
        self,
        body: Any,
        kind: NotificationKind = NotificationKind.REGISTRATION,
        received_at: datetime | None = None,
        *,
        form: bool = False,
        request_id: str | None = None,
    ) -> int:
        """DOKU's notification comes into the inbox; its id."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        arrived = Arrived(
            profile=self.merchant.profile.name, kind=kind, body=raw, received_at=received_at or self.merchant.now,
            content_digest=hashlib.sha256(raw).hexdigest(),
            request_id=None if form else request_id or hashlib.sha256(raw).hexdigest()[:12],
        )  # fmt: skip
        with self.merchant.ledger.write() as connection:
            return store(connection, arrived)[0]

    def hear_form(self, fields: Mapping[str, str], *, charge: bool = False) -> int:
        """The same in the older interface, signed."""
        recipe = CHARGE_NOTIFY if charge else REGISTRATION_NOTIFY
        kind = NotificationKind.PAYMENT if charge else NotificationKind.REGISTRATION
        signed = {**fields, "WORDS": words_of(recipe, fields, ACCOUNT)}
        return self.hear(urlencode(signed).encode(), kind, form=True)

    # --- the flows --------------------

    def new_run(self, **request: Any) -> Run:
        return self.merchant.run(RunKind.RECURRING, business_date=self.context.today, **request)

    def register(self, **request: Any) -> Registered:
        """One run of the register."""
        return register(self.context, self.new_run(**request))

    def take_in(self) -> TakenIn:
        """One run of taking in."""
        return take_in(self.context, self.new_run().run_id)

    def live(self, *numbers: str, **changes: Any) -> None:
        """Bills that are wanted, asked for and registered."""
        self.want(*(wanted(number, **changes) for number in numbers or ("B-1",)))
        self.register()
        self.merchant.later(minutes=5)
        for number in numbers or ("B-1",):
            self.hear(self.registered(number))
        self.take_in()

    # --- what is there --------------------

    def bill(self, billing_number: str = "B-1") -> dict[str, Any]:
        """A bill's row."""
        return self.merchant.sql("SELECT * FROM bill WHERE billing_number = :number", number=billing_number)[0]

    def state(self, billing_number: str = "B-1") -> str:
        return str(self.bill(billing_number)["state"])

    def events(self, billing_number: str = "B-1") -> list[str]:
        """What happened to a bill, in the order in which it was kept."""
        query = "SELECT kind FROM bill_event WHERE billing_number = :number ORDER BY bill_event_id"
        return [row["kind"] for row in self.merchant.sql(query, number=billing_number)]

    def inbox(self) -> list[tuple[str, str]]:
        """(state, words) of each notification."""
        rows = self.merchant.sql("SELECT state, result FROM notification ORDER BY notification_id")
        return [(row["state"], row["result"] or "") for row in rows]
