"""Keeping tokens current: what DOKU gives, what is gone, which one is charged; never by accident, never in a log."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from include.billing.tokens_table import create_tokens_table
from include.doku.api import ApiAnswer, ApiSettings, DokuApi
from include.domain.connection import ConnectionSettings
from include.domain.errors import ApiRefused, ApiUnauthorised, ApiUnreachable, BillingError, NotAllowed, TokensVanished
from include.domain.states import RunKind
from include.domain.watch import Watcher
from include.domain.watch_words import Place
from include.flows.context import FlowContext
from include.flows.tokens.accept import accept_token_losses
from include.flows.tokens.ask import Answers, ask_for_tokens
from include.flows.tokens.customers import Listed, list_token_customers
from include.flows.tokens.settle import settle_tokens
from include.flows.tokens.tell import tell_tokens
from include.flows.tokens.verify import findings_of_tokens
from include.flows.watch_tokens import token_matters
from include.ledger.chain import lock_chain
from include.ledger.expectations import note_look
from include.ledger.runs import Run
from tests.doku_simulator import HttpConfig
from tests.doku_simulator.behaviour import Fault
from tests.flows_harness import Merchant, charge

CARD, OVO = "CREDIT_CARD", "EMONEY_OVO"
BY = {"by": "ani", "why": "DOKU's mail of 21 November"}


def item(token: str, channel: str = CARD, card: str = "411111******1111", **more: str) -> dict[str, str]:
    """A token in DOKU's answer."""
    return {"token_id": token, "channel": channel, "card_masked": card, "brand": "VISA", "status": "ACTIVE", **more}


@dataclass
class Doku:
    """DOKU's answers by customer: items of the list, a body, or an error. Counts the questions; for several threads."""

    tokens: dict[str, Any] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)
    at_once: int = 0
    most: int = 0
    meet: threading.Barrier | None = None

    def get_tokens(self, customer_id: str, request_id: str) -> ApiAnswer:
        with _lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.asked[customer_id] += 1
            assert request_id not in self.ids
            self.ids.add(request_id)
        try:
            if self.meet is not None:
                self.meet.wait(60)
            found = self.tokens.get(customer_id, [])
            if isinstance(found, Exception):
                raise found
            body = found if isinstance(found, dict) else {"customer": {"id": customer_id}, "tokens": found}
            return ApiAnswer(200, json.loads(json.dumps(body)), request_id)
        finally:
            with _lock:
                self.at_once -= 1


_lock = threading.Lock()


@dataclass
class House:
    """A merchant that asks for tokens."""

    merchant: Merchant
    doku: Doku
    context: FlowContext

    def change(self, **tokens: Any) -> None:
        """Other settings of `[tokens]`."""
        changes = {"connections": {"doku": "doku_api"}, "tokens": tokens}
        self.context = replace(self.merchant.changed(changes), api=lambda: self.doku)  # type: ignore[arg-type,return-value]

    def customers(self, *rows: str | Sequence[str | None]) -> None:
        """What the view lists from now on: ids, or (customer_id, billing_number, channel, masked_card)."""
        full = [(row, None, None, None) if isinstance(row, str) else (*row, *[None] * (4 - len(row))) for row in rows]
        names = ("customer_id", "billing_number", "channel", "masked_card")
        with self.merchant.billing.begin() as connection:
            connection.execute(sa.text("DELETE FROM customers"))
            statement = sa.text("INSERT INTO customers VALUES (:customer_id, :billing_number, :channel, :masked_card)")
            connection.execute(statement, [dict(zip(names, row, strict=True)) for row in full])

    def run(self, name: str = "") -> Run:
        return self.merchant.run(RunKind.TOKENS, name)

    def ask(self, run: Run) -> Answers:
        list_token_customers(self.context, run)
        return ask_for_tokens(self.context, run)

    def day(self, name: str = "") -> dict[str, int]:
        """A whole run, an hour after the last one."""
        self.merchant.later(hours=1)
        run = self.run(name)
        self.ask(run)
        figures = settle_tokens(self.context, run)
        tell_tokens(self.context, run)
        return figures

    def told(self) -> dict[str, tuple[str, str, int]]:
        """By token: (customer, status, chosen), as the merchant's table says it."""
        with self.merchant.billing.connect() as connection:
            rows = connection.execute(sa.text("SELECT * FROM doku_tokens")).mappings()
            return {row["token"]: (row["customer_id"], row["status"], row["chosen"]) for row in rows}

    def choices(self) -> dict[str, str]:
        """By customer."""
        return {row["customer_id"]: row["choice"] for row in self.merchant.sql("SELECT * FROM token_question")}


@pytest.fixture
def house(merchant: Merchant) -> House:
    return _house(merchant)


@pytest.fixture
def house_on_each(merchant_on_each: Merchant) -> House:
    """The same, once on each database that a ledger may live on."""
    return _house(merchant_on_each)


def _house(merchant: Merchant) -> House:
    with merchant.billing.begin() as connection:
        kinds = "customer_id VARCHAR(60), billing_number VARCHAR(60), channel VARCHAR(60), masked_card VARCHAR(60)"
        connection.execute(sa.text(f"CREATE TABLE customers ({kinds})"))
        connection.execute(sa.text("CREATE VIEW doku_token_customers AS SELECT * FROM customers"))
    create_tokens_table(merchant.billing)
    made = House(merchant, Doku(), merchant.context)
    made.change()
    return made


# --- what DOKU gives --------------------


def test_tokens_come_change_and_are_lost(house_on_each: House) -> None:
    house = house_on_each
    house.customers("K1", "K2", "K3")
    house.doku.tokens = {"K1": [item("a" * 32)], "K2": [item("b" * 32), item("TOK_1::2", OVO, "")], "K3": []}
    house.change(channels=[CARD])
    figures = house.day()
    assert house.told() == {
        "a" * 32: ("K1", "active", 1),
        "b" * 32: ("K2", "active", 1),
        "TOK_1::2": ("K2", "active", 0),
    }
    assert house.choices() == {"K1": "chosen", "K2": "chosen", "K3": "none"}
    assert (figures["listed"], figures["answered"], figures["new"], figures["lost"]) == (3, 3, 3, 0)

    house.doku.tokens = {"K1": [item("c" * 32)], "K2": [item("TOK_1::2", OVO, "")], "K3": [item("d" * 32)]}
    figures = house.day()
    assert house.told() == {
        "a" * 32: ("K1", "lost", 0), "c" * 32: ("K1", "active", 1), "b" * 32: ("K2", "lost", 0),
        "TOK_1::2": ("K2", "active", 0), "d" * 32: ("K3", "active", 1),
    }  # fmt: skip
    assert house.choices() == {"K1": "chosen", "K2": "unfit", "K3": "chosen"}
    assert (figures["new"], figures["lost"], figures["unfit"]) == (2, 2, 1)

    house.doku.tokens["K1"] = [item("a" * 32)]  # DOKU gives the old one again
    house.day()
    assert house.told()["a" * 32] == ("K1", "active", 1)
    assert house.told()["c" * 32] == ("K1", "lost", 0)


def test_nothing_new_writes_only_when_it_was_seen_last(house: House) -> None:
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32)]}
    house.day()
    before = house.merchant.sql("SELECT first_seen_at FROM customer_token")
    house.day()
    assert house.merchant.sql("SELECT first_seen_at FROM customer_token") == before
    run = house.run()
    assert tell_tokens(house.context, run).inserted == 0
    assert house.merchant.sql("SELECT count(*) AS n FROM customer_token WHERE told_at IS NULL")[0]["n"] == 0


@pytest.mark.parametrize(
    "answer",
    [
        ApiUnreachable("no answer"),
        ApiRefused("no such customer", 404),
        {},
        {"tokens": None},
        {"tokens": {"token_id": "a" * 32}},
        {"customer": {"id": "K2"}, "tokens": []},
        {"tokens": ["a" * 32]},
        {"tokens": [{"status": "ACTIVE"}]},
        {"tokens": [item("4111111111111111")]},
        {"tokens": [item("x" * 256)]},
        {"tokens": [item("a\nb")]},
        {"tokens": [item("n" * 32), item("n" * 32, OVO)]},
    ],
)
def test_a_question_without_a_usable_answer_is_no_loss(house: House, answer: Any) -> None:
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32)]}
    house.day()
    house.doku.tokens = {"K1": answer}
    figures = house.day()
    assert house.told() == {"a" * 32: ("K1", "active", 1)}
    assert (figures["answered"], figures["unanswered"], figures["lost"]) == (0, 1, 0)
    (question,) = house.merchant.sql("SELECT words, tokens FROM token_question")
    assert question["words"]
    assert question["tokens"] == 1
    assert "4111111111111111" not in json.dumps(house.merchant.dump(), default=str)
    house.doku.tokens = {"K1": []}
    assert house.day()["lost"] == 1
    assert house.merchant.sql("SELECT words FROM token_question") == [{"words": None}]


def test_a_token_that_is_not_active_counts_as_gone(house: House) -> None:
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32), item("b" * 32, status="INACTIVE")]}
    house.day()
    assert house.told() == {"a" * 32: ("K1", "active", 1)}


def test_the_same_token_twice_is_one(house: House) -> None:
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32), item("a" * 32)]}
    house.day()
    assert house.choices() == {"K1": "chosen"}


# --- whom to ask for --------------------


def test_each_customer_is_asked_once_and_rows_without_a_usable_id_are_counted(house: House) -> None:
    merchant_changes = {"connections": {"doku": "doku_api"}, "tokens": {}, "billing": {"chunk_rows": 2}}
    house.context = replace(house.merchant.changed(merchant_changes), api=house.context.api)
    house.customers("K1", "K1", "", "x" * 51, "K\t2", ("K3", None, CARD), ("K3", None, OVO), ("K4", None, None, "1111"))
    run = house.run()
    assert list_token_customers(house.context, run) == Listed(customers=3, unusable=3, contradictory=1)
    assert list_token_customers(house.context, run).customers == 0  # again: nothing is new
    house.doku.tokens = {"K3": [item("a" * 32)], "K4": [item("b" * 32), item("c" * 32, card="555555******4444")]}
    house.ask(run)
    assert house.doku.asked == {"K1": 1, "K3": 1, "K4": 1}
    house.day()
    assert house.choices() == {"K1": "none", "K3": "unfit", "K4": "chosen"}  # wishes that contradict each other: nobody
    assert house.told()["b" * 32] == ("K4", "active", 1)


def test_dokus_customer_may_be_the_billing_number(house: House) -> None:
    house.change(ask_by="billing_number")
    house.customers(("K1", "B1"), ("K1", "B2"), ("K2", None))
    house.doku.tokens = {"B1": [item("a" * 32)], "B2": [item("b" * 32)]}
    house.day()
    assert house.doku.asked == {"B1": 1, "B2": 1}
    assert house.told() == {"a" * 32: ("B1", "active", 1), "b" * 32: ("B2", "active", 1)}


def test_a_card_number_in_a_wish_is_not_kept(house: House) -> None:
    house.customers(("K1", None, None, "4111111111111111"))
    house.doku.tokens = {"K1": [item("a" * 32), item("b" * 32, card="555555******4444")]}
    house.day()
    assert "4111111111111111" not in json.dumps(house.merchant.dump(), default=str)
    assert house.told()["a" * 32][2] == 1


def test_a_view_or_table_that_is_missing_is_named(house: House) -> None:
    with house.merchant.billing.begin() as connection:
        connection.execute(sa.text("DROP VIEW doku_token_customers"))
    with pytest.raises(BillingError, match=r"no view 'doku_token_customers'.*billing\.token_customers"):
        list_token_customers(house.context, house.run())
    with house.merchant.billing.begin() as connection:
        connection.execute(sa.text("DROP TABLE doku_tokens"))
    with pytest.raises(BillingError, match=r"no table 'doku_tokens'.*billing\.tokens"):
        list_token_customers(house.context, house.run())


def test_questions_are_put_some_at_a_time_and_not_more(house: House) -> None:
    house.change(at_once=3)
    house.customers(*(f"K{number}" for number in range(9)))
    house.doku.meet = threading.Barrier(3)
    assert house.ask(house.run()).answered == 9
    assert house.doku.most == 3


def test_a_dead_server_ends_the_asking_and_the_next_try_goes_on(house: House) -> None:
    house.change(at_once=2, stop_after=4)
    house.customers(*(f"K{number:02}" for number in range(40)))
    house.doku.tokens = {f"K{number:02}": [item(f"{number:032}")] for number in range(15)}
    house.doku.tokens |= {f"K{number:02}": ApiUnreachable("It is down.") for number in range(15, 40)}
    run = house.run()
    with pytest.raises(ApiUnreachable, match=r"4 questions for customers' tokens in a row came .*It is down"):
        house.ask(run)
    assert sum(house.doku.asked.values()) == 20  # of the next page nobody
    house.doku.tokens |= {f"K{number:02}": [item(f"{number:032}")] for number in range(15, 40)}
    house.merchant.later(minutes=1)
    assert house.ask(run).answered == 25
    assert max(house.doku.asked.values()) == 2
    assert house.doku.asked["K00"] == 1


def test_a_wrong_key_asks_nobody_else(house: House) -> None:
    house.change(at_once=1)
    house.customers(*(f"K{number:02}" for number in range(30)))
    house.doku.tokens = {f"K{number:02}": ApiUnauthorised("wrong key", 401) for number in range(30)}
    with pytest.raises(ApiUnauthorised):
        house.ask(house.run())
    assert sum(house.doku.asked.values()) == 5


# --- the brake --------------------


@pytest.fixture
def emptied(house: House) -> House:
    """Ten customers of whom four have lost all; two more lost one of two."""
    return _emptied(house)


@pytest.fixture
def emptied_on_each(house_on_each: House) -> House:
    """The same, on each."""
    return _emptied(house_on_each)


def _emptied(house: House) -> House:
    house.change(max_lost_share=0.3, lost_least=2)
    house.customers(*(f"K{number}" for number in range(10)))
    house.doku.tokens = {f"K{number}": [item(f"{number:032}"), item(f"o{number:031}", OVO)] for number in range(10)}
    house.day()
    house.doku.tokens |= {"K0": [], "K1": [], "K2": [item("new" + "0" * 29)], "K3": []}
    house.doku.tokens |= {f"K{number}": [item(f"{number:032}")] for number in (4, 5)}
    return house


def test_an_unusual_loss_stops_and_a_person_lets_it_go_on(emptied_on_each: House) -> None:
    emptied = emptied_on_each
    before = emptied.told()
    emptied.merchant.later(hours=1)
    run = emptied.run()
    emptied.ask(run)
    for _ in range(2):
        with pytest.raises(TokensVanished, match=r"4 of 10 customers would lose all .* \(40%; .* is 30%\)"):
            settle_tokens(emptied.context, run)
    assert emptied.told() == before
    with pytest.raises(NotAllowed, match="4 customers lose all their tokens, not 3"):
        accept_token_losses(emptied.context, customers=3, **BY)
    assert "of 4 customers all they had" in accept_token_losses(emptied.context, customers=4, **BY)
    settle_tokens(emptied.context, run)
    tell_tokens(emptied.context, run)
    assert sum(status == "lost" for _, status, _ in emptied.told().values()) == 10
    assert emptied.told()["new" + "0" * 29] == ("K2", "active", 1)
    with pytest.raises(NotAllowed, match="No loss of tokens"):
        accept_token_losses(emptied.context, customers=4, **BY)


def test_an_acceptance_is_of_exactly_that_loss(emptied: House) -> None:
    emptied.merchant.later(hours=1)
    run = emptied.run()
    emptied.ask(run)
    accept_token_losses(emptied.context, customers=4, **BY)
    emptied.doku.tokens |= {"K0": [item(f"{0:032}")], "K6": []}  # as many, but others
    emptied.merchant.later(hours=1)
    other = emptied.run()
    emptied.ask(other)
    with pytest.raises(TokensVanished):
        settle_tokens(emptied.context, other)


def test_what_comes_back_before_a_person_looks_was_never_lost(emptied: House) -> None:
    emptied.merchant.later(hours=1)
    run = emptied.run()
    emptied.ask(run)
    with pytest.raises(TokensVanished):
        settle_tokens(emptied.context, run)
    emptied.doku.tokens = {f"K{number}": [item(f"{number:032}"), item(f"o{number:031}", OVO)] for number in range(10)}
    emptied.doku.tokens["K2"] += [item("new" + "0" * 29)]
    assert emptied.day()["lost"] == 0
    assert emptied.merchant.sql("SELECT count(*) AS n FROM customer_token WHERE state = 'lost'")[0]["n"] == 0


def test_few_customers_may_lose_all_whatever_the_share(emptied: House) -> None:
    emptied.change(max_lost_share=0.3, lost_least=4)
    assert emptied.day()["lost"] == 10


# --- killed, and two at once --------------------


class Killed(Exception):
    pass


def _steps(house: House) -> list[str]:
    names: list[str] = []
    house.context = replace(house.context, step=names.append)
    house.day()
    return names


def _scene(house: House) -> None:
    house.customers(*(f"K{number:02}" for number in range(25)))
    house.doku.tokens = {f"K{number:02}": [item(f"{number:032}")] for number in range(25)}
    house.day()
    house.doku.tokens |= {"K00": [], "K01": [item("n" * 32)], "K24": [item(f"{24:032}"), item("m" * 32)]}
    house.customers(*(f"K{number:02}" for number in range(26)))


def _left_behind(house: House) -> Any:
    tokens = house.merchant.sql(
        "SELECT customer_id, token_fingerprint, state, chosen, told_at IS NULL AS untold FROM customer_token "
        "ORDER BY customer_id, token_fingerprint"
    )
    kinds = Counter(row["kind"] for row in house.merchant.sql("SELECT kind FROM event"))
    return house.told(), house.choices(), tokens, kinds


def test_killed_at_any_step_it_goes_on_and_ends_the_same(house: House) -> None:
    _scene(house)
    names = _steps(house)
    expected = _left_behind(house)
    assert len(set(names)) >= 8
    worth = {name: number for number, name in enumerate(names)}.values()  # of steps that are repeated the last one
    for number in worth:
        house.doku.tokens = {}
        with house.merchant.ledger.write() as connection:
            for table in ("customer_token", "token_question"):
                connection.execute(sa.text(f"DELETE FROM {table}"))
            connection.execute(sa.text("DELETE FROM event"))
        with house.merchant.billing.begin() as connection:
            connection.execute(sa.text("DELETE FROM doku_tokens"))
        house.context = replace(house.context, step=lambda _: None)
        _scene(house)
        passed = iter(range(len(names)))

        def step(_: str, passed: Iterator[int] = passed, number: int = number) -> None:
            if next(passed) == number:
                raise Killed

        house.context = replace(house.context, step=step)
        name = f"killed at {number}"
        with pytest.raises(Killed):
            house.day(name)
        house.context = replace(house.context, step=lambda _: None)
        house.day(name)
        assert _left_behind(house) == expected, names[number]


def test_two_copies_at_once_are_one(house_on_each: House) -> None:
    house = house_on_each
    _scene(house)
    house.merchant.later(hours=1)
    run, failed = house.run(), []

    def copy() -> None:
        try:
            house.ask(run)
            settle_tokens(house.context, run)
            tell_tokens(house.context, run)
        except Exception as caught:  # noqa: BLE001
            failed.append(caught)

    threads = [threading.Thread(target=copy) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert house.told()["0" * 32] == ("K00", "lost", 0)
    assert (house.choices()["K24"], house.choices()["K25"]) == ("ambiguous", "none")
    assert sum(chosen for _, _, chosen in house.told().values()) == 23
    assert len(house.merchant.sql("SELECT * FROM event WHERE kind = 'tokens'")) == 2


@pytest.mark.services
@pytest.mark.xdist_group("ledger")
def test_two_copies_that_wait_for_the_trail_keep_their_figures_once(
    make_merchant: Callable[..., Merchant], postgresql_ledger: ConnectionSettings
) -> None:
    house = _house(make_merchant(postgresql_ledger))
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32)]}
    run, ledger = house.run(), house.merchant.ledger
    house.ask(run)
    threads = [threading.Thread(target=settle_tokens, args=(house.context, run)) for _ in range(2)]
    with ledger.write() as connection:
        lock_chain(connection, "insurance")
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database "
        waiting += "WHERE datname = current_database())"
        for _ in range(500):
            if house.merchant.sql(waiting)[0]["count"] == 2:
                break
            time.sleep(0.02)
        else:
            pytest.fail("the two copies never waited")
    for thread in threads:
        thread.join(60)
    assert len(house.merchant.sql("SELECT * FROM event WHERE kind = 'tokens'")) == 1


def test_an_answer_that_was_asked_for_earlier_and_comes_late_changes_nothing(house: House) -> None:
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32)]}
    early = house.merchant.now
    house.day()
    run = house.run()
    list_token_customers(house.context, run)
    house.doku.tokens = {"K1": [item("old" + "0" * 29)]}
    slow = replace(house.context, clock=lambda: early)
    ask_for_tokens(slow, replace(run, opened_at=datetime(2100, 1, 1, tzinfo=UTC)))
    assert [row["state"] for row in house.merchant.sql("SELECT state FROM customer_token")] == ["active"]


def test_a_token_that_changed_while_it_was_told_is_told_again(house: House) -> None:
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32)]}
    slow, usual = house.run(), house.context
    house.ask(slow)
    settle_tokens(usual, slow)

    def lose(name: str) -> None:
        if name == "tokens: before the merchant is told" and house.doku.tokens["K1"]:
            house.doku.tokens = {"K1": []}
            house.day()

    tell_tokens(replace(usual, step=lose), slow)
    assert house.told() == {"a" * 32: ("K1", "lost", 0)}


# --- charges --------------------


def test_a_dead_token_stops_attempts_until_there_is_a_newer_one(house_on_each: House) -> None:
    house = house_on_each
    merchant = house.merchant
    merchant.list_charges(
        charge("C1", token="a" * 32, customer_id="K1"), charge("C2", token="b" * 32, customer_id="K2")
    )
    house.customers("K1", "K2")
    house.doku.tokens = {"K1": [item("a" * 32)], "K2": [item("b" * 32)]}
    house.day()
    house.doku.tokens = {"K1": [], "K2": [item("b" * 32)]}
    house.day()
    merchant.context = house.context
    run, _ = merchant.submit()
    assert list(merchant.invoices()) == ["C2"]
    held = merchant.sql("SELECT charge_id, fate, reason FROM run_charge WHERE run_id = :run", run=run.run_id)
    assert held == [{"charge_id": "C1", "fate": "held", "reason": "token_lost"}]
    house.doku.tokens = {"K1": [item("c" * 32)], "K2": [item("b" * 32)]}
    house.day()
    merchant.change_charges("token = :token WHERE charge_id = 'C1'", token="c" * 32)
    merchant.submit()
    assert sorted(merchant.invoices()) == ["C1", "C2"]


def test_another_profiles_word_holds_unless_ones_own_says_otherwise(house_on_each: House) -> None:
    house = house_on_each
    merchant = house.merchant
    rows = [charge(f"C{number}", token=f"{number}" * 32, customer_id=f"K{number}") for number in (1, 2)]
    merchant.list_charges(*rows)
    house.customers("K1", "K2")
    house.doku.tokens = {"K1": [item("1" * 32)], "K2": [item("2" * 32)]}
    house.day()
    with merchant.ledger.write() as connection:
        lost = "profile = 'other', state = 'lost', lost_at = last_seen_at, chosen = :no"
        connection.execute(sa.text(f"UPDATE customer_token SET {lost}"), {"no": False})
        connection.execute(sa.text("UPDATE token_question SET profile = 'other'"))
    house.doku.tokens = {"K1": [], "K2": [item("2" * 32)]}
    house.day()  # this profile's own
    merchant.context = house.context
    merchant.submit()
    assert list(merchant.invoices()) == ["C2"]


@pytest.mark.parametrize(
    ("tokens", "fate", "reason"),
    [
        ([], "held", "token_lost"),
        ([item("x" * 32), item("y" * 32)], "quarantine", "token:missing;token:ambiguous"),
        ([item("x" * 32, OVO)], "quarantine", "token:missing;token:unfit"),
    ],
)
def test_why_the_view_shows_no_token(house_on_each: House, tokens: Any, fate: str, reason: str) -> None:
    house = house_on_each
    merchant = house.merchant
    house.change(channels=[CARD])
    house.customers("K1")
    house.doku.tokens = {"K1": [item("a" * 32)]}
    house.day()
    house.doku.tokens = {"K1": tokens}
    house.day()
    merchant.list_charges(charge("C1", token=None, customer_id="K1"))
    merchant.context = house.context
    run, batches = merchant.claim()
    assert batches == []
    if fate == "held":
        found = merchant.sql("SELECT reason FROM run_charge WHERE run_id = :run", run=run.run_id)
    else:
        found = merchant.sql("SELECT reasons AS reason FROM quarantined_charge WHERE run_id = :run", run=run.run_id)
    assert found == [{"reason": reason}]


def test_no_token_stands_in_events_words_or_results(house: House, caplog: pytest.LogCaptureFixture) -> None:
    secret = "5ec2e7" * 5
    house.customers("K1", "K2")
    house.doku.tokens = {"K1": [item(secret)], "K2": {"tokens": [item(secret), item(secret, OVO)]}}
    figures = house.day()
    assert secret not in json.dumps(figures) + caplog.text + repr(house.merchant.sql("SELECT * FROM event"))
    assert secret not in repr(house.merchant.sql("SELECT * FROM token_question"))


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE doku_tokens SET status = 'lost' WHERE customer_id = 'K1'", "says lost and chosen of the token"),
        ("UPDATE doku_tokens SET chosen = 0 WHERE customer_id = 'K1'", "the ledger has told it active and chosen"),
        ("DELETE FROM doku_tokens WHERE customer_id = 'K1'", "has no token with the fingerprint"),
        ("UPDATE doku_tokens SET token = 'another-one' WHERE customer_id = 'K1'", "that this ledger does not know"),
    ],
)
def test_verify_compares_the_merchants_table(house: House, statement: str, words: str) -> None:
    house.customers("K1", "K2")
    house.doku.tokens = {"K1": [item("a" * 32)], "K2": [item("b" * 32)]}
    house.day()
    house.doku.tokens["K2"] = []
    house.day()
    assert list(findings_of_tokens(house.context)) == []
    with house.merchant.billing.begin() as connection:
        connection.execute(sa.text("DELETE FROM doku_tokens WHERE customer_id = 'K2'"))  # lost, and cleared away
        connection.execute(sa.text(statement))
    found = list(findings_of_tokens(house.context))
    assert any(words in finding and "of customer K1" in finding for finding in found)
    assert not any("a" * 32 in finding for finding in found)


def test_the_watchdog_notices_that_tokens_are_old(house: House) -> None:
    """By six hours after three in the morning (09:00 in Jakarta), also where a brake waits for a person."""
    place = Place("insurance", house.context.profile.zone)

    def matters() -> list[str]:
        with house.merchant.ledger.write() as connection:
            note_look(connection, "insurance", Watcher.AIRFLOW, house.merchant.now)
            return [one.words for one in token_matters(house.context, connection, place)]

    house.customers("K1", "K2")
    house.change(lost_least=0)
    house.doku.tokens = {"K1": [item("a" * 32)], "K2": [item("b" * 32)]}
    assert matters() == []  # it is six in the morning, and nobody had looked before
    house.merchant.later(hours=26)
    assert matters() == []
    house.merchant.later(hours=2)
    (words,) = matters()
    assert "none ever has" in words
    house.day()
    assert matters() == []
    house.doku.tokens = {}
    with pytest.raises(TokensVanished):
        house.day()
    house.merchant.later(hours=24)
    (words,) = matters()
    assert "the last one that did began at" in words


# --- against the simulator --------------------


def test_over_a_socket_against_the_simulator(house: House) -> None:
    merchant = house.merchant
    customers = [f"K{number:03}" for number in range(40)]
    house.customers(*customers)
    with merchant.doku(http=HttpConfig()) as simulator:
        told = simulator.describe()["http"]
        settings = ConnectionSettings(
            "doku_api", "doku", host=told["url"], login=told["client_id"], password=told["secret_key"]
        )
        made = replace(ApiSettings.from_connection(settings), per_second=1000.0)
        with DokuApi(made, wait=lambda _: None) as api:
            house.context = replace(house.context, api=lambda: api)
            house.day()
            vault = simulator.web.vault
            truth = {one: {token["token"] for token in vault.active(one)} for one in customers}
            assert _active(house) == {one: tokens for one, tokens in truth.items() if tokens}
            assert set(house.choices().values()) == {"chosen", "none", "ambiguous"}
            simulator.behave(faults=[Fault("token_dead", match="K00*", times=3), Fault("api_cut", after=5, times=2)])
            house.day()
            truth = {one: {token["token"] for token in vault.active(one)} for one in customers}
            assert _active(house) == {one: tokens for one, tokens in truth.items() if tokens}
            assert any(status == "lost" for _, status, _ in house.told().values())


def _active(house: House) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for token, (customer_id, status, _) in house.told().items():
        if status == "active":
            found.setdefault(customer_id, set()).add(token)
    return found
