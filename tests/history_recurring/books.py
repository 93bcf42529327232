"""What must have come of a month, worked out a second time: from what DOKU did, and from what reached the merchant.

Nothing here knows how the package does it. It walks through the merchant's runs and knows at each what was heard by
then: which bills live, which charges are expected of them, what is asked for, and what that answers.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final

from tests.history.codes import meaning
from tests.history_recurring.truth import CardSaid, Heard, Question, Transaction, Truth
from tests.history_recurring.world import FIRST_DAY, LOOKED_AHEAD, ONE_DAY, Wish, World, at, days, local_day

RUPIAH: Final = "IDR"
CALM: Final = timedelta(seconds=60)
"""What has just become unknown is left alone for so long."""

Charge = tuple[str, date]
"""A bill and a day."""

Sum = tuple[int, int]
"""Count and rupiah."""


@dataclass(frozen=True)
class Rules:
    """What the merchant has agreed with DOKU, and how patient they are.

    Attributes:
        older: Notifications come in the older interface, which does not say when a card was registered.
    """

    older: bool
    match_days: int
    expected_hours: float
    again_minutes: float


@dataclass
class Bill:
    """What the merchant knows of a bill.

    Attributes:
        amount: What the view lists.
        agreed: What DOKU was told.
        asked: When DOKU was asked for it last.
        taken: Each time that DOKU took the request.
    """

    wish: Wish
    amount: int | None
    agreed: int | None = None
    unwanted: datetime | None = None
    asked: datetime | None = None
    taken: list[datetime] = field(default_factory=list)
    registered: datetime | None = None
    failed: datetime | None = None
    cancelled: datetime | None = None
    ended: datetime | None = None
    cards: list[tuple[datetime, bool, str]] = field(default_factory=list)
    told: set[tuple[str, bool, str]] = field(default_factory=set)
    last_set: date = FIRST_DAY - ONE_DAY

    @property
    def lives(self) -> bool:
        """DOKU charges it, as far as is known."""
        return self.registered is not None and (self.cancelled is None or self.registered > self.cancelled)

    @property
    def state(self) -> str:
        """As the register has it."""
        if self.ended:
            return "ended"
        if self.lives:
            return "cancelling" if self.unwanted else "active"
        if self.unwanted or self.cancelled:
            return "cancelled"
        if self.failed and (self.asked is None or self.failed >= self.asked):
            return "refused"
        return "asked" if self.asked else "wanted"

    @property
    def over(self) -> datetime | None:
        """Since when it is over."""
        ends = {"ended": self.ended, "cancelled": self.cancelled or self.unwanted, "refused": self.failed}
        return ends.get(self.state)

    @property
    def masked_card(self) -> str | None:
        """Of the last success that was told of."""
        return max(self.cards)[2] if self.cards else None

    def expected(self, first: date, last: date) -> Iterator[date]:
        """Days on which a charge must come."""
        if self.registered is None:
            return
        begins = max(first, local_day(self.registered) + ONE_DAY)
        ends = last if self.over is None else min(last, local_day(self.over) - ONE_DAY)
        yield from (day for day in self.wish.schedule if begins <= day <= ends)

    def possible(self, until: date, match_days: int) -> date | None:
        """The last day that a charge of a day may be of."""
        if self.registered is None:
            return None
        last = until if self.over is None else min(until, local_day(self.over))
        first = max(local_day(self.registered), until - timedelta(days=match_days))
        return max((day for day in self.wish.schedule if first <= day <= last), default=None)


@dataclass
class Attempt:
    """One of DOKU's transactions, as far as the merchant knows of it; without one: a charge that was given up.

    Attributes:
        told: A notification of it was taken in.
        answered: What a status question decided: paid, declined; empty: nothing.
    """

    transaction: Transaction | None
    seen: datetime
    charge: Charge | None = None
    told: bool = False
    answered: str = ""

    @property
    def status(self) -> str:
        """The stronger of what was told and what was answered."""
        if self.transaction is None:
            return "withdrawn"
        said = {self.answered} | ({meaning(self.transaction.code).status} if self.told else set())
        return next(one for one in ("paid", "declined", "unknown") if one in said)

    @property
    def code(self) -> str:
        """That of the status."""
        if self.transaction is None:
            return ""
        told = meaning(self.transaction.code).status == self.status and self.told
        return self.transaction.code if told else self.transaction.known_later[1]

    @property
    def amount(self) -> int | None:
        """What DOKU says that it charged, or tried to."""
        return self.transaction.amount if self.transaction else None


@dataclass(frozen=True, order=True)
class Break:
    """A break that must be there."""

    kind: str
    subject: str
    amount: int


@dataclass
class Books:
    """What must have come of one merchant's month."""

    world: World
    rules: Rules
    truth: Truth
    bills: dict[str, Bill] = field(default_factory=dict)
    charges: dict[Charge, int | None] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    of_charge: dict[Charge, list[Attempt]] = field(default_factory=lambda: defaultdict(list))
    silent: set[Charge] = field(default_factory=set)
    loose: set[str] = field(default_factory=set)
    answers: dict[Charge, int] = field(default_factory=dict)
    asked: dict[str, list[datetime]] = field(default_factory=lambda: defaultdict(list))
    missing: dict[Charge, int] = field(default_factory=dict)
    came: set[Charge] = field(default_factory=set)
    changed: dict[Charge, int] = field(default_factory=dict)
    wrong_answers: list[str] = field(default_factory=list)
    found_by_asking: set[str] = field(default_factory=set)
    now: datetime = field(default_factory=lambda: at(FIRST_DAY, time(0)))

    def walk(self) -> "Books":
        """Through all runs."""
        heard, questions = iter(self.truth.heard), iter(self.truth.questions)
        next_heard, next_question = next(heard, None), next(questions, None)
        for run in self.world.runs:
            while next_question is not None and next_question.at <= run:
                self._answer(next_question)
                next_question = next(questions, None)
            self.now = run
            while next_heard is not None and next_heard.at <= run:
                self._take_in(next_heard)
                next_heard = next(heard, None)
            self._register()
            self._expect()
            self._ask()
            self._compare()
        return self

    @property
    def today(self) -> date:
        """The local day of the run."""
        return local_day(self.now)

    # --- what was heard --------------------

    def _take_in(self, heard: Heard) -> None:
        if isinstance(heard.says, CardSaid):
            self._card(heard, heard.says)
            return
        transaction = heard.says
        known = self.attempts.get(transaction.reference)
        if known is None:
            self._add(transaction).told = True
        else:
            known.told = True

    def _card(self, heard: Heard, said: CardSaid) -> None:
        bill = self.bills[said.bill]
        moment = heard.at if self.rules.older else said.at
        # The older interface names no moment: what is said in the same words, weeks later too, is a repeat to all.
        words = (said.kind, said.succeeded, said.masked_card)
        if self.rules.older and words in bill.told:
            return
        bill.told.add(words)
        if said.kind == "registration" and said.succeeded:
            bill.registered = bill.registered or moment
        elif said.kind == "registration":
            bill.failed = max(bill.failed or moment, moment)
        card = (moment, said.kind == "card_update", said.masked_card)
        if said.succeeded and card[1:] not in {one[1:] for one in bill.cards}:
            bill.cards.append(card)

    def _add(self, transaction: Transaction) -> Attempt:
        made = Attempt(transaction, self.now)
        self.attempts[transaction.reference] = made
        self._tie(made)
        return made

    def _tie(self, attempt: Attempt) -> None:
        """To the last possible day that is not after it."""
        transaction = attempt.transaction
        assert transaction is not None
        bill = self.bills.get(transaction.bill)
        until = min(transaction.day, self.today + ONE_DAY)
        day = bill.possible(until, self.rules.match_days) if bill is not None else None
        if bill is None or day is None:
            self.loose.add(transaction.reference)
            return
        self._set(bill, [*bill.expected(bill.last_set + ONE_DAY, day), day])
        self.loose.discard(transaction.reference)
        self._belongs(attempt, (transaction.bill, day))

    def _belongs(self, attempt: Attempt, charge: Charge) -> None:
        attempt.charge = charge
        # What was given up stands for nothing more once a transaction of it is known.
        real = [one for one in self.of_charge[charge] if one.transaction is not None]
        self.of_charge[charge] = [*real, attempt]
        self.silent.discard(charge)
        if charge in self.missing:
            del self.missing[charge]
            self.came.add(charge)

    def _set(self, bill: Bill, on: list[date]) -> None:
        for day in on:
            charge = (bill.wish.number, day)
            if charge not in self.charges:
                self.charges[charge] = bill.amount if bill.wish.amount is not None else self.answers.get(charge)
                self.silent.add(charge)
            bill.last_set = max(bill.last_set, day)

    # --- the register --------------------

    def _register(self) -> None:
        for wish in self.world.bills.values():
            bill = self.bills.get(wish.number)
            if bill is None:
                if wish.listed > self.today:
                    continue
                bill = self.bills[wish.number] = Bill(wish, wish.amount_on(self.today))
            if bill.amount != wish.amount_on(self.today):
                bill.amount = wish.amount_on(self.today)
                if bill.state in ("asked", "refused"):
                    bill.asked = bill.failed = None  # with other terms it is asked for anew
            if wish.unwanted is not None and self.today >= wish.unwanted:
                bill.unwanted = bill.unwanted or self.now
            self._end(bill)
            if bill.state == "cancelling":
                bill.cancelled = self.now
            elif bill.state == "active":
                bill.agreed = bill.amount
            elif bill.state == "wanted":
                self._ask_for(bill)

    def _ask_for(self, bill: Bill) -> None:
        """DOKU refuses what it charges already; in the older interface it is the customer who sees that."""
        lives = self.truth.lives(bill.wish.number, self.now)
        if not lives:
            bill.taken.append(self.now)
        bill.asked, bill.agreed = self.now, bill.amount
        if lives and not self.rules.older:
            bill.failed = self.now

    def _end(self, bill: Bill) -> None:
        over = bill.wish.ends is not None and bill.wish.ends < self.today
        if not over or bill.state in ("cancelled", "cancelling", "ended"):
            return
        if bill.state == "active" and bill.agreed != bill.amount:
            bill.unwanted = self.now  # DOKU has other terms
        else:
            bill.ended = self.now

    def _expect(self) -> None:
        for bill in self.bills.values():
            self._set(bill, list(bill.expected(bill.last_set + ONE_DAY, self.today)))
        for reference in sorted(self.loose):
            self._tie(self.attempts[reference])

    # --- asking --------------------

    def _ask(self) -> None:
        """Ask for all that is due now; what was due before the first answer of the round is asked for."""
        late = self._late()
        unknown = [
            reference for reference, one in self.attempts.items()
            if one.status == "unknown" and one.seen <= self.now - CALM
        ]  # fmt: skip
        wanted = [*(_name(charge) for charge in late), *unknown, *map(_name, self._declined())]
        due = {name for name in wanted if self._is_due(name)}
        by_name = {_name(charge): charge for charge in self.charges}
        for name in due:
            self.asked[name].append(self.now)
            if name in by_name:
                self._ask_charge(by_name[name])
            else:
                self._decide(self.attempts[name])
        for charge in self._late():
            if not self.asked[_name(charge)]:
                continue
            over = self.bills[charge[0]].over
            if over is not None and local_day(over) <= charge[1]:
                self._belongs(Attempt(None, self.now), charge)
            else:
                self.missing.setdefault(charge, self.charges[charge] or 0)

    def _late(self) -> list[Charge]:
        patience = timedelta(hours=self.rules.expected_hours)
        return [charge for charge in self.silent if at(charge[1], time(0)) + patience <= self.now]

    def _declined(self) -> Iterator[Charge]:
        """Once, when DOKU tries no more."""
        over = timedelta(days=self.rules.match_days + 1)
        for charge, own in self.of_charge.items():
            ends = charge[1] + over
            if ends <= self.today <= ends + timedelta(days=self.rules.match_days) and own:
                decided = {one.status for one in own} == {"declined"}
                spoken = any(one.told and meaning(one.transaction.code).status == "unknown" for one in own
                             if one.transaction)  # fmt: skip
                before = self.asked[_name(charge)]
                if decided and not spoken and (not before or before[-1] < at(ends, time(0))):
                    yield charge

    def _is_due(self, name: str) -> bool:
        before = self.asked[name]
        if not before:
            return True
        apart = min(timedelta(minutes=self.rules.again_minutes * 2 ** (len(before) - 1)), ONE_DAY)
        return before[-1] <= self.now - apart

    def _ask_charge(self, charge: Charge) -> None:
        found = self.truth.found(*charge, self.now)
        if found is None or found.reference in self.attempts:
            return
        answer = _answered(found)
        if answer:
            made = self._add(found)
            made.answered = answer
            self.found_by_asking.add(found.reference)

    def _decide(self, attempt: Attempt) -> None:
        assert attempt.transaction is not None
        attempt.answered = _answered(attempt.transaction) or attempt.answered

    # --- amounts --------------------

    def _answer(self, question: Question) -> None:
        """What DOKU must have been answered."""
        bill = self.bills.get(question.bill)
        today = local_day(question.at)
        answer = None
        if question.heard and bill is not None and bill.state in ("asked", "active", "cancelling"):
            ahead = today + timedelta(days=LOOKED_AHEAD)
            day = next((day for day in bill.wish.schedule if today <= day <= ahead), None)
            if day is not None:
                answer = self._amount((question.bill, day), today)
        if question.seen and answer != question.answer:
            self.wrong_answers.append(f"{question.bill}, {question.at}: {question.answer}, and not {answer}")

    def _amount(self, charge: Charge, today: date) -> int | None:
        known = self.answers.get(charge)
        if known is None:
            known = self.world.amounts[charge].on(today)
            if known is not None:
                self.answers[charge] = known
                if charge in self.charges:
                    self.charges[charge] = known
        return known

    def _compare(self) -> None:
        """What was answered with what the view says now."""
        for charge, answered in self.answers.items():
            says = self.world.amounts[charge].on(self.today) or 0
            if says != answered:
                self.changed[charge] = says - answered
            else:
                self.changed.pop(charge, None)

    # --- figures --------------------

    def breaks(self) -> Counter[Break]:
        """Every break that must be open in the end."""
        return Counter([*self._of_charges(), *self._of_attempts()])

    def _of_charges(self) -> Iterator[Break]:
        yield from (Break("missing_charge", _name(charge), amount) for charge, amount in self.missing.items())
        yield from (Break("amount_changed", _name(charge), amount) for charge, amount in self.changed.items())
        for charge, own in self.of_charge.items():
            paid = [one.transaction for one in own if one.status == "paid" and one.transaction]
            if len(paid) > 1:
                later = sorted(paid, key=lambda one: (one.day, one.reference))[1:]
                yield Break("collected_twice", _name(charge), sum(one.amount for one in later))

    def _of_attempts(self) -> Iterator[Break]:
        unlisted = set()
        for reference, one in self.attempts.items():
            assert one.transaction is not None
            amount, paid = one.transaction.amount, one.status == "paid"
            if one.charge is None:
                yield Break("unexpected_charge", reference, amount if paid else 0)
            elif paid and amount != self.charges[one.charge]:
                yield Break(
                    "amount_differs", f"{reference}:{amount}:{RUPIAH}", amount - (self.charges[one.charge] or 0)
                )
            if one.told and meaning(one.transaction.code).partial:
                yield Break("partial_approval", f"{reference}:{amount}", amount)
            if one.told and not meaning(one.transaction.code).listed:
                unlisted.add(one.transaction.code)
        yield from (Break("unlisted_code", code, 0) for code in unlisted)

    def told(self) -> dict[tuple[str, str | None], tuple[str, str, int]]:
        """What the merchant must have been told: status, code and rupiah by charge id and reference."""
        return {
            (_name(charge), one.transaction.reference if one.transaction else None): (
                one.status, one.code, self.charges[charge] or 0 if one.amount is None else one.amount
            )
            for charge, own in self.of_charge.items() for one in own
        }  # fmt: skip

    def by_day(self) -> dict[date, dict[str, Sum]]:
        """The books of each day: count and rupiah by term."""
        found: dict[date, dict[str, Sum]] = defaultdict(lambda: defaultdict(lambda: (0, 0)))

        def book(day: date, term: str, amount: int) -> None:
            count, before = found[day][term]
            found[day][term] = (count + 1, before + amount)

        for charge, amount in self.charges.items():
            book(charge[1], "expected", amount or 0)
            statuses = {one.status for one in self.of_charge[charge]}
            term = next((one for one in ("paid", "unknown", "declined", "withdrawn") if one in statuses), "awaiting")
            book(charge[1], "declined" if term == "withdrawn" else term, amount or 0)
        for one in self.attempts.values():
            assert one.transaction is not None
            if one.charge is None:
                book(one.transaction.day, "unexpected", one.transaction.amount)
            elif one.status == "paid":
                book(one.charge[1], "collected", one.transaction.amount)
        return {day: dict(terms) for day, terms in found.items()}

    def against_the_money(self) -> Iterator[str]:
        """Transactions that are paid or declined here, and of which the money moved otherwise."""
        for reference, one in self.attempts.items():
            assert one.transaction is not None
            moved = one.transaction.charged
            if (one.status == "paid" and moved != one.amount) or (one.status == "declined" and moved):
                yield f"{reference} is {one.status}, and {moved} of {one.amount} moved"

    def overlooked(self) -> Iterator[str]:
        """What was lost on the way, should have been found by asking, and was not."""
        for one in self.truth.transactions.values():
            charge = (one.bill, one.due)
            late = at(one.due, time(0)) + timedelta(hours=self.rules.expected_hours) <= self.now
            first = self.truth.found(*charge, self.now)
            if one.reference not in self.attempts and charge in self.silent and late and first and _answered(first):
                yield f"{one.reference} of {_name(charge)}"

    def collected(self) -> int:
        """The rupiah that the merchant knows to have been collected."""
        return sum(one.amount or 0 for one in self.attempts.values() if one.status == "paid")


def last_day() -> date:
    """The last day that is played."""
    return days()[-1]


def _name(charge: Charge) -> str:
    return f"{charge[0]}/{charge[1].isoformat()}"


def _answered(transaction: Transaction) -> str:
    """What the answer to a status question decides: paid, declined, or nothing."""
    moved, code = transaction.known_later
    known = meaning(code)
    if moved:
        return "paid" if known.status == "paid" else ""
    return "" if known.status == "paid" or known.class_ == "check_first" else "declined"
