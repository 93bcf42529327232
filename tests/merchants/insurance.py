"""An Indonesian life and health insurer with invented customers: fills its billing database for demos and tests.

The tables and the view are those of `include/billing/examples/insurance.sql`. About three charges in a hundred are bad,
in every way that validation knows; a few are too old, and a few not due yet. The same arguments give the same rows.

    python -m tests.merchants.insurance --url sqlite:////tmp/insurance.db --charges 3000 --date 2026-11-22
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import islice
from random import Random
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine

from tests.merchants.common import EXAMPLES, TEST_CARD_NUMBERS, insert_rows, make_tables, person

SCHEMA: Final = EXAMPLES / "insurance.sql"

BAD_SHARE: Final = 0.03
LATE_SHARE: Final = 0.01
FUTURE_SHARE: Final = 0.04
_ROWS_PER_INSERT: Final = 2000

_CITIES: Final = ("Jakarta", "Surabaya", "Bandung", "Medan", "Semarang", "Makassar", "Denpasar", "Yogyakarta")
_PRODUCTS: Final = (
    ("Jiwa Keluarga", 350_000, 2_500_000),
    ("Kesehatan Plus", 275_000, 1_800_000),
    ("Pendidikan Anak", 500_000, 3_000_000),
    ("Kecelakaan Diri", 50_000, 250_000),
    ("Kendaraan", 180_000, 1_200_000),
)
_MEANS: Final = (
    ("CREDIT_CARD", "VISA", 45),
    ("CREDIT_CARD", "MASTERCARD", 35),
    ("CREDIT_CARD", "JCB", 5),
    ("DIRECT_DEBIT", None, 15),
)


@dataclass
class Seeded:
    """What was put into the database.

    Attributes:
        rows: Rows that the view lists, of any due date.
        due: Of these, due by the business date; rows without a readable due date count too.
        late: Of these, due more than a year ago.
        bad: How many charges were made bad, by the way they were.
    """

    rows: int = 0
    due: int = 0
    late: int = 0
    bad: Counter[str] = field(default_factory=Counter)


@dataclass
class _Charge:
    """One premium with the policy, customer and token behind it, before it is written."""

    customer: dict[str, Any]
    policy: dict[str, Any]
    token: dict[str, Any] | None
    premium: dict[str, Any]
    branch: list[dict[str, Any]] = field(default_factory=list)


def create_schema(engine: Engine) -> None:
    """Run the example's statements in an empty database."""
    make_tables(engine, SCHEMA)


def seed(engine: Engine, *, charges: int, business_date: date, seed: int = 7, bad_share: float = BAD_SHARE) -> Seeded:
    """Create the schema and fill it.

    Args:
        engine: An empty database.
        charges: How many premiums to make; a few of them are listed twice.
        business_date: The day that most of them are due by.
        seed: The same seed gives the same rows, whatever the database, but for what only SQLite can hold.
        bad_share: Share of bad ones; with any at all, each way of being bad occurs at least once if there is room.
    """
    create_schema(engine)
    maker = _Maker(Random(f"{seed}"), business_date, loose_types=engine.dialect.name == "sqlite")
    seeded = Seeded()
    with engine.begin() as connection:
        made = maker.charges(charges, bad_share, seeded)
        while some := list(islice(made, _ROWS_PER_INSERT)):
            _insert(connection, some)
    return seeded


def _insert(connection: Connection, charges: list[_Charge]) -> None:
    insert_rows(connection, "insurer_customers", [charge.customer for charge in charges])
    insert_rows(connection, "insurer_payment_tokens", [charge.token for charge in charges if charge.token])
    insert_rows(connection, "insurer_policies", [charge.policy for charge in charges])
    insert_rows(connection, "insurer_premiums", [charge.premium for charge in charges])
    insert_rows(connection, "insurer_branch_premiums", [row for charge in charges for row in charge.branch])


class _Maker:
    """Makes charges, one after the other, from one source of chance."""

    def __init__(self, chance: Random, business_date: date, *, loose_types: bool) -> None:
        self._chance, self._business_date, self._entries = chance, business_date, 0
        self._ways: dict[str, Callable[[_Charge], None]] = {
            name.removeprefix("_bad_"): getattr(self, name) for name in dir(self) if name.startswith("_bad_")
        }
        if loose_types:
            self._ways |= {
                name.removeprefix("_loose_"): getattr(self, name) for name in dir(self) if name.startswith("_loose_")
            }

    def charges(self, count: int, bad_share: float, seeded: Seeded) -> Iterator[_Charge]:
        """Make `count` charges and note in `seeded` what they are."""
        bad = self._pick(count, bad_share)
        for number in range(1, count + 1):
            charge = self._charge(number)
            if way := bad.get(number):
                self._ways[way](charge)
                seeded.bad[way] += 1
            due = charge.premium["due_date"]
            is_due = not (isinstance(due, str) and _is_iso(due) and due > self._business_date.isoformat())
            rows = (charge.premium["cancelled_on"] is None) + len(charge.branch)
            seeded.rows += rows
            seeded.due += rows * is_due
            seeded.late += rows * (isinstance(due, str) and _is_iso(due) and due < self._days(-365))
            yield charge

    def _pick(self, count: int, share: float) -> dict[int, str]:
        ways = sorted(self._ways)
        wanted = min(count, max(round(count * share), len(ways) if share else 0))
        numbers = self._chance.sample(range(1, count + 1), wanted)
        return {number: ways[place % len(ways)] for place, number in enumerate(numbers)}

    def _charge(self, number: int) -> _Charge:
        chance = self._chance
        customer_id, policy_number = f"C{number:08d}", f"PJ{number:09d}"
        product, least, most = chance.choice(_PRODUCTS)
        channel, network, _ = chance.choices(_MEANS, [weight for *_, weight in _MEANS])[0]
        due = self._due_date()
        return _Charge(
            customer={
                "customer_id": customer_id,
                "full_name": person(chance),
                "city": chance.choice(_CITIES),
            },
            policy={"policy_number": policy_number, "customer_id": customer_id, "product": product, "lapsed_on": None},
            token={
                "token": f"{chance.getrandbits(128):032x}",
                "customer_id": customer_id,
                "channel": channel,
                "network": network,
                "active": 1,
            },
            premium={
                "premium_id": f"PRM-{due:%Y%m}-{number:07d}",
                "policy_number": policy_number,
                "amount": chance.randrange(least, most, 500),
                "currency": "IDR",
                "due_date": due.isoformat(),
                "description": f"Premi {product} {due:%m-%Y}",
                "cancelled_on": self._days(-1) if chance.random() < 0.005 else None,
            },
        )

    def _due_date(self) -> date:
        drawn = self._chance.random()
        if drawn < LATE_SHARE:
            return self._business_date - timedelta(days=self._chance.randrange(400, 700))
        if drawn < LATE_SHARE + FUTURE_SHARE:
            return self._business_date + timedelta(days=self._chance.randrange(1, 60))
        return self._business_date - timedelta(days=self._chance.choice((0, 0, 0, 0, 0, 1, 1, 2, 3, 5)))

    def _days(self, away: int) -> str:
        return (self._business_date + timedelta(days=away)).isoformat()

    def _enter_at_branch(self, charge: _Charge, **other: Any) -> None:
        self._entries += 1
        row: Mapping[str, Any] = {name: value for name, value in charge.premium.items() if name != "cancelled_on"}
        charge.premium["cancelled_on"] = None
        charge.branch.append({"entry_id": self._entries, **row, **other})

    # Each way of being bad, on any database. A bad charge is due, so that it is seen.

    def _make_due(self, charge: _Charge) -> None:
        charge.premium["due_date"] = self._business_date.isoformat()
        charge.premium["cancelled_on"] = None

    def _change(self, charge: _Charge, **values: Any) -> None:
        self._make_due(charge)
        charge.premium.update(values)

    def _change_token(self, charge: _Charge, token: str) -> None:
        self._make_due(charge)
        assert charge.token is not None
        charge.token["token"] = token

    def _bad_token_missing(self, charge: _Charge) -> None:
        self._make_due(charge)
        charge.token = None

    def _bad_token_empty(self, charge: _Charge) -> None:
        self._change_token(charge, "")

    def _bad_token_card_number(self, charge: _Charge) -> None:
        self._change_token(charge, self._chance.choice(TEST_CARD_NUMBERS))

    def _bad_token_shape(self, charge: _Charge) -> None:
        self._change_token(charge, "n/a")

    def _bad_amount_fraction(self, charge: _Charge) -> None:
        self._change(charge, amount="149999.50")

    def _bad_amount_zero(self, charge: _Charge) -> None:
        self._change(charge, amount=0)

    def _bad_amount_negative(self, charge: _Charge) -> None:
        self._change(charge, amount=-charge.premium["amount"])

    def _bad_amount_over_limit(self, charge: _Charge) -> None:
        self._change(charge, amount=75_000_000_000)

    def _bad_amount_too_large(self, charge: _Charge) -> None:
        self._change(charge, amount="9000000000000000.00")

    def _bad_currency_unknown(self, charge: _Charge) -> None:
        self._change(charge, currency=self._chance.choice(("USD", "SGD", "Rp", "idr")))

    def _bad_due_date_missing(self, charge: _Charge) -> None:
        self._change(charge, due_date=None)

    def _bad_description_control_character(self, charge: _Charge) -> None:
        self._change(charge, description=f"{charge.premium['description']}\r\nlihat catatan")

    def _bad_description_delimiter(self, charge: _Charge) -> None:
        self._change(charge, description=charge.premium["description"].replace(" ", "|"))

    def _bad_description_too_long(self, charge: _Charge) -> None:
        self._change(
            charge, description=(charge.premium["description"] + " - mohon dibayar tepat waktu ").ljust(190, ".")
        )

    def _bad_description_card_number(self, charge: _Charge) -> None:
        number = TEST_CARD_NUMBERS[0]
        grouped = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
        self._change(charge, description=f"Kartu {grouped} exp 12/30")

    def _bad_description_letters(self, charge: _Charge) -> None:
        self._change(charge, description="Premi “Kesehatan” 保険")

    def _bad_many_at_once(self, charge: _Charge) -> None:
        self._change(charge, amount="-0.25", currency="US$", description="a|b\tc")
        charge.token = None

    def _bad_listed_twice_alike(self, charge: _Charge) -> None:
        self._make_due(charge)
        self._enter_at_branch(charge)

    def _bad_listed_twice_differently(self, charge: _Charge) -> None:
        self._make_due(charge)
        self._enter_at_branch(charge, amount=charge.premium["amount"] + 25_000)

    # What only SQLite lets into a typed column.

    def _loose_amount_unreadable(self, charge: _Charge) -> None:
        self._change(charge, amount=self._chance.choice(("Rp 350.000", "350,000", "tba")))

    def _loose_due_date_unreadable(self, charge: _Charge) -> None:
        self._change(charge, due_date=self._business_date.strftime("%d/%m/%Y"))


def _is_iso(day: str) -> bool:
    return len(day) == 10 and day[4] == "-"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.merchants.insurance", description="Fill a billing database")
    parser.add_argument("--url", required=True, help="SQLAlchemy URL of an empty database")
    parser.add_argument("--charges", type=int, default=3000)
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="business date, ISO")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--bad-share", type=float, default=BAD_SHARE)
    chosen = parser.parse_args(arguments)
    engine = create_engine(chosen.url, hide_parameters=True)
    seeded = seed(
        engine, charges=chosen.charges, business_date=chosen.date, seed=chosen.seed, bad_share=chosen.bad_share
    )
    engine.dispose()
    summary = {"rows": seeded.rows, "due": seeded.due, "late": seeded.late, "bad": dict(sorted(seeded.bad.items()))}
    sys.stdout.write(json.dumps(summary) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
