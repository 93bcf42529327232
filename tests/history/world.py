"""Who owes what, when: customers and their monthly charges, and what goes wrong with them, by a seed."""

import calendar
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

FIRST_DAY: Final = date(2026, 3, 2)
"""A Monday; within sixty days come Nyepi, Eid al-Fitr, Good Friday and two ends of a month."""

DAYS: Final = 60

NETWORKS: Final = {"VISA": "411111", "MASTERCARD": "520000", "JCB": "353011", "": ""}
BANKS: Final = ("BCA", "MANDIRI", "BRI", "BNI", "CIMB")
CHANNELS: Final = ("CREDIT_CARD", "CREDIT_CARD", "DIRECT_DEBIT", "EWALLET")


def chance(*key: object) -> random.Random:
    """A generator that depends on nothing but the key: so the same world comes whatever is asked for first."""
    return random.Random("|".join(map(str, key)))


@dataclass(frozen=True)
class Customer:
    """Somebody who pays every month.

    Attributes:
        network_listed: Whether the merchant knows the card's network.
        luck: How likely a try succeeds.
    """

    customer_id: str
    billing_number: str
    token: str
    network: str
    network_listed: bool
    masked_card: str
    bank: str
    channel: str
    amount: int
    due_day: int
    luck: float


@dataclass
class Charge:
    """What a customer owes for a month.

    Attributes:
        listed: The day on which the merchant's view begins to show it.
        fault: What is wrong with it: no token, or a fraction of a rupiah.
        mended: The day on which that is mended.
        vanishes: It is gone from the view just after its first claim.
        lingers: The view goes on to show it once it is paid.
        paid_elsewhere: The day on which the merchant takes it off the view before it was ever due.
    """

    charge_id: str
    customer: Customer
    due: date
    amount: int
    listed: date
    fault: str = ""
    mended: date | None = None
    vanishes: bool = False
    lingers: bool = False
    paid_elsewhere: date | None = None

    @property
    def first_day(self) -> date | None:
        """The first day on which a run can claim it; None if it can never be claimed."""
        if self.paid_elsewhere or (self.fault and not self.mended):
            return None
        return max(self.due, self.listed, self.mended or self.due)


@dataclass
class World:
    """A merchant's customers and charges.

    Attributes:
        name: Of the merchant's profile.
        charges: By charge id.
        down: Days on which DOKU's server does not answer.
        slow: Days on which half an hour passes between claiming and sealing.
        unsure: Days on which the server's answer to a renaming is lost.
        wrong_setup: Days on which the merchant's set-up at DOKU is wrong.
    """

    seed: int
    name: str
    charges: dict[str, Charge] = field(default_factory=dict)
    down: frozenset[date] = frozenset()
    slow: frozenset[date] = frozenset()
    unsure: frozenset[date] = frozenset()
    wrong_setup: frozenset[date] = frozenset()

    def first_claimed(self, charge: Charge) -> date | None:
        """The business date of its first attempt, if it ever has one within the history."""
        day = charge.first_day
        return None if day is None or day > last_day() else day


def days() -> list[date]:
    """All days of the history."""
    return [FIRST_DAY + timedelta(days=number) for number in range(DAYS)]


def last_day() -> date:
    """The last day of the history."""
    return FIRST_DAY + timedelta(days=DAYS - 1)


def world(seed: int, name: str, customers: int, tokens_of: "World | None" = None) -> World:
    """A merchant with so many customers.

    Args:
        tokens_of: Another merchant, with whom every fourth customer shares a card.
    """
    known = {one.customer.customer_id: one.customer for one in tokens_of.charges.values()} if tokens_of else {}
    others = [known[name] for name in sorted(known)]
    made = World(
        seed, name,
        down=_some_days(seed, name, "down", 3), slow=_some_days(seed, name, "slow", 9),
        unsure=_some_days(seed, name, "unsure", 3), wrong_setup=_some_days(seed, name, "setup", 2),
    )  # fmt: skip
    made.slow -= made.down
    made.unsure -= made.down
    for number in range(customers):
        shared = others[number * 7 % len(others)] if others and number % 4 == 0 else None
        one = _customer(seed, name, number, shared)
        made.charges |= {charge.charge_id: charge for charge in _charges(made, one)}
    return made


def _some_days(seed: int, name: str, what: str, count: int) -> frozenset[date]:
    """Days apart from each other, and from both ends of the history."""
    rng = chance(seed, name, what)
    inner = days()[4:-9]
    apart = len(inner) // count
    return frozenset(inner[number * apart + rng.randrange(apart - 1)] for number in range(count))


def _customer(seed: int, name: str, number: int, shared: Customer | None) -> Customer:
    rng = chance(seed, name, "customer", number)
    letter = name[0].upper()
    network = rng.choices(list(NETWORKS), (50, 30, 8, 12))[0]
    token = hashlib.sha256(f"{seed} {name} {number // 2 if number % 50 == 1 else number}".encode()).hexdigest()[:32]
    card = f"{NETWORKS[network]}******{1000 + number % 9000}" if network else ""
    return Customer(
        customer_id=f"{letter}{number:06}",
        billing_number=f"88{letter}{number:08}",
        token=shared.token if shared else token,
        network=shared.network if shared else network,
        network_listed=rng.random() < 0.4,
        masked_card=shared.masked_card if shared else card,
        bank=rng.choice(BANKS),
        channel=rng.choice(CHANNELS),
        amount=shared.amount if shared else rng.randrange(100, 4000) * 500,
        due_day=rng.choice((*range(1, 29), 25, 25, 28, 30, 31)),
        luck=rng.choice((0.97, 0.9, 0.8, 0.4)),
    )


def _charges(made: World, customer: Customer) -> Iterator[Charge]:
    for year, month in ((2026, 3), (2026, 4)):
        due = date(year, month, min(customer.due_day, calendar.monthrange(year, month)[1]))
        if not FIRST_DAY <= due <= last_day():
            continue
        charge_id = f"{customer.customer_id}-{year}{month:02}"
        rng = chance(made.seed, "charge", charge_id)
        charge = Charge(
            charge_id, customer, due, customer.amount,
            listed=max(FIRST_DAY, due + timedelta(days=rng.choice((-3, -2, -1, 0, 0, 2)))),
            lingers=rng.random() < 0.03,
        )  # fmt: skip
        fate = rng.random()
        if fate < 0.012:
            charge.fault = rng.choice(("no token", "fraction"))
            if rng.random() < 0.7:
                charge.mended = max(charge.due, charge.listed) + timedelta(days=rng.randrange(1, 6))
        elif fate < 0.02 and charge.listed < charge.due:
            charge.paid_elsewhere = charge.due - timedelta(days=1)
        elif charge.first_day in made.slow and fate < 0.2:
            charge.vanishes = True
        yield charge
