"""Scheduled charges: each due bill on its day, the amount asked where it varies, and the truth in `recurring.jsonl`."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any, Final

from tests.doku_simulator import bank
from tests.doku_simulator.bank import Bank, Decision
from tests.doku_simulator.behaviour import Director, Fault
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.web.agenda import Agenda, Settle
from tests.doku_simulator.web.bills import Bill, Bills, amount_for
from tests.doku_simulator.web.notices import Notices
from tests.doku_simulator.web.settings import WIB, HttpConfig, local_day, zulu
from tests.doku_simulator.web.tokens import Vault

NOT_AGAIN: Final = bank.UNKNOWN | {"0004", "0007", "0014", "0041", "0043", "0054", "0057", "00R1", "5535"}
"""Answers after which DOKU does not try again by itself."""
_ASKED_WITH: Final = ("billing_number", "customer_id", "customer_name", "email", "phone")

Record = dict[str, Any]


class ChargeBook:
    """`recurring.jsonl`, one line per transaction, and what each can be asked by."""

    def __init__(self, journal: Journal, status_ids: tuple[str, ...]) -> None:
        self._journal, self._templates = journal, status_ids
        self._known: dict[str, Record] = {}
        self._names: dict[str, str] = {}
        for record in journal.records():
            self._learn(record)

    def add(self, record: Record) -> Record:
        """Write it, unless a crash left it behind; what counts from now on."""
        if record["reference"] not in self._known:
            self._journal.append([record])
            self._learn(record)
        return self._known[record["reference"]]

    def _learn(self, record: Record) -> None:
        reference = record["reference"]
        self._known[reference] = record
        self._names[record["request_id"]] = reference
        for template in self._templates:
            name = template.format(billing_number=record["billing_number"], day=date.fromisoformat(record["due_day"]))
            before = self._known.get(self._names.get(name, ""))
            # Of several tries of a day the one that succeeded counts.
            if before is None or before["due_day"] != record["due_day"] or before["status"] != "SUCCESS":
                self._names[name] = reference

    def find(self, number: str) -> Record | None:
        """By reference, by request id, or by a name of the day."""
        return self._known.get(number) or self._known.get(self._names.get(number, ""))

    def records(self) -> list[Record]:
        return list(self._known.values())


class Charges:
    """Charges what is due."""

    def __init__(
        self,
        config: HttpConfig,
        agenda: Agenda,
        bills: Bills,
        book: ChargeBook,
        notices: Notices,
        vault: Vault,
        director: Director,
        issuer: Callable[[], Bank],
        seed: int,
        now: Callable[[], float],
    ) -> None:
        self._config, self._agenda, self._bills, self._book = config, agenda, bills, book
        self._notices, self._vault, self._director = notices, vault, director
        self._issuer, self._seed, self._now = issuer, seed, now
        bills.planned = self.plan
        agenda.on("charge", self._charge)

    def plan(self, bill: Bill, after: date | None = None) -> None:
        """Plan the bill's next charge: after that day, or from now on. Without one an active bill has ended."""
        day = after or local_day(self._now())
        if after or not self._config.same_day or self._time(bill, day) <= self._now():
            day += timedelta(days=1)
        due = bill.schedule.next(day)
        if due is not None:
            self._plan(bill, due, self._time(bill, due))
        elif bill.status == "active":
            self._bills.save(replace(bill, status="ended", changed_at=self._now()), "ended")

    def _plan(self, bill: Bill, due: date, at: float, **more: Any) -> None:
        facts = {"number": 0, "asks": 0, "late": False, **more}
        self._agenda.plan(at, "charge", bill=bill.billing_number, version=bill.version, due=due.isoformat(), **facts)

    def _time(self, bill: Bill, day: date) -> float:
        spread = int.from_bytes(self._digest(f"time|{bill.billing_number}|{day}")[:4], "big")
        moment = datetime.combine(day, self._config.charge_at, WIB).timestamp()
        return moment + spread % max(1, self._config.charge_spread_seconds)

    def _digest(self, text: str) -> bytes:
        return hashlib.sha256(f"{self._seed}|{text}".encode()).digest()

    # --- one charge --------------------

    def _charge(self, at: float, event: dict[str, Any]) -> Settle | None:
        bill = self._bills.find(event["bill"])
        if bill is None or event["version"] != bill.version or bill.status not in ("active", "cancelled"):
            return None
        due = date.fromisoformat(event["due"])
        first = not event["number"] and not event["asks"] and not event["late"]
        if bill.status == "cancelled":
            if not first or not (fault := self._fault("charge_after_cancel", bill, due, event)):
                return (lambda: self.plan(bill, due)) if first else None
            return self._settle(bill, due, event, bill.amount or amount_for(bill, due) or 100_000, fault.name)
        if first and self._fault("charge_missed", bill, due, event):
            return lambda: self._give_up(bill, due, "missed")
        if first and (late := self._fault("charge_late", bill, due, event)):
            days = int(late.param("days"))
            return lambda: self._plan(bill, due, at + days * 86400, **{**_more(event), "late": True})
        if self._fault("token_dead", bill, due, event):
            self._vault.kill(bill.token)
        amount, reason = self._amount(bill, due, event)
        if amount is not None:
            return self._settle(bill, due, event, amount, "charge_late" if event["late"] else "")
        if event["asks"] + 1 < self._config.amount_asks:
            more = {**_more(event), "asks": event["asks"] + 1}
            return lambda: self._ask_again(bill, due, at + self._config.amount_ask_seconds, more, reason)
        if self._config.no_amount == "decline":
            return self._settle(bill, due, event, 0, "")
        return lambda: self._give_up(bill, due, "skipped", reason=reason)

    def _fault(self, name: str, bill: Bill, due: date, event: dict[str, Any]) -> Fault | None:
        """Faults happen to the first try of a day; asked again (after a crash), it is the same one."""
        if event["number"]:
            return None
        return self._director.take(name, f"{bill.billing_number}/{due}", once_per_subject=True)

    def _ask_again(self, bill: Bill, due: date, at: float, more: dict[str, Any], reason: str) -> None:
        self._bills.note("no amount", bill, due_day=due.isoformat(), reason=reason)
        self._plan(bill, due, at, **more)

    def _give_up(self, bill: Bill, due: date, event: str, **facts: Any) -> None:
        self._bills.note(event, bill, due_day=due.isoformat(), **facts)
        self.plan(bill, due)

    def _amount(self, bill: Bill, due: date, event: dict[str, Any]) -> tuple[int | None, str]:
        if not bill.varies:
            return bill.amount, ""
        if event.get("amount"):
            return int(event["amount"]), ""
        if self._config.amount_supply == "push":
            return amount_for(bill, due), "none was sent"
        asked = {name: getattr(bill, name) for name in _ASKED_WITH}
        amount, reason = self._notices.ask_amount(asked)
        if self._fault("amount_asked_twice", bill, due, event):
            self._bills.note("amount asked", bill, due_day=due.isoformat(), answer=amount, reason=reason)
            amount, reason = self._notices.ask_amount(asked)
        if not event["asks"] and self._fault("amount_answer_unseen", bill, due, event):
            amount, reason = None, "fault amount_answer_unseen"
        self._bills.note("amount asked", bill, due_day=due.isoformat(), answer=amount, reason=reason)
        return amount, reason

    def _settle(self, bill: Bill, due: date, event: dict[str, Any], amount: int, fault: str) -> Settle:
        """Charge now, and write it down later: the truth first, then the notification and what comes next."""
        records = [self._transaction(bill, due, event["number"], 0, amount, fault)]
        if amount and (other := self._fault("charge_other_amount", bill, due, event)):
            wrong = amount + int(other.param("more"))
            records = [self._transaction(bill, due, event["number"], 0, wrong, other.name, answered=amount)]
        if amount and (twice := self._fault("charge_twice", bill, due, event)):
            records.append(self._transaction(bill, due, event["number"], 1, amount, twice.name))

        def settle() -> None:
            for record in records:
                self._tell(bill, self._book.add(record))
            last = records[0]
            if not event["number"]:
                self.plan(bill, due)
            if bill.status == "active" and last["status"] == "FAILED" and last["response_code"] not in NOT_AGAIN:
                self._try_again(bill, due, event["number"], amount)

        return settle

    def _try_again(self, bill: Bill, due: date, number: int, amount: int) -> None:
        if number >= len(self._config.charge_retry_days) or not amount:
            return
        day = due + timedelta(days=self._config.charge_retry_days[number])
        following = bill.schedule.next(due + timedelta(days=1))
        if following is None or day < following:
            self._plan(bill, due, self._time(bill, day), number=number + 1, amount=amount)

    def _transaction(
        self, bill: Bill, due: date, number: int, copy: int, amount: int, fault: str, answered: int | None = None
    ) -> Record:
        name = f"{bill.billing_number}|{due}|{number}|{copy}"
        digest = self._digest(f"charge|{name}")
        reference = f"RB{due:%y%m%d}{digest[:6].hex().upper()}"
        decision = self._decide(bill, reference, amount)
        status = "SUCCESS" if decision.success else "TIMEOUT" if decision.code in bank.UNKNOWN else "FAILED"
        moment = datetime.fromtimestamp(self._now(), timezone.utc)  # noqa: UP017
        return {
            "reference": reference,
            "request_id": f"DOKU-{digest[6:16].hex()}",
            "billing_number": bill.billing_number,
            "customer_id": bill.customer_id,
            "due_day": due.isoformat(),
            "number": number,
            "amount": answered if answered is not None else amount,
            "reported": decision.reported,
            "charged": decision.charged,
            "currency": bill.currency,
            "response_code": decision.code,
            "status": status,
            "approval_code": decision.approval_code,
            "masked_card": decision.masked_card,
            "bank": decision.bank,
            "network": decision.network,
            "charged_at": moment.isoformat(timespec="seconds"),
            "expected": fault not in ("charge_after_cancel", "charge_twice"),
            "fault": fault,
        }

    def _decide(self, bill: Bill, reference: str, amount: int) -> Decision:
        decision = self._issuer().decide(reference, bill.token, amount)
        if not self._vault.is_dead(bill.token):
            return decision
        return Decision(bank.TOKEN_DEAD, 0, amount, "", decision.masked_card, decision.bank, decision.network)

    def _tell(self, bill: Bill, record: Record) -> None:
        facts = {
            "billing_number": record["billing_number"],
            "customer_id": record["customer_id"],
            "token": bill.token,
            "amount": record["reported"],
            "currency": record["currency"],
            "status": record["status"],
            "date": zulu(datetime.fromisoformat(record["charged_at"]).timestamp()),
            "reference": record["reference"],
            "original_request_id": record["request_id"],
            "code": record["response_code"],
            "message": bank.message(record["response_code"]),
            "approval_code": record["approval_code"],
            "masked_card": record["masked_card"],
            "bank": record["bank"],
        }
        self._notices.send("payment", f"{bill.billing_number}/{record['due_day']}", facts)


def _more(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("number", "asks", "late", "amount") if name in event}
