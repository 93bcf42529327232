"""The real flows live through the month: what the tasks of doku_recurring do, and people where one is asked."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import sqlalchemy as sa
from upath import UPath

from include.billing.bills import create_status_table
from include.billing.engine import billing_engine
from include.billing.outcomes import create_outcomes_table
from include.doku.api import ApiSettings, DokuApi
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from include.domain.states import RunKind
from include.flows.artefacts import Artefacts
from include.flows.context import FlowContext, OneCheckout
from include.flows.onecheckout_account import account_of, base_url_of
from include.flows.recurring.amounts import compare_answers
from include.flows.recurring.ask import ask_for_charges
from include.flows.recurring.books import close_recurring_run
from include.flows.recurring.cancel import bill_ended
from include.flows.recurring.changes import bill_updated, changed_bills
from include.flows.recurring.expect import expect_charges
from include.flows.recurring.run import register
from include.flows.recurring.take_in import take_in
from include.flows.recurring.tell import tell_charges
from include.ledger.runs import Run, RunRequest, open_run
from include.ledger.store import Ledger, ledger_engine, prompt_engine
from include.schemas.profile import load_profile
from tests.flows_harness import without_fsync
from tests.history_recurring.doku import Doku
from tests.history_recurring.door import Door
from tests.history_recurring.merchant import Merchant
from tests.history_recurring.world import DONATION, INTERNET, World, at, days, local_day, world
from tests.stack.toml import dumps
from tests.sweeps import ground

MATCH_DAYS: Final = 5
EXPECTED_HOURS: Final = 36
ASK_AGAIN_MINUTES: Final = 15
PROFILES: Final = "profiles"
EVERYTHING: Final = 100_000

NewDatabase = Callable[[str], ConnectionSettings]
"""Gives an empty database of that name for a merchant's billing."""


def settings_of(name: str, dialect: str) -> dict[str, Any]:
    """The profile of a merchant who has bills only."""
    return {
        "name": name, "title": f"Bills of {name}", "environment": "sandbox", "merchant": f"MCH-{name}",
        "billing_source": f"{name}-billing",
        "connections": {"billing": f"{name}_billing", "doku": f"{name}_doku", "onecheckout": f"{name}_onecheckout"},
        "notifications": {"enabled": True, "amount_seconds": 10.0},
        "http": {
            "ask_status": True, "failed_is_final": True, "ask_most": EVERYTHING, "requests_per_second": 1000,
            "ask_again_minutes": ASK_AGAIN_MINUTES,
        },
        "recurring": {
            "dialect": dialect, "match_days": MATCH_DAYS, "expected_hours": EXPECTED_HOURS, "ask_declined": True,
            "ask_by": "{billing_number}/{day:yyyy-MM-dd}", "calls_at_a_time": EVERYTHING,
        },
    }  # fmt: skip


@dataclass
class House:
    """One merchant: the people, the account at DOKU, and what the flows need."""

    world: World
    people: Merchant
    doku: Doku
    context: FlowContext
    dialect: str
    posted: set[str] = field(default_factory=set)

    def sql(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of the ledger."""
        with self.context.ledger.engine.connect() as connection:
            return [dict(row) for row in connection.execute(sa.text(query), values).mappings()]


@dataclass
class Month:
    """What is played.

    Attributes:
        houses: By profile.
        seconds: Which work took how many seconds of the processor.
    """

    houses: dict[str, House]
    door: Door
    ledger: Ledger
    seconds: Counter[str] = field(default_factory=Counter)
    now: datetime = field(default_factory=lambda: at(days()[0], datetime.min.time()))

    def play(self) -> None:
        """The month, and the days after it."""
        for day in days():
            for house in self.houses.values():
                self._until(house, at(day, datetime.min.time()))
                house.doku.wake(day)
                with self._timed("merchant"):
                    house.people.morning(day)
            for moment in self.houses[DONATION].world.runs_on(day):
                for house in self.houses.values():
                    self._until(house, moment)
                    self._run(house, moment)
            for house in self.houses.values():
                self._customers(house, day)
            self.door.replay(at(day, datetime.max.time()))

    def close(self) -> None:
        """Let go of the databases."""
        self.door.close()
        for house in self.houses.values():
            house.doku.close()
            house.people.database.dispose()
            house.context.api().close()
        self.ledger.engine.dispose()

    def _until(self, house: House, moment: datetime) -> None:
        with self._timed("DOKU and the door"):
            house.doku.advance(moment)
        self.now = moment

    # --- a run of one merchant --------------------

    def _run(self, house: House, moment: datetime) -> None:
        """The tasks of the DAG, and what people do about what they show."""
        context = house.context
        run = self._open(house, moment)
        with self._timed("take in"):
            take_in(context, run.run_id)
        with self._timed("register"):
            register(context, run)
        if house.dialect == "onecheckout":
            self._in_the_dashboard(house)
        with self._timed("expect"):
            expect_charges(context)
        with self._timed("compare amounts"):
            compare_answers(context)
        with self._timed("ask"):
            ask_for_charges(context)
        with self._timed("write back"):
            tell_charges(context)
        with self._timed("close"):
            close_recurring_run(context, run)

    def _open(self, house: House, moment: datetime) -> Run:
        today = local_day(moment)
        request = RunRequest(
            kind=RunKind.RECURRING, profile=house.world.name, external_id=f"recurring-{moment}", business_date=today,
            today=today,
        )  # fmt: skip
        return open_run(house.context.ledger, request, moment)

    def _in_the_dashboard(self, house: House) -> None:
        """The older interface has no calls: customers post forms, people end and change bills in DOKU's dashboard."""
        by = {"by": "Siti", "why": "as the merchant wants"}
        for one in house.people.told("doku_bill_status"):
            number = one["billing_number"]
            if one["checkout_form"] and one["checkout_form"] not in house.posted:
                house.posted.add(one["checkout_form"])
                house.doku.post_form(one["checkout_url"], one["checkout_form"])
            if one["state"] == "cancelling":
                house.doku.cancel(number)
                bill_ended(house.context, billing_number=number, evidence="DOKU's dashboard", **by)
        for bill in changed_bills(house.context, EVERYTHING):
            assert bill.amount is not None
            house.doku.update(bill.billing_number, bill.amount)
            bill_updated(house.context, billing_number=bill.billing_number, **by)

    def _customers(self, house: House, day: date) -> None:
        """Customers change cards; where charges come of a bill that is not registered, somebody telephones DOKU."""
        for one in house.world.bills.values():
            if day in one.cards:
                house.doku.change_card(one.number)
        query = """
            SELECT DISTINCT a.billing_number FROM recon_break k
            JOIN bill_attempt a ON a.profile = k.profile AND a.reference = k.subject
            JOIN bill b ON b.billing_source = a.billing_source AND b.billing_number = a.billing_number
            WHERE k.profile = :profile AND k.kind = 'unexpected_charge' AND k.state = 'open' AND b.state = 'asked'
        """
        unknown = {row["billing_number"] for row in house.sql(query, profile=house.world.name)}
        if unknown:
            house.doku.send_again(unknown)

    @contextmanager
    def _timed(self, what: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.seconds[what] += time.process_time() - began  # type: ignore[assignment]


def month(
    root: Path, seed: int, bills: int, dialects: dict[str, str], ledger: ConnectionSettings, new_database: NewDatabase,
    *, share: float, runs: Sequence[int],
) -> Month:  # fmt: skip
    """Set the stage: two merchants who share a ledger and the notification paths, each with an account at DOKU.

    Args:
        root: An empty folder; its `profiles` is where the deployment's profiles are then, as DOKU_PROFILES_DIR says.
        bills: Of each merchant.
        dialects: By profile.
        ledger: An empty ledger at head.
        new_database: Gives an empty database for a merchant's billing.
        share: Of all occasions for a fault, that on which there is one.
        runs: How often the DAG may run on a day.
    """
    profiles = root / PROFILES
    profiles.mkdir(parents=True)
    known: dict[str, ConnectionSettings] = {ledger.conn_id: ledger}

    def look_up(conn_id: str) -> ConnectionSettings:
        if conn_id not in known:
            raise ConfigError(f"connection {conn_id}", "", "is not there")
        return known[conn_id]

    # On PostgreSQL with a pool, as the notification paths have one: a connection for each transaction takes its time.
    engine = prompt_engine(ledger, 4) if ledger.conn_type == "postgres" else ledger_engine(ledger)
    opened = without_fsync(Ledger.open(engine))
    door = Door(look_up, seed)
    made = Month({}, door, opened)
    for name, other in ((DONATION, INTERNET), (INTERNET, DONATION)):
        (profiles / f"{name}.toml").write_text(dumps(settings_of(name, dialects[name])), encoding="utf-8")
        one = world(seed, name, bills, share, runs)
        known[f"{name}_billing"] = new_database(f"{name}_billing")
        made.houses[name] = _house(made, one, root / name, dialects[name], look_up, known, other)
    return made


def _house(
    made: Month, one: World, root: Path, dialect: str, look_up: Any, known: dict[str, ConnectionSettings], other: str
) -> House:
    root.mkdir()
    holder: list[Doku] = []
    doku = Doku.open(one, root / "doku", ground.keys(), dialect, made.door.post_for(one, other, lambda: holder[0].now))
    holder.append(doku)
    told = doku.describe()
    known[f"{one.name}_doku"] = ConnectionSettings(
        f"{one.name}_doku",
        "doku",
        host="https://api.doku.example",
        login=told["client_id"],
        password=told["secret_key"],
    )
    known[f"{one.name}_onecheckout"] = ConnectionSettings(
        f"{one.name}_onecheckout", "doku", host="old.doku.example", login=told["mall_id"], password=told["shared_key"],
        extra={"words": told["words"], "chain_merchant": told["chain_merchant"]},
    )  # fmt: skip
    people = Merchant(one, billing_engine(known[f"{one.name}_billing"]))
    people.set_up()
    create_outcomes_table(people.database)
    create_status_table(people.database)
    profile = load_profile(root.parent / PROFILES / f"{one.name}.toml")
    settings = ApiSettings.from_connection(known[f"{one.name}_doku"], profile.http, profile.environment)
    api = DokuApi(settings, lambda: made.now, lambda _: None, httpx.MockTransport(doku.call))
    context = FlowContext(
        profile=profile, ledger=made.ledger, billing=lambda: people.database, remote=_no_server,
        artefacts=Artefacts(UPath(root.joinpath("artefacts").as_uri())), clock=lambda: made.now, api=lambda: api,
        onecheckout=lambda: OneCheckout(account_of(profile, look_up), base_url_of(profile, look_up)),
        wait=lambda _: None,
    )  # fmt: skip
    return House(one, people, doku, context, dialect)


def _no_server() -> Any:
    raise AssertionError("nothing of this month is sent over SFTP")
