"""The merchant's billing database: a table of charges, the view over it, and what the merchant does about outcomes.

The view lists a charge until the outcomes say that it is paid, or the merchant takes it off.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from tests.history import codes
from tests.history.world import Charge, World, chance

_TABLE: Final = """
    CREATE TABLE charges (
        charge_id VARCHAR(60) PRIMARY KEY, customer_id VARCHAR(60), billing_number VARCHAR(60), token VARCHAR(200),
        amount DECIMAL(18,2), currency VARCHAR(10), due_date DATE, channel VARCHAR(60), description VARCHAR(200),
        network VARCHAR(20), attempt_no INTEGER, listed INTEGER DEFAULT 1, lingers INTEGER
    )
"""

_VIEW: Final = """
    CREATE VIEW doku_due_charges AS
    SELECT charge_id, customer_id, billing_number, token, amount, currency, due_date, channel, description, network,
           attempt_no
    FROM charges c WHERE listed = 1 AND (lingers = 1 OR NOT EXISTS (
        SELECT 1 FROM doku_charge_outcomes o WHERE o.charge_id = c.charge_id AND o.status = 'paid'))
"""


@dataclass
class Act:
    """Something that the merchant or a person does on a day: token, ask, delist, cancel, hold, lift."""

    what: str
    charge_id: str
    value: Any = None


@dataclass
class Journal:
    """What was done, in the order of the days; the recomputation reads it.

    Attributes:
        acts: By day.
        vanished: Charges that went off the view between claim and sealing, by day.
        settled: What a person said of an attempt, with evidence, and on which morning; by invoice number.
        submits, reconciles: The days on which the flows did their work to the end.
        refused: Batch files of which a person said that DOKU refused them, with the day.
        setup_mended: Days on which a person said that the set-up at DOKU is mended.
    """

    acts: dict[date, list[Act]] = field(default_factory=dict)
    vanished: dict[date, list[str]] = field(default_factory=dict)
    settled: dict[str, tuple[str, date]] = field(default_factory=dict)
    submits: list[date] = field(default_factory=list)
    reconciles: list[date] = field(default_factory=list)
    refused: dict[str, date] = field(default_factory=dict)
    setup_mended: list[date] = field(default_factory=list)


class Merchant:
    """The merchant's own people and programs."""

    def __init__(self, world: World, file: Path, *, asks: float) -> None:
        self.world, self.file, self.asks = world, file, asks
        self.journal = Journal()
        self._planned: dict[date, list[Act]] = {}
        self._reacted: set[tuple[str, int]] = set()
        self._by_day: dict[date, list[Charge]] = {}
        for charge in world.charges.values():
            self._by_day.setdefault(charge.listed, []).append(charge)
            if charge.mended:
                self._plan(charge.mended, Act("mend", charge.charge_id))
            if charge.paid_elsewhere:
                self._plan(charge.paid_elsewhere, Act("delist", charge.charge_id))

    def set_up(self) -> None:
        """Make the table and the view; the table of outcomes is there."""
        with self._open() as connection:
            connection.execute(_TABLE)
            connection.execute("CREATE INDEX outcomes_of_charge ON doku_charge_outcomes (charge_id)")
            connection.execute(_VIEW)

    def morning(self, day: date) -> list[Act]:
        """List what is new and do what is planned for the day; what only an operator can do is handed back."""
        new, acts = self._by_day.get(day, []), self._planned.pop(day, [])
        with self._open() as connection:
            connection.executemany(
                "INSERT INTO charges VALUES (?, ?, ?, ?, ?, 'IDR', ?, ?, ?, ?, NULL, 1, ?)", map(_listed, new)
            )
            for act in acts:
                self._do(connection, act)
        self.journal.acts[day] = acts
        return [act for act in acts if act.what in ("cancel", "hold", "lift")]

    def after_the_claim(self, day: date) -> None:
        """Some customers pay at the counter just now."""
        gone = [one.charge_id for one in self.world.charges.values() if one.vanishes and one.first_day == day]
        with self._open() as connection:
            connection.executemany("UPDATE charges SET listed = 0 WHERE charge_id = ?", [(one,) for one in gone])
        self.journal.vanished[day] = gone

    def evening(self, day: date) -> None:
        """Read what was declined, and plan what to do about it."""
        since = day.isoformat()
        query = """SELECT charge_id, attempt_no, response_code FROM doku_charge_outcomes
                   WHERE status = 'declined' AND updated_at >= ? ORDER BY charge_id, attempt_no"""
        with self._open() as connection:
            declined = connection.execute(query, (since,)).fetchall()
        for charge_id, attempt_no, code in declined:
            if (charge_id, attempt_no) not in self._reacted:
                self._reacted.add((charge_id, attempt_no))
                self._react(day, charge_id, attempt_no, codes.meaning(code or "").class_)

    def _react(self, day: date, charge_id: str, attempt_no: int, class_: str) -> None:
        rng = chance(self.world.seed, "reaction", charge_id, attempt_no)
        luck, later = rng.random(), day + timedelta(days=rng.randrange(1, 6))
        if rng.random() < self.asks:
            self._plan(later, Act("ask", charge_id, attempt_no + 1))
        if class_ in ("after_change", "never") and luck < 0.5:
            self._plan(later, Act("token", charge_id, f"{rng.getrandbits(128):032x}"))
        elif luck > 0.97:
            self._plan(later, Act("cancel", charge_id))
        elif luck > 0.94:
            self._plan(later, Act("delist", charge_id))
        elif luck > 0.92:
            self._plan(later, Act("hold", charge_id))
            self._plan(later + timedelta(days=4), Act("lift", charge_id))

    def _plan(self, day: date, act: Act) -> None:
        self._planned.setdefault(day, []).append(act)

    def _do(self, connection: sqlite3.Connection, act: Act) -> None:
        charge = self.world.charges[act.charge_id]
        changes: dict[str, Mapping[str, Any]] = {
            "mend": {"token": charge.customer.token, "amount": charge.amount},
            "delist": {"listed": 0},
            "token": {"token": act.value},
            "ask": {"attempt_no": act.value},
        }
        for column, value in changes.get(act.what, {}).items():
            connection.execute(f"UPDATE charges SET {column} = ? WHERE charge_id = ?", (value, act.charge_id))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            yield connection

    def told(self) -> dict[tuple[str, int], tuple[str, str | None, int]]:
        """Status, code and rupiah by charge and attempt, as the table of outcomes has them."""
        query = "SELECT charge_id, attempt_no, status, response_code, amount FROM doku_charge_outcomes"
        with self._open() as connection:
            rows: Iterable[tuple[Any, ...]] = connection.execute(query).fetchall()
        return {(charge, number): (status, code, int(float(amount))) for charge, number, status, code, amount in rows}


def _listed(charge: Charge) -> tuple[Any, ...]:
    one = charge.customer
    return (
        charge.charge_id, one.customer_id, one.billing_number, None if charge.fault == "no token" else one.token,
        charge.amount + 0.5 if charge.fault == "fraction" else charge.amount, charge.due.isoformat(), one.channel,
        charge.charge_id, one.network or None if one.network_listed else None, int(charge.lingers),
    )  # fmt: skip
