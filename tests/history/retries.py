"""Whether every further attempt was allowed, and none that was due is lacking: by the rules as data, one by one.

What was known on a morning is what the reconciliations before it had read. A further attempt needs a declined one
before it; its rule, its day, its card, its agreement and the networks' caps must allow it.
"""

import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache, cached_property
from typing import Any, Final

from tests.history import codes
from tests.history.books import NOBODY, STRONGEST, Books, Said, Sent
from tests.history.forms import CONFIG
from tests.history.merchant import Journal
from tests.history.world import World

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LATE_DAYS: Final = 30
SPACING: Final = (1, 3, 5, 7)
MOST_OF_CHARGE: Final = 4
FEW: Final = 2
"""The profile's defaults."""

TAKEN: Final = ("paid", "reversed")
STRICTNESS: Final = ("retry", "ask", "after_change", "merchant_setup", "never", "mandate_ended")
"""Of several answers that declined one attempt the strictest counts."""

NEVER: Final = STRICTNESS[-2:]
ONE_DAY: Final = timedelta(days=1)

Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Rule:
    """What an answer allows."""

    action: str
    days: int = 1
    pay_day: bool = False


@cache
def _told() -> dict[str, Any]:
    return tomllib.loads((CONFIG / "retry_rules.toml").read_text(encoding="utf-8"))


@cache
def rule(code: str) -> Rule:
    """The rule for a code; none: only when it is asked for."""
    known = codes.meaning(code)
    if known.ends_mandate:
        return Rule("mandate_ended")
    by_code = next((one for one in _told()["after"] if code in one.get("codes", ())), None)
    found = by_code or next((one for one in _told()["after"] if one.get("class") == known.class_), None)
    return Rule(found["action"], found.get("at_least_days", 1), found.get("pay_day", False)) if found else Rule("ask")


@cache
def _holidays(year: int) -> frozenset[date]:
    told = tomllib.loads((CONFIG / "calendars" / f"ID-{year}.toml").read_text(encoding="utf-8"))
    return frozenset(one["day"] for one in told["holidays"])


@dataclass(frozen=True)
class Days:
    """On which days a charge may be tried again."""

    weekdays: frozenset[int]
    pay_days: frozenset[int]

    @classmethod
    def of(cls, settings: Settings) -> "Days":
        """As a profile's [retry] has them."""
        named = settings.get("weekdays", WEEKDAYS)
        return cls(frozenset(WEEKDAYS.index(one) for one in named), frozenset(settings.get("pay_days", ())))

    def allows(self, day: date, *, pay_day: bool = False) -> bool:
        """Whether it may be tried on that day."""
        if day.weekday() not in self.weekdays or day in _holidays(day.year):
            return False
        return not (pay_day and self.pay_days) or day in self._paid_on(day)

    def _paid_on(self, around: date) -> set[date]:
        """Days of that time on which customers have money: one that is no working day moves to the next."""
        found = set()
        for back in range(15):
            named = around - timedelta(days=back)
            if named.day in self.pay_days:
                while not self.allows(named):
                    named += ONE_DAY
                found.add(named)
        return found


@dataclass
class Side:
    """One merchant's history, seen day by day.

    Attributes:
        settings: The profile's [retry].
        asked: By charge: from which day on the view asks for which attempt.
        off: Charges that somebody cancelled, held or took off the view.
    """

    world: World
    journal: Journal
    books: Books
    settings: Settings
    asked: dict[str, list[tuple[date, int]]] = field(default_factory=lambda: defaultdict(list))
    off: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.days = Days.of(self.settings)
        for day, acts in self.journal.acts.items():
            for act in acts:
                if act.what == "ask":
                    self.asked[act.charge_id].append((day, act.value))
                elif act.what in ("cancel", "hold", "delist"):
                    self.off.add(act.charge_id)

    @cached_property
    def attempts(self) -> dict[str, list[Sent]]:
        """The attempts of each charge that were sent, in order."""
        found: dict[str, list[Sent]] = defaultdict(list)
        for one in sorted(self.books.sent.values(), key=lambda one: one.number):
            found[one.charge_id].append(one)
        return found

    @cached_property
    def lines(self) -> dict[str, list[tuple[date, Said]]]:
        """What is said of each attempt, and the day on which it was read."""
        found: dict[str, list[tuple[date, Said]]] = defaultdict(list)
        for report in self.books.reports:
            for line in report.lines:
                if line.invoice in self.books.sent:
                    found[line.invoice].append((report.day, line))
        return found

    def status(self, one: Sent, morning: date) -> str:
        """What an attempt was known to be on a morning; empty: nothing was."""
        found = {line.status for day, line in self.lines.get(one.invoice, ()) if day < morning}
        settled, settled_on = self.books.settled.get(one.invoice, ("", date.max))
        if settled_on <= morning:
            found.add(settled)
        if self.journal.refused.get(one.batch, date.max) <= morning:
            found.add("withdrawn")
        return next((each for each in STRONGEST if each in found), "")

    def declines(self, one: Sent, morning: date) -> list[tuple[date, str]]:
        """The evenings before a morning on which an attempt was known to be declined, each with the code that says so.

        A person gives no code.
        """
        found = [(day, line.code) for day, line in self.lines.get(one.invoice, ()) if line.status == "declined"]
        settled, settled_on = self.books.settled.get(one.invoice, NOBODY)
        if settled == "declined":
            found.append((next((day for day in self.journal.reconciles if day >= settled_on), settled_on), ""))
        return sorted(each for each in found if each[0] < morning)

    def declined(self, one: Sent, morning: date = date.max) -> tuple[date, str] | None:
        """Since when it is known that an attempt was declined, and the strictest code that says so; by a morning."""
        found = self.declines(one, morning)
        return (found[0][0], max(found, key=_weight)[1]) if found else None

    def is_paid(self, charge_id: str, morning: date) -> bool:
        """Whether the charge was known to be paid on a morning."""
        return any(self.status(one, morning) in TAKEN for one in self.attempts.get(charge_id, ()))

    def is_told_paid(self, charge_id: str, morning: date) -> bool:
        """Whether the merchant's table of outcomes says that the charge is paid; not where it was taken back since."""
        return any(self.status(one, morning) == "paid" for one in self.attempts.get(charge_id, ()))

    def mended(self, since: date, until: date) -> date | None:
        """The first day after an evening on which a person said that the set-up at DOKU is mended."""
        return next((day for day in self.journal.setup_mended if since < day <= until), None)

    def tries(self, charge_id: str, before: Sent | None, morning: date) -> list[Sent]:
        """The attempts of a charge, up to one, that are not known to be withdrawn."""
        sent = self.attempts.get(charge_id, ())
        earlier = [one for one in sent if before is None or one.number < before.number]
        return [one for one in earlier if self.status(one, morning) != "withdrawn"]


def _weight(decline: tuple[date, str]) -> tuple[int, int, bool, int]:
    """The strictest answer counts; of several as strict the one that was read first, and then the later try."""
    day, code = decline
    found = rule(code)
    return STRICTNESS.index(found.action), -day.toordinal(), found.pay_day, found.days


@dataclass
class Ends:
    """What is never charged again, since which evening: cards of any merchant, and a merchant's agreements."""

    cards: dict[str, date] = field(default_factory=dict)
    customers: dict[tuple[str, str], date] = field(default_factory=dict)

    @classmethod
    def of(cls, sides: Sequence[Side]) -> "Ends":
        """Everything that the answers of a history ended."""
        found = cls()
        for side in sides:
            for one in side.books.sent.values():
                key = side.world.name, side.world.charges[one.charge_id].customer.customer_id
                for day, code in side.declines(one, date.max):
                    if rule(code).action in NEVER:
                        found.cards[one.token] = min(day, found.cards.get(one.token, day))
                    if rule(code).action == "mandate_ended":
                        found.customers[key] = min(day, found.customers.get(key, day))
        return found

    def stop(self, side: Side, charge_id: str, token: str, day: date) -> bool:
        """Whether nothing may be charged on that card, or under that agreement, on that day."""
        key = side.world.name, side.world.charges[charge_id].customer.customer_id
        return self.cards.get(token, date.max) < day or self.customers.get(key, date.max) < day


def wrong(sides: Sequence[Side]) -> Iterator[str]:
    """Every attempt that should not have been, and every one that should have; a sentence each."""
    ends = Ends.of(sides)
    for side in sides:
        for one in side.books.sent.values():
            if reason := _why_not(side, one):
                yield f"{one.charge_id} attempt {one.number} on {one.day}: {reason}"
            if ends.stop(side, one.charge_id, one.token, one.day):
                yield f"{one.charge_id} attempt {one.number} on {one.day}: its card or its agreement had ended"
        yield from _never_sent(side, ends)
        if side.settings["enabled"]:
            yield from _not_tried_again(side, ends)
    yield from _over_caps(sides)


def _why_not(side: Side, one: Sent) -> str:
    """Why an attempt should not have been made; empty: it was right."""
    if any(side.status(each, one.day) in TAKEN for each in side.attempts[one.charge_id] if each.number < one.number):
        return "the charge was known to be paid"
    tries = side.tries(one.charge_id, one, one.day)
    if not tries:
        return ""
    last = tries[-1]
    known = side.declined(last, one.day)
    if side.status(last, one.day) != "declined" or known is None:
        return f"attempt {last.number} was {side.status(last, one.day) or 'in flight'}"
    if side.settings["enabled"] and not side.days.allows(one.day):
        return "that is no day for it"
    return _by_rule(side, one, tries, known[1])


def _by_rule(side: Side, one: Sent, tries: Sequence[Sent], code: str) -> str:
    found, last = rule(code), tries[-1]
    asked = any(day <= one.day and number > last.number for day, number in side.asked[one.charge_id])
    if found.action == "mandate_ended" or (found.action == "never" and one.token == last.token):
        return f"never again after {code}"
    if asked:
        return ""
    if found.action == "merchant_setup" and side.settings["enabled"]:
        known = side.declined(last, one.day)
        return "" if known and side.mended(known[0], one.day) else "the set-up was not mended"
    if not side.settings["enabled"] or found.action == "ask":
        return "nobody asked for it"
    if found.action == "after_change" and one.token == last.token:
        return "nothing had changed"
    return _too_early(side, one, tries, found) if found.action == "retry" else ""


def _too_early(side: Side, one: Sent, tries: Sequence[Sent], found: Rule) -> str:
    last, code = tries[-1], side.declined(tries[-1], one.day)
    apart = (one.day - last.day).days
    if apart < _apart(tries, found):
        return f"{apart} days after the last one"
    if not side.days.allows(one.day, pay_day=found.pay_day):
        return "that is no pay day"
    return "one too many for the charge" if code is None or _used_up(tries, code[1]) else ""


def _apart(tries: Sequence[Sent], found: Rule) -> int:
    """Days from the last of some tries to the next."""
    return max(SPACING[min(len(tries), len(SPACING)) - 1], found.days)


def _used_up(tries: Sequence[Sent], code: str) -> bool:
    return len(tries) >= MOST_OF_CHARGE or (codes.meaning(code).few and len(tries) > FEW)


def _never_sent(side: Side, ends: Ends) -> Iterator[str]:
    """Charges that should have been sent, and were not; or that were sent before they were due and whole."""
    left_behind = {charge_id for charge_id, _ in side.books.withdrawn}
    for charge_id, charge in side.world.charges.items():
        first = next((day for day in side.journal.submits if charge.first_day and day >= charge.first_day), None)
        mine = side.attempts.get(charge_id, [])
        if mine and (first is None or mine[0].day < first):
            yield f"{charge_id} was sent on {mine[0].day} before it was due and whole"
        lost = first and not mine and charge_id not in left_behind
        if lost and not ends.stop(side, charge_id, charge.customer.token, first):
            yield f"{charge_id} was due on {first} and never sent"


def _not_tried_again(side: Side, ends: Ends) -> Iterator[str]:
    """Charges that should have been tried again by the end, and were not."""
    end = side.journal.submits[-1]
    for charge_id in side.attempts.keys() - side.off:
        last = side.attempts[charge_id][-1]
        left_behind = (charge_id, last.number + 1) in side.books.withdrawn
        if left_behind or side.is_paid(charge_id, end) or side.status(last, end) not in ("declined", "withdrawn"):
            continue
        if (day := _next_day(side, charge_id, end)) is None or ends.stop(side, charge_id, last.token, day):
            continue
        if day <= min(end, side.world.charges[charge_id].due + timedelta(days=LATE_DAYS)):
            yield f"{charge_id} attempt {last.number} was {side.status(last, end)}, and none followed on {day}"


def _next_day(side: Side, charge_id: str, end: date) -> date | None:
    """The day on which a charge is tried again after its last attempt; None: on none by itself."""
    last, tries = side.attempts[charge_id][-1], side.tries(charge_id, None, end)
    pay_day, day = False, last.day
    if side.status(last, end) == "withdrawn":
        settled_on = side.books.settled.get(last.invoice, ("", date.max))[1]
        day = min(settled_on, side.journal.refused.get(last.batch, date.max))
    if tries:
        since, code = side.declined(tries[-1], end) or (end, "")
        found = rule(code)
        if found.action == "merchant_setup":
            mended = side.mended(since, end)
            day = max(day, mended or date.max)
        elif found.action == "retry" and not any(_used_up(tries, each) for _, each in side.declines(tries[-1], end)):
            pay_day = found.pay_day
            day = max(day, since + ONE_DAY, tries[-1].day + timedelta(days=_apart(tries, found)))
        else:
            return None
    while day <= end and (day in side.world.down or (tries and not side.days.allows(day, pay_day=pay_day))):
        day += ONE_DAY
    return day


def _over_caps(sides: Sequence[Side]) -> Iterator[str]:
    """Tries on one card beyond what its network allows, whoever made them."""
    network = {one.customer.token: one.customer.network for side in sides for one in side.world.charges.values()}
    tries: dict[str, list[Sent]] = defaultdict(list)
    for side in sides:
        for one in side.books.sent.values():
            if side.books.fates[one.invoice].status != "withdrawn":
                tries[one.token].append(one)
    for token, sent in tries.items():
        for cap in (cap for cap in _told()["cap"] if cap["network"] == network.get(token)):
            for one in sent:
                window = [each for each in sent if 0 <= (one.day - each.day).days <= cap["days"]]
                counted = Counter(each.amount if cap["per"] == "token_and_amount" else 0 for each in window)
                if max(counted.values()) > cap["most"]:
                    yield f"{one.charge_id} on {one.day}: {max(counted.values())} tries, {cap['id']}"
