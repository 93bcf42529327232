"""An Indonesian charity with invented donors: fills its register of pledges for demos and tests.

The tables and the views are those of `include/billing/examples/donation.sql`. Most pledges are charged on the business
date, whatever day that is; about two in a hundred cannot be used. The same arguments give the same rows.

    python -m tests.merchants.donation --url sqlite:////tmp/donation.db --charges 300 --date 2026-11-22
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

SCHEMA: Final = EXAMPLES / "donation.sql"

BAD_SHARE: Final = 0.02
TODAY_SHARE: Final = 0.75
BULK_SHARE: Final = 0.4
GIVEN_UP_SHARE: Final = 0.02
_SECOND_PLEDGE_SHARE: Final = 0.15
_ROWS_PER_INSERT: Final = 2000
_PURPOSES: Final = ("Air Bersih", "Beasiswa Anak", "Dapur Umum", "Klinik Keliling", "Tanggap Bencana")
_WEEKDAYS: Final = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS: Final = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass
class Seeded:
    """What was put into the database.

    Attributes:
        rows: Pledges.
        wanted: Of these, good ones that are not given up.
        due: Of these, charged on the business date.
        link, bulk: The wanted ones by how they are registered.
        bad: How many pledges were made bad, by the way they were.
    """

    rows: int = 0
    wanted: int = 0
    due: int = 0
    link: int = 0
    bulk: int = 0
    bad: Counter[str] = field(default_factory=Counter)


@dataclass
class _Pledge:
    donor: dict[str, Any] | None
    row: dict[str, Any]
    today: bool


def create_schema(engine: Engine) -> None:
    """Run the example's statements in an empty database."""
    make_tables(engine, SCHEMA)


def seed(engine: Engine, *, charges: int, business_date: date, seed: int = 7, bad_share: float = BAD_SHARE) -> Seeded:
    """Create the schema and fill it.

    Args:
        engine: An empty database.
        charges: How many pledges to make.
        business_date: The day on which most of them are charged.
        seed: The same seed gives the same rows, whatever the database.
        bad_share: Share of bad ones; with any at all, each way of being bad occurs at least once if there is room.
    """
    create_schema(engine)
    seeded = Seeded()
    with engine.begin() as connection:
        made = _Maker(Random(f"{seed}"), business_date).pledges(charges, bad_share, seeded)
        while some := list(islice(made, _ROWS_PER_INSERT)):
            _insert(connection, some)
    return seeded


def _insert(connection: Connection, pledges: list[_Pledge]) -> None:
    insert_rows(connection, "donors", [pledge.donor for pledge in pledges if pledge.donor])
    insert_rows(connection, "pledges", [pledge.row for pledge in pledges])


class _Maker:
    """Makes pledges, one after the other, from one source of chance."""

    def __init__(self, chance: Random, business_date: date) -> None:
        self._chance, self._day, self._donors = chance, business_date, 0
        self._ways: dict[str, Callable[[dict[str, Any]], None]] = {
            name.removeprefix("_bad_"): getattr(self, name) for name in dir(self) if name.startswith("_bad_")
        }

    def pledges(self, count: int, bad_share: float, seeded: Seeded) -> Iterator[_Pledge]:
        """Make `count` pledges and note in `seeded` what they are."""
        ways = sorted(self._ways)
        wanted = min(count, max(round(count * bad_share), len(ways) if bad_share else 0))
        numbers = self._chance.sample(range(1, count + 1), wanted)
        bad = {number: ways[place % len(ways)] for place, number in enumerate(numbers)}
        for number in range(1, count + 1):
            pledge = self._pledge(number)
            seeded.rows += 1
            if way := bad.get(number):
                pledge.row["given_up_on"] = None
                self._ways[way](pledge.row)
                seeded.bad[way] += 1
            elif pledge.row["given_up_on"] is None:
                seeded.wanted += 1
                seeded.due += pledge.today
                seeded.link += pledge.row["sign_up"] == "link"
                seeded.bulk += pledge.row["sign_up"] == "bulk"
            yield pledge

    def _pledge(self, number: int) -> _Pledge:
        chance, donor = self._chance, None
        if self._donors == 0 or chance.random() >= _SECOND_PLEDGE_SHARE:
            self._donors += 1
            donor = {
                "donor_id": f"D{self._donors:08d}",
                "full_name": person(chance),
                "email": f"donor{self._donors}@example.org" if chance.random() < 0.9 else None,
                "phone": f"0812{chance.randrange(10**7, 10**8)}",
            }
        today = chance.random() < TODAY_SHARE
        frequency, days, months = self._schedule(today)
        row = {
            "pledge_number": f"PL{number:08d}",
            "donor_id": f"D{self._donors:08d}",
            "purpose": chance.choice(_PURPOSES),
            "amount": 5000 * chance.randrange(5, 101),
            "currency": "IDR",
            "frequency": frequency,
            "days": days,
            "months": months,
            "begins_on": self._days(-chance.randrange(0, 300)),
            "ends_on": self._days(chance.randrange(30, 700)) if chance.random() < 0.2 else None,
            "given_up_on": self._days(-1) if chance.random() < GIVEN_UP_SHARE else None,
            "sign_up": "bulk" if chance.random() < BULK_SHARE else "link",
        }
        return _Pledge(donor, row, today)

    def _schedule(self, today: bool) -> tuple[str, str, str | None]:
        """Frequency, days and months that charge on the business date, or do not."""
        day = self._day if today else self._day + timedelta(days=self._chance.randrange(1, 7))
        kind = self._chance.choice(("monthly", "monthly", "monthly", "weekly", "dated"))
        if kind == "weekly":
            return kind, _WEEKDAYS[day.weekday()], None
        if kind == "dated" or day.day > 28:  # a month has no day 29 to 31 that DOKU would charge on
            return "dated", f"{day.isoformat()},{(day + timedelta(days=61)).isoformat()}", None
        other = _MONTHS[(day.month + 5) % 12]
        months = f"{_MONTHS[day.month - 1]},{other}" if self._chance.random() < 0.2 else None
        return kind, str(day.day), months

    def _days(self, away: int) -> str:
        return (self._day + timedelta(days=away)).isoformat()

    # Each way of being bad, on any database.

    def _bad_day_31(self, row: dict[str, Any]) -> None:
        row.update(frequency="monthly", days="31")

    def _bad_days_missing(self, row: dict[str, Any]) -> None:
        row["days"] = ""

    def _bad_amount_fraction(self, row: dict[str, Any]) -> None:
        row["amount"] = "75000.50"

    def _bad_amount_zero(self, row: dict[str, Any]) -> None:
        row["amount"] = 0

    def _bad_currency_unknown(self, row: dict[str, Any]) -> None:
        row["currency"] = "USD"

    def _bad_end_before_beginning(self, row: dict[str, Any]) -> None:
        row.update(begins_on=self._days(0), ends_on=self._days(-1))


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.merchants.donation", description="Fill a charity's register")
    parser.add_argument("--url", required=True, help="SQLAlchemy URL of an empty database")
    parser.add_argument("--charges", type=int, default=300, help="pledges to make")
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
