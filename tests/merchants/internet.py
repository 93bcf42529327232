"""An Indonesian internet provider with invented subscribers: fills its billing database for demos and tests.

The tables and the views are those of `include/billing/examples/internet.sql`. Two subscriptions in three are bills,
most of a varying amount and most charged on the business date, whatever day that is; the others owe an invoice. A few
invoices and bills are bad, and of a few bills nobody knows the amount yet. The same arguments give the same rows.

    python -m tests.merchants.internet --url sqlite:////tmp/internet.db --charges 300 --date 2026-11-22
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from random import Random
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine

from tests.merchants.common import EXAMPLES, insert_rows, make_tables, person

SCHEMA: Final = EXAMPLES / "internet.sql"

BAD_SHARE: Final = 0.02
BATCH_SHARE: Final = 0.35
FLAT_SHARE: Final = 0.2
TODAY_SHARE: Final = 0.8
BULK_SHARE: Final = 0.4
OPEN_MONTH_SHARE: Final = 0.08
WISH_SHARE: Final = 0.1
_ROWS_PER_INSERT: Final = 2000
_PLANS: Final = (("Rumah 20", 150_000), ("Rumah 50", 250_000), ("Usaha 100", 600_000), ("Usaha 300", 1_500_000))


@dataclass
class Seeded:
    """What was put into the database.

    Attributes:
        rows: Subscriptions.
        bills: Good ones that are bills.
        varying, due, unknown: Of these, without a fixed amount; charged on the business date; due, and no amount known.
        link, bulk: The bills by how they are registered.
        invoices: Good invoices that are due.
        bad: How many were made bad, by the way they were.
    """

    rows: int = 0
    bills: int = 0
    varying: int = 0
    due: int = 0
    unknown: int = 0
    link: int = 0
    bulk: int = 0
    invoices: int = 0
    bad: Counter[str] = field(default_factory=Counter)


@dataclass
class _Subscription:
    subscriber: dict[str, Any]
    row: dict[str, Any]
    today: bool
    metered: dict[str, Any] | None = None
    invoice: dict[str, Any] | None = None


def create_schema(engine: Engine) -> None:
    """Run the example's statements in an empty database."""
    make_tables(engine, SCHEMA)


def seed(engine: Engine, *, charges: int, business_date: date, seed: int = 7, bad_share: float = BAD_SHARE) -> Seeded:
    """Create the schema and fill it.

    Args:
        engine: An empty database.
        charges: How many subscriptions to make.
        business_date: The day on which most bills are charged, and by which the invoices are due.
        seed: The same seed gives the same rows, whatever the database.
        bad_share: Share of bad ones, of each way of being bad about as many.
    """
    create_schema(engine)
    seeded = Seeded()
    with engine.begin() as connection:
        made = _Maker(Random(f"{seed}"), business_date).subscriptions(charges, bad_share, seeded)
        while some := list(islice(made, _ROWS_PER_INSERT)):
            _insert(connection, some)
    return seeded


def _insert(connection: Connection, made: list[_Subscription]) -> None:
    insert_rows(connection, "subscribers", [one.subscriber for one in made])
    insert_rows(connection, "subscriptions", [one.row for one in made])
    insert_rows(connection, "metered_months", [one.metered for one in made if one.metered])
    insert_rows(connection, "invoices", [one.invoice for one in made if one.invoice])


class _Maker:
    """Makes subscriptions, one after the other, from one source of chance."""

    def __init__(self, chance: Random, business_date: date) -> None:
        self._chance, self._day = chance, business_date
        self._ways: dict[str, Callable[[_Subscription], None]] = {
            name.removeprefix("_bad_"): getattr(self, name) for name in dir(self) if name.startswith("_bad_")
        }

    def subscriptions(self, count: int, bad_share: float, seeded: Seeded) -> Iterator[_Subscription]:
        """Make `count` subscriptions and note in `seeded` what they are."""
        wanted = min(count, max(round(count * bad_share), len(self._ways) if bad_share else 0))
        bad = set(self._chance.sample(range(1, count + 1), wanted))
        for number in range(1, count + 1):
            one = self._subscription(number)
            seeded.rows += 1
            if number in bad:
                ways = sorted(way for way in self._ways if way.startswith("invoice" if one.invoice else "bill"))
                way = min(ways, key=lambda name: seeded.bad[name])
                self._ways[way](one)
                seeded.bad[way] += 1
            else:
                self._note(one, seeded)
            yield one

    @staticmethod
    def _note(one: _Subscription, seeded: Seeded) -> None:
        if one.invoice:
            seeded.invoices += 1
            return
        seeded.bills += 1
        seeded.varying += one.row["per_gigabyte"] > 0
        seeded.due += one.today
        seeded.unknown += one.today and one.metered is not None and not one.metered["closed"]
        seeded.link += one.row["sign_up"] == "link"
        seeded.bulk += one.row["sign_up"] == "bulk"

    def _subscription(self, number: int) -> _Subscription:
        chance = self._chance
        plan, fee = chance.choice(_PLANS)
        batch, flat = chance.random() < BATCH_SHARE, chance.random() < FLAT_SHARE
        today = chance.random() < TODAY_SHARE
        day = self._day if today else self._day + timedelta(days=chance.randrange(1, 7))
        row = {
            "subscription_number": f"NET{number:08d}",
            "subscriber_id": f"S{number:08d}",
            "plan_name": plan,
            "monthly_fee": fee,
            "per_gigabyte": 0 if flat else chance.choice((500, 750, 1000)),
            "collected_by": "batch" if batch else "bill",
            "charged_on": None if batch else _days_of(day),
            "sign_up": None if batch else "bulk" if chance.random() < BULK_SHARE else "link",
            "begins_on": self._days(-chance.randrange(0, 500)),
            "ends_on": None,
            "cancelled_on": None,
        }
        subscriber = {
            "subscriber_id": row["subscriber_id"],
            "full_name": person(chance),
            "email": f"subscriber{number}@example.org",
            "phone": f"0813{chance.randrange(10**7, 10**8)}",
            "pays_by": "CREDIT_CARD" if chance.random() < WISH_SHARE else None,
            "card_ends_in": None,
        }
        one = _Subscription(subscriber, row, today)
        gigabytes, is_open = chance.randrange(0, 900), chance.random() < OPEN_MONTH_SHARE
        if batch:
            one.invoice = {
                "invoice_id": f"INV-{self._day:%Y%m}-{number:07d}",
                "subscription_number": row["subscription_number"],
                "amount": fee + gigabytes * int(row["per_gigabyte"]),
                "currency": "IDR",
                "due_date": self._days(-chance.choice((0, 0, 0, 1, 3))),
                "cancelled_on": None,
            }
        elif not flat:
            one.metered = {
                "subscription_number": row["subscription_number"],
                "charged_on": day.isoformat(),
                "gigabytes": gigabytes,
                "closed": int(not is_open),
            }
        return one

    def _days(self, away: int) -> str:
        return (self._day + timedelta(days=away)).isoformat()

    # Each way of being bad, on any database.

    def _bad_bill_day_31(self, one: _Subscription) -> None:
        one.row["charged_on"] = "31"

    def _bad_bill_without_a_day(self, one: _Subscription) -> None:
        one.row["charged_on"] = None

    def _bad_bill_word_unknown(self, one: _Subscription) -> None:
        one.row["sign_up"] = "phone"

    def _bad_invoice_amount_fraction(self, one: _Subscription) -> None:
        assert one.invoice is not None
        one.invoice["amount"] = "149999.50"

    def _bad_invoice_amount_zero(self, one: _Subscription) -> None:
        assert one.invoice is not None
        one.invoice["amount"] = 0

    def _bad_invoice_currency_unknown(self, one: _Subscription) -> None:
        assert one.invoice is not None
        one.invoice["currency"] = "USD"

    def _bad_invoice_due_date_missing(self, one: _Subscription) -> None:
        assert one.invoice is not None
        one.invoice["due_date"] = None


def _days_of(day: date) -> str:
    """The day of the month; as dates where DOKU charges on no such day."""
    return str(day.day) if day.day <= 28 else f"{day.isoformat()},{(day + timedelta(days=61)).isoformat()}"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.merchants.internet", description="Fill a billing database")
    parser.add_argument("--url", required=True, help="SQLAlchemy URL of an empty database")
    parser.add_argument("--charges", type=int, default=300, help="subscriptions to make")
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="business date, ISO")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--bad-share", type=float, default=BAD_SHARE)
    chosen = parser.parse_args(arguments)
    engine = create_engine(chosen.url, hide_parameters=True)
    seeded = seed(
        engine, charges=chosen.charges, business_date=chosen.date, seed=chosen.seed, bad_share=chosen.bad_share
    )
    engine.dispose()
    sys.stdout.write(json.dumps({**vars(seeded), "bad": dict(sorted(seeded.bad.items()))}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
