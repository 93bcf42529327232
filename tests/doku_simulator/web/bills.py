"""The bill register: registration on a checkout page or by file, changes, card updates, cancelling, and its history."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from typing import Any, Final

from tests.doku_simulator import bank
from tests.doku_simulator.bank import card_of
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.web.agenda import Agenda, Settle
from tests.doku_simulator.web.answers import invalid
from tests.doku_simulator.web.notices import Notices
from tests.doku_simulator.web.schedule import Schedule, read_day
from tests.doku_simulator.web.settings import HttpConfig, zulu
from tests.doku_simulator.web.store import Store
from tests.doku_simulator.web.tokens import Vault

FAILED_CODE: Final = "5520"
_SCHEDULE: Final = ("execute_type", "execute_date", "execute_month", "start", "end")
_PEOPLE: Final = ("customer_name", "email", "phone", "description")


@dataclass(frozen=True)
class Bill:
    """One bill, as kept.

    Attributes:
        amount: 0 where it varies.
        pushed: For a varying bill whose amounts the merchant sends: day (yyyy-MM-dd, or empty: any) to amount.
        status: pending, active, failed, expired, cancelled, ended.
        token: Of the card that is charged; no journal has it.
        version: Counts changes of the schedule: what was planned for an earlier one does not happen.
        request_id: Of the question that registered it.
        changed_at: When the status became what it is.
    """

    billing_number: str
    customer_id: str
    amount: int
    varies: bool
    currency: str
    execute_type: str
    execute_date: list[str]
    execute_month: list[str]
    start: str
    end: str | None
    status: str = "pending"
    token: str = ""
    version: int = 0
    registrations: int = 1
    request_id: str = ""
    changed_at: float = 0.0
    customer_name: str = ""
    email: str = ""
    phone: str = ""
    description: str = ""
    pushed: dict[str, int] = field(default_factory=dict)

    @property
    def schedule(self) -> Schedule:
        return Schedule.read(self.execute_type, self.execute_date, self.execute_month, self.start, self.end)


class Bills:
    """All bills of the account.

    Args:
        planned: Called when a bill's charges are to be planned anew.
    """

    def __init__(
        self,
        config: HttpConfig,
        store: Store,
        agenda: Agenda,
        journal: Journal,
        notices: Notices,
        vault: Vault,
        seed: int,
        now: Callable[[], float],
    ) -> None:
        self._config, self._store, self._agenda, self._journal = config, store, agenda, journal
        self._notices, self._vault, self._seed, self._now = notices, vault, seed, now
        self.planned: Callable[[Bill], None] = lambda bill: None
        agenda.on("checkout", self._customer_acts)
        agenda.on("expire", self._link_expires)

    # --- reading --------------------

    def find(self, billing_number: str) -> Bill | None:
        rows = self._store.run("select facts from bill where billing_number = ?", billing_number)
        return Bill(**json.loads(rows[0][0])) if rows else None

    def all(self) -> list[Bill]:
        return [Bill(**json.loads(facts)) for (facts,) in self._store.run("select facts from bill order by rowid")]

    def registration_of(self, request_id: str) -> dict[str, Any] | None:
        """What a status question by the request id of a registration finds."""
        rows = self._store.run("select facts from bill where json_extract(facts, '$.request_id') = ?", request_id)
        if not rows:
            return None
        bill = Bill(**json.loads(rows[0][0]))
        known = {"pending": "PENDING", "failed": "FAILED", "expired": "EXPIRED"}
        status = known.get(bill.status, "SUCCESS")
        return {"billing_number": bill.billing_number, "status": status, "at": bill.changed_at}

    # --- asked by the merchant --------------------

    def register(self, facts: Mapping[str, Any], request_id: str = "", token: str = "") -> tuple[Bill, str]:
        """A new bill: the bill, and the code of its checkout page; empty with a token: it is active or failed at once.

        Raises:
            Refused: 400; what is wrong with it, or it is registered already.
        """
        bill = self._read(facts, request_id)
        known = self.find(bill.billing_number)
        if known and known.status == "active":
            raise invalid(f"billing number {bill.billing_number} is registered already")
        if known:
            bill = replace(bill, registrations=known.registrations + 1, version=known.version + 1)
        with self._store.change():
            self.save(bill, "asked")
            if token:
                self._take_token(bill, token)
                return bill, ""
            return bill, self._open_checkout(bill, "registration")

    def _take_token(self, bill: Bill, token: str) -> None:
        if self._vault.is_dead(token):
            self._end_registration(bill, succeed=False, code=bank.TOKEN_DEAD)
            return
        self._vault.give(bill.customer_id, token=token)
        self._end_registration(replace(bill, token=token), succeed=True)

    def update_card(self, billing_number: str, customer_id: str | None) -> tuple[Bill, str]:
        """The code of a checkout page on which the customer gives another card."""
        bill = self._existing(billing_number, customer_id)
        if bill.status != "active":
            raise invalid(f"billing number {billing_number} is not active")
        with self._store.change():
            return bill, self._open_checkout(bill, "card_update")

    def update(self, facts: Mapping[str, Any]) -> Bill:
        """Another amount, another schedule, or the amount of a period."""
        bill = self._existing(facts.get("billing_number"), facts.get("customer_id"))
        changes: dict[str, Any] = {}
        if "amount" in facts:
            amount = _amount(facts["amount"])
            if bill.varies:
                period = read_day(facts["period"]).isoformat() if facts.get("period") else ""
                changes["pushed"] = {**bill.pushed, period: amount}
            else:
                changes["amount"] = amount
        if any(name in facts for name in _SCHEDULE):
            current = {name: getattr(bill, name) for name in _SCHEDULE}
            given = {name: facts[name] for name in _SCHEDULE if name in facts}
            changes |= _schedule({**current, **given})
            changes["version"] = bill.version + 1
        bill = replace(bill, **changes)
        with self._store.change():
            self.save(bill, "updated")
            if "version" in changes and bill.status == "active":
                self.planned(bill)
        return bill

    def cancel(self, billing_number: str, customer_id: str | None = None) -> Bill:
        """No charge of this bill any more; a second time it is the same."""
        bill = self._existing(billing_number, customer_id)
        if bill.status != "cancelled":
            bill = replace(bill, status="cancelled", changed_at=self._now())
            with self._store.change():
                self.save(bill, "cancelled")
        return bill

    def _existing(self, billing_number: Any, customer_id: Any) -> Bill:
        bill = self.find(str(billing_number or ""))
        if bill is None or (customer_id and bill.customer_id != customer_id):
            raise invalid(f"billing number {billing_number} is not found")
        return bill

    def _read(self, facts: Mapping[str, Any], request_id: str) -> Bill:
        for name in ("billing_number", "customer_id"):
            if not isinstance(facts.get(name), str) or not facts[name]:
                raise invalid(f"{name} is mandatory")
        flat = facts.get("flat", facts.get("amount") is not None)
        fixed = flat if isinstance(flat, bool) else str(flat).upper() == "TRUE"
        if fixed and facts.get("amount") is None:
            raise invalid("amount is mandatory where it does not vary")
        return Bill(
            billing_number=facts["billing_number"],
            customer_id=facts["customer_id"],
            amount=_amount(facts["amount"]) if fixed else 0,
            varies=not fixed,
            currency=str(facts.get("currency") or "IDR"),
            request_id=request_id,
            changed_at=self._now(),
            **_schedule({name: facts.get(name) for name in _SCHEDULE}),
            **{name: str(facts.get(name) or "") for name in _PEOPLE},
        )

    # --- the customer --------------------

    def _open_checkout(self, bill: Bill, kind: str) -> str:
        """A page, and what the customer will do there by the seed: succeed, fail, or never come back."""
        turn = self._store.insert("insert into checkout (code, facts) values (?, '{}')", f"new-{bill.billing_number}")
        draw = hashlib.sha256(f"{self._seed}|{kind}|{bill.billing_number}|{bill.registrations}".encode()).digest()
        code = hashlib.sha256(f"{self._seed}|checkout|{bill.billing_number}|{turn}".encode()).hexdigest()[:24]
        facts = {"billing_number": bill.billing_number, "kind": kind, "version": bill.version, "state": "open"}
        self._store.run("update checkout set code = ?, facts = ? where rowid = ?", code, json.dumps(facts), turn)
        point = int.from_bytes(draw[:4], "big") / 2**32
        if point >= self._config.registrations_abandoned:
            shortest, longest = self._config.complete_seconds
            takes = shortest + (longest - shortest) * draw[4] / 255
            rest = 1.0 - self._config.registrations_abandoned
            succeed = point - self._config.registrations_abandoned < self._config.registrations_succeed * rest
            self._agenda.plan(self._now() + takes, "checkout", code=code, succeed=succeed)
        self._agenda.plan(self._now() + self._config.link_seconds, "expire", code=code)
        return code

    def checkout(self, code: str) -> tuple[Bill, dict[str, Any]] | None:
        """The bill and the state of a checkout page: kind, state (open, done, expired)."""
        rows = self._store.run("select facts from checkout where code = ?", code)
        if not rows:
            return None
        facts = json.loads(rows[0][0])
        bill = self.find(facts["billing_number"])
        return (bill, facts) if bill else None

    def complete(self, code_or_number: str, *, succeed: bool = True) -> bool:
        """The customer acts now: on a page by its code, or on the bill's newest open page. False: none is open."""
        rows = self._store.run(
            "select code from checkout where json_extract(facts, '$.state') = 'open'"
            " and ? in (code, json_extract(facts, '$.billing_number')) order by rowid desc limit 1",
            code_or_number,
        )
        for (code,) in rows:
            with self._store.change():
                self._act(code, succeed=succeed)
        return bool(rows)

    def _customer_acts(self, _: float, event: dict[str, Any]) -> Settle:
        return lambda: self._act(event["code"], succeed=event["succeed"])

    def _link_expires(self, _: float, event: dict[str, Any]) -> Settle | None:
        found = self.checkout(event["code"])
        if found is None or found[1]["state"] != "open":
            return None
        bill, facts = found

        def settle() -> None:
            self._close_checkout(event["code"], facts, "expired")
            if facts["kind"] == "registration" and bill.status == "pending" and bill.version == facts["version"]:
                self.save(replace(bill, status="expired", changed_at=self._now()), "expired")

        return settle

    def _act(self, code: str, *, succeed: bool) -> None:
        found = self.checkout(code)
        if found is None or found[1]["state"] != "open":
            return
        bill, facts = found
        self._close_checkout(code, facts, "done")
        if facts["kind"] == "card_update":
            self._end_card_update(bill, succeed=succeed)
        elif bill.status == "pending" and facts["version"] == bill.version:
            token = self._vault.give(bill.customer_id) if succeed else ""
            self._end_registration(replace(bill, token=token), succeed=succeed)

    def _close_checkout(self, code: str, facts: dict[str, Any], state: str) -> None:
        self._store.run("update checkout set facts = ? where code = ?", json.dumps({**facts, "state": state}), code)

    def _end_registration(self, bill: Bill, *, succeed: bool, code: str = FAILED_CODE) -> None:
        bill = replace(bill, status="active" if succeed else "failed", changed_at=self._now())
        self.save(bill, "registered" if succeed else "registration failed")
        self._tell("registration", bill, bill.token, succeed=succeed, code=code)
        if succeed and self._config.tell_first_payment and self._config.dialect == "onecheckout":
            self._tell_first_payment(bill)
        if succeed:
            self.planned(bill)

    def _tell_first_payment(self, bill: Bill) -> None:
        """No money of the merchant's: it is voided at once."""
        masked_card, issuer, _ = card_of(bill.token)
        facts = {
            "first": True,
            "billing_number": bill.billing_number,
            "customer_id": bill.customer_id,
            "token": bill.token,
            "amount": bill.amount or 10_000,
            "currency": bill.currency,
            "status": "SUCCESS",
            "date": zulu(self._now()),
            "reference": f"FIRST{bill.billing_number}",
            "original_request_id": bill.request_id,
            "code": "0000",
            "approval_code": "000000",
            "masked_card": masked_card,
            "bank": issuer,
        }
        self._notices.send("payment", bill.billing_number, facts)

    def _end_card_update(self, bill: Bill, *, succeed: bool) -> None:
        token = self._vault.give(bill.customer_id) if succeed else ""
        if succeed:
            bill = replace(bill, token=token)
        self.save(bill, "card updated" if succeed else "card update failed")
        self._tell("card_update", bill, token, succeed=succeed, code=FAILED_CODE)

    def _tell(self, kind: str, bill: Bill, token: str, *, succeed: bool, code: str) -> None:
        facts = {
            "billing_number": bill.billing_number,
            "customer_id": bill.customer_id,
            "status": "SUCCESS" if succeed else "FAILED",
            "date": zulu(self._now()),
            "code": "0000" if succeed else code,
            "message": bank.message("0000") if succeed else "REGISTER TRANSACTION FAILED",
            "token": token or None,
            "masked_card": card_of(token)[0] if token else None,
        }
        self._notices.send(kind, bill.billing_number, facts)

    # --- keeping --------------------

    def save(self, bill: Bill, event: str, **facts: Any) -> None:
        """Keep a bill and write what happened; a crash between the two may write it again."""
        self.note(event, bill, **facts)
        kept = json.dumps(asdict(bill))
        self._store.run("insert or ignore into bill (billing_number, facts) values (?, ?)", bill.billing_number, kept)
        self._store.run("update bill set facts = ? where billing_number = ?", kept, bill.billing_number)

    def note(self, event: str, bill: Bill, **facts: Any) -> None:
        shown = asdict(bill)
        for name in ("token", "customer_name", "email", "phone", "registrations", "changed_at"):
            del shown[name]
        shown["masked_card"] = card_of(bill.token)[0] if bill.token else ""
        self._journal.append([{"at": zulu(self._now()), "event": event, **shown, **facts}])


def _schedule(given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        read = Schedule.read(*(given[name] for name in _SCHEDULE))
    except ValueError as error:
        raise invalid(str(error)) from None
    return {
        "execute_type": read.kind,
        "execute_date": list(read.on),
        "execute_month": list(read.months),
        "start": read.start.isoformat(),
        "end": read.end.isoformat() if read.end else None,
    }


def _amount(value: Any) -> int:
    """Whole units; as a number, or as a text with or without two decimals."""
    text = str(value).removesuffix(".00")
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or not int(text):
        raise invalid("amount must be a positive number without a fraction")
    return int(text)


def amount_for(bill: Bill, day: date) -> int | None:
    """What the merchant sent for that day of a varying bill."""
    return bill.pushed.get(day.isoformat(), bill.pushed.get(""))
