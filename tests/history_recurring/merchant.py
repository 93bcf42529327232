"""The merchant's billing database, as it changes from day to day; and what has been told there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import sqlalchemy as sa

from tests.history_recurring.world import ONE_DAY, World

_TABLES: Final = (
    """CREATE TABLE agreements (
        billing_number VARCHAR(16) PRIMARY KEY, customer_id VARCHAR(16), amount DECIMAL(18,2), schedule VARCHAR(10),
        schedule_on VARCHAR(200), months VARCHAR(60), starts_on DATE, ends_on DATE, status VARCHAR(10))""",
    """CREATE TABLE usages (
        billing_number VARCHAR(16), period DATE, amount DECIMAL(18,2), PRIMARY KEY (billing_number, period))""",
    "CREATE VIEW doku_bills AS SELECT a.*, 'IDR' AS currency, 'link' AS registration FROM agreements a",
    "CREATE VIEW doku_bill_amounts AS SELECT u.*, 'IDR' AS currency FROM usages u",
)


@dataclass
class Merchant:
    """One merchant's people and their database.

    Attributes:
        world: What they want.
        database: Theirs; empty at first.
    """

    world: World
    database: sa.Engine

    def set_up(self) -> None:
        """Make tables and views; what the package writes is made by its own statements."""
        with self.database.begin() as connection:
            for statement in _TABLES:
                connection.execute(sa.text(statement))

    def morning(self, day: date) -> None:
        """Bring the tables to what they say on a day."""
        bills = self.world.bills.values()
        new = [one for one in bills if one.listed == day]
        gone = [{"number": one.number} for one in bills if one.unwanted == day and one.listed <= day]
        other = [{"number": one.number, "amount": one.other} for one in bills if one.changed == day]
        rows = [
            {
                "number": one.number, "customer": one.customer_id, "amount": one.amount_on(day), "kind": one.kind,
                "on": one.on, "months": one.months, "starts": one.starts, "ends": one.ends,
                "status": "wanted" if one.unwanted is None or day < one.unwanted else "cancelled",
            }
            for one in new
        ]  # fmt: skip
        with self.database.begin() as connection:
            _each(connection, "INSERT INTO agreements VALUES (:number, :customer, :amount, :kind, :on, :months,"
                              " :starts, :ends, :status)", rows)  # fmt: skip
            _each(connection, "UPDATE agreements SET status = 'cancelled' WHERE billing_number = :number", gone)
            _each(connection, "UPDATE agreements SET amount = :amount WHERE billing_number = :number", other)
            self._amounts(connection, day)

    def _amounts(self, connection: sa.Connection, day: date) -> None:
        """Amounts that are new today, or others than yesterday."""
        rows, old = [], []
        for (number, period), one in self.world.amounts.items():
            now, before = one.on(day), one.on(day - ONE_DAY)
            first = day == self.world.first_day
            if now == before and not (first and now is not None):
                continue
            old.append({"number": number, "period": period})
            if now is not None:
                rows.append({"number": number, "period": period, "amount": now})
        _each(connection, "DELETE FROM usages WHERE billing_number = :number AND period = :period", old)
        _each(connection, "INSERT INTO usages VALUES (:number, :period, :amount)", rows)

    def told(self, table: str) -> list[dict[str, Any]]:
        """What a table of the package says."""
        with self.database.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()]


def _each(connection: sa.Connection, statement: str, rows: list[Mapping[str, Any]] | list[dict[str, Any]]) -> None:
    if rows:
        typed = sa.text(statement).bindparams(
            *(sa.bindparam(name, type_=sa.Date) for name in ("starts", "ends", "period") if f":{name}" in statement)
        )
        connection.execute(typed, rows)
