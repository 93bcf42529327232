"""Customers' tokens: given by registrations, by hand, or by the seed to customers nobody told us about."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

from tests.doku_simulator.bank import card_of
from tests.doku_simulator.web.settings import HttpConfig, zulu
from tests.doku_simulator.web.store import Store

CARD = "CREDIT_CARD"


class Vault:
    """Which tokens a customer has, dead ones too: those are only never listed and never charged."""

    def __init__(self, store: Store, config: HttpConfig, seed: int, now: Callable[[], float]) -> None:
        self._store, self._config, self._seed, self._now = store, config, seed, now

    def active(self, customer_id: str) -> list[dict[str, Any]]:
        """The customer's live tokens, oldest first: token, channel, masked_card, issuer, brand, created."""
        self._meet(customer_id)
        rows = self._store.run(
            "select token, facts from token where customer_id = ? and dead = 0 order by rowid", customer_id
        )
        return [{"token": token, **json.loads(facts)} for token, facts in rows]

    def give(self, customer_id: str, token: str | None = None, channel: str = CARD, **facts: str) -> str:
        """One more token for a customer; without one of its own, the next by the seed. Returns it."""
        with self._store.change():
            ((count,),) = self._store.run("select count(*) from token where customer_id = ?", customer_id)
            token = token or self._made(customer_id, count, channel)
            masked_card, issuer, brand = card_of(token)
            known = {"channel": channel, "masked_card": masked_card, "issuer": issuer, "brand": brand}
            self._store.run("insert or ignore into asked_customer (customer_id) values (?)", customer_id)
            self._store.run(
                "insert or replace into token (customer_id, token, facts, dead) values (?, ?, ?, 0)",
                customer_id,
                token,
                json.dumps({**known, "created": zulu(self._now()), **facts}),
            )
        return token

    def put(self, customer_id: str, tokens: list[str | dict[str, str]]) -> None:
        """The customer has exactly these from now on; others are dead. A token, or its facts with `token`."""
        with self._store.change():
            self._store.run("insert or ignore into asked_customer (customer_id) values (?)", customer_id)
            self._store.run("update token set dead = 1 where customer_id = ?", customer_id)
            for item in tokens:
                self.give(customer_id, **({"token": item} if isinstance(item, str) else item))

    def kill(self, token: str) -> None:
        """The token is dead from now on."""
        self._store.run("update token set dead = 1 where token = ?", token)

    def is_dead(self, token: str) -> bool:
        """Whether we know the token, and it is dead; a token we never gave is the card's business."""
        rows = self._store.run("select min(dead) from token where token = ?", token)
        return rows[0][0] == 1

    def _meet(self, customer_id: str) -> None:
        """Of 20 customers nobody told us about one has no token, two have two, one has two and an e-wallet."""
        if self._config.tokens == "none":
            return
        with self._store.change():
            if self._store.run("select 1 from asked_customer where customer_id = ?", customer_id):
                return
            draw = hashlib.sha256(f"{self._seed}|tokens|{customer_id}".encode()).digest()[0] % 20
            channels = {0: [], 1: [CARD, CARD], 2: [CARD, CARD], 3: [CARD, CARD, "EMONEY_OVO"]}.get(draw, [CARD])
            self._store.run("insert into asked_customer (customer_id) values (?)", customer_id)
            for channel in channels:
                self.give(customer_id, channel=channel)

    def _made(self, customer_id: str, number: int, channel: str) -> str:
        digest = hashlib.sha256(f"{self._seed}|token|{customer_id}|{number}".encode()).hexdigest()[:32]
        return digest if channel == CARD else f"TOK_{channel}::{digest}"
