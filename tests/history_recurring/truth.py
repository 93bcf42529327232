"""What really happened, from the simulator's journals: money, bills, and what reached the merchant."""

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from tests.doku_simulator.bank import UNKNOWN
from tests.history_recurring.world import World, local_day

_LIFE: Final = {"registered": True, "cancelled": False, "ended": False}
STATUS: Final = "/orders/v1/status/"
_OF_BILLS: Final = {
    "registration": {"registered": True, "registration failed": False},
    "card_update": {"card updated": True, "card update failed": False},
}  # fmt: skip


@dataclass(frozen=True)
class Transaction:
    """One transaction that DOKU made; `amount` is what it says of it."""

    reference: str
    bill: str
    due: date
    at: datetime
    code: str
    amount: int
    charged: int
    succeeded: bool

    @property
    def day(self) -> date:
        """The local day."""
        return local_day(self.at)

    @property
    def known_later(self) -> tuple[bool, str]:
        """What a status question is answered: whether money moved, and the code."""
        if self.code in UNKNOWN:
            return bool(self.charged), "0000" if self.charged else "0005"
        return self.succeeded, self.code


@dataclass(frozen=True)
class CardSaid:
    """What DOKU says of a registration or a change of card; `at` is when it happened."""

    bill: str
    kind: str
    succeeded: bool
    at: datetime
    masked_card: str


@dataclass(frozen=True)
class Heard:
    """A notification that reached the merchant and can be read."""

    at: datetime
    says: Transaction | CardSaid


@dataclass(frozen=True)
class Question:
    """DOKU asked for an amount; `seen` False: the answer, if there was one, did not arrive."""

    at: datetime
    bill: str
    answer: int | None
    seen: bool
    heard: bool


@dataclass
class Truth:
    """One merchant's month at DOKU.

    Attributes:
        transactions: By reference, in the order in which they were made.
        by_name: The same by bill and due day.
        heard: In the order in which they came.
        asked: What the merchant asked DOKU for: (moment, id).
        ended: When DOKU took the end of a bill.
        requested: When DOKU was asked for a bill, each time that it took the request.
        life: What DOKU made of a bill: since when it charges it, or does so no more.
        wrongly: Notifications that were taken and must not have been, or the other way round.
        faults: Of notifications and charges, by name.
    """

    transactions: dict[str, Transaction] = field(default_factory=dict)
    by_name: dict[tuple[str, date], list[Transaction]] = field(default_factory=lambda: defaultdict(list))
    heard: list[Heard] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    asked: list[tuple[datetime, str]] = field(default_factory=list)
    ended: dict[str, datetime] = field(default_factory=dict)
    requested: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    life: dict[str, list[tuple[datetime, bool]]] = field(default_factory=lambda: defaultdict(list))
    wrongly: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    def lives(self, bill: str, now: datetime) -> bool:
        """Whether DOKU charges a bill."""
        said = [charged for moment, charged in self.life[bill] if moment <= now]
        return bool(said) and said[-1]

    def found(self, bill: str, day: date, now: datetime) -> Transaction | None:
        """What DOKU finds by a bill and a day: the try that succeeded, else the last one."""
        best = None
        for one in self.by_name.get((bill, day), ()):
            if one.at <= now and (best is None or not best.succeeded):
                best = one
        return best


def read(root: Path, world: World, *, older: bool) -> Truth:
    """Read a simulator's folder.

    Args:
        older: Notifications came in the older, form-encoded interface.
    """
    truth = Truth()
    for row in _rows(root / "recurring.jsonl"):
        one = Transaction(
            row["reference"], row["billing_number"], date.fromisoformat(row["due_day"]), _moment(row["charged_at"]),
            row["response_code"], row["reported"], row["charged"], row["status"] == "SUCCESS",
        )  # fmt: skip
        truth.transactions[one.reference] = one
        truth.by_name[one.bill, one.due].append(one)
    cards = _bills(truth, root, world)
    _notifications(truth, root, world, cards, older=older)
    for row in _rows(root / "requests.jsonl"):
        if row["method"] == "GET":
            truth.asked.append((_moment(row["at"]), unquote(row["path"].removeprefix(STATUS))))
    return truth


def _bills(truth: Truth, root: Path, world: World) -> dict[tuple[str, str], list[CardSaid]]:
    """What happened to bills; of registrations and cards what DOKU tells, by kind and bill, in order."""
    cards: dict[tuple[str, str], list[CardSaid]] = defaultdict(list)
    for row in _rows(root / "bills.jsonl"):
        event, bill, moment = row["event"], row["billing_number"], _moment(row["at"])
        if event == "asked":
            truth.requested[bill].append(moment)
        if event in _LIFE:
            truth.life[bill].append((moment, _LIFE[event]))
        if event == "cancelled":
            truth.ended.setdefault(bill, moment)
        elif event == "amount asked":
            reason = row["reason"]
            heard = not world.is_deaf(moment)
            seen = heard and not reason.startswith("fault")
            truth.questions.append(Question(moment, bill, row["answer"], seen, heard))
        for kind, events in _OF_BILLS.items():
            if event in events:
                card = row["masked_card"] if events[event] else ""
                cards[kind, bill].append(CardSaid(bill, kind, events[event], moment, card))
    return cards


def _notifications(
    truth: Truth, root: Path, world: World, cards: dict[tuple[str, str], list[CardSaid]], *, older: bool
) -> None:
    rows = list(_rows(root / "notifications.jsonl"))
    first = {row["id"]: row for row in reversed(rows)}
    real = sorted(number for number, row in first.items() if row["fault"] not in _BESIDE)
    place: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number in real:
        place[first[number]["kind"], first[number]["subject"]].append(number)
    for row in rows:
        moment, fault = _moment(row["at"]), row["fault"]
        if "status" not in row:  # it was not sent
            truth.lost.add(f"{row['kind']} {row['reference'] or row['subject']}")
            continue
        delivered = not world.is_deaf(moment)
        cut = fault == "notification_truncated"
        good = not cut or (not older and world.weather(local_day(moment)).cut_signed)
        # In the older interface nobody can tell what signs a kind that is unknown.
        forged = fault == "notification_forged" or (older and fault == "notification_unknown_kind")
        taken = delivered and good and not forged
        # WORDS of an ordinary payment, the first one of a bill, do not cover the bill's number; it says nothing.
        first_payment = older and row["kind"] == "payment" and "/" not in row["subject"]
        if taken != (row["status"] == 200) and not (forged and first_payment):
            truth.wrongly.append(f"notification {row['id']} of {row['at']} ({fault or 'as it is'}) has {row['status']}")
        if not taken or cut:
            continue
        if row["kind"] == "payment":
            transaction = truth.transactions.get(row["reference"])
            if transaction is not None:
                truth.heard.append(Heard(moment, transaction))
            continue
        numbers = place[row["kind"], row["subject"]]
        # One of an unknown kind comes beside another, which was made just before it.
        which = sum(number <= row["id"] for number in numbers) - 1
        truth.heard.append(Heard(moment, cards[row["kind"], row["subject"]][which]))


_BESIDE: Final = ("notification_forged", "notification_unknown_kind")


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    if file.exists():
        with file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
