"""Customers' tokens in the ledger: whom to ask for, what DOKU answered, what is lost, which one is chosen.

An answer is known by the moment at which it was asked for: of two answers the one asked for later counts, in whichever
order they come. A token is lost when a later answer about its customer did not hold it; a question without an answer
says nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Connection, bindparam, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from include.domain.states import TokenState
from include.domain.tokens import Candidate, Chosen, TokenSeen, Wish
from include.ledger.bill_tables import customer_token, token_question
from include.ledger.store import Ledger, lock
from include.ledger.types import UtcDateTime


@dataclass(frozen=True)
class Account:
    """Whose tokens: a profile's account at DOKU, for a billing source."""

    billing_source: str
    profile: str

    @property
    def values(self) -> dict[str, str]:
        """As columns."""
        return {"billing_source": self.billing_source, "profile": self.profile}


@dataclass(frozen=True)
class Asked:
    """One question and its answer.

    Attributes:
        asked_at: When it was asked, with a timezone.
        seen: Fingerprint and token of each token of the answer; None: there is no answer.
        words: Why there is none.
    """

    customer_id: str
    asked_at: datetime
    seen: Mapping[str, TokenSeen] | None
    words: str | None = None


def lock_tokens(connection: Connection, account: Account) -> None:
    """One writer of an account's tokens at a time, until the transaction ends."""
    lock(connection, f"tokens:{account.billing_source}:{account.profile}")


# --- whom to ask for --------------------


def list_customers(connection: Connection, account: Account, run_id: int, wishes: Mapping[str, Wish]) -> None:
    """Customers that the merchant's view lists, with what it wishes of each."""
    rows = [
        {
            **account.values,
            "customer_id": customer_id,
            "listed_by": run_id,
            "channel": wish.channel,
            "masked_card": wish.masked_card,
        }
        for customer_id, wish in sorted(wishes.items())
    ]
    if not rows:
        return
    insert = _insert(connection)(token_question)
    known = {name: insert.excluded[name] for name in ("listed_by", "channel", "masked_card")}
    connection.execute(insert.on_conflict_do_update(index_elements=_QUESTION_KEY, set_=known), rows)


def listed_customers(connection: Connection, account: Account, run_id: int, ids: Sequence[str]) -> dict[str, Wish]:
    """Of these customers, those that this run has listed already."""
    where = (*_of(token_question, account), token_question.c.listed_by == run_id, token_question.c.customer_id.in_(ids))
    columns = (token_question.c.customer_id, token_question.c.channel, token_question.c.masked_card)
    return {
        row.customer_id: Wish(row.channel, row.masked_card)
        for row in connection.execute(select(*columns).where(*where))
    }


def to_ask(
    connection: Connection, account: Account, run_id: int, *, since: datetime, before: datetime, after: str, limit: int
) -> list[str]:
    """Customers that this run has listed and that have neither an answer since then nor a question from then on.

    Args:
        since: When the run was opened: what was answered later is not asked again.
        before: When this asking began: who did not answer in it is not asked twice by it.
        after: The last one of the page before; empty for the first page.
    """
    question = token_question.c
    where = (
        *_of(token_question, account),
        question.customer_id > after,
        question.listed_by == run_id,
        (question.answered_at.is_(None)) | (question.answered_at < since),
        (question.asked_at.is_(None)) | (question.asked_at < before),
    )
    return list(
        connection.scalars(select(question.customer_id).where(*where).order_by(question.customer_id).limit(limit))
    )


# --- what DOKU answered --------------------


def keep_asked(connection: Connection, account: Account, asked: Iterable[Asked]) -> None:
    """Keep questions and their answers; an answer that was asked for earlier than one that is known changes nothing."""
    lock_tokens(connection, account)
    for one in asked:
        _keep(connection, account, one)


def _keep(connection: Connection, account: Account, asked: Asked) -> None:
    question = token_question.c
    where = (*_of(token_question, account), question.customer_id == asked.customer_id)
    fresh = (question.asked_at.is_(None)) | (question.asked_at <= asked.asked_at)
    if asked.seen is None:
        values: dict[str, Any] = {"asked_at": asked.asked_at, "words": asked.words}
        connection.execute(update(token_question).where(*where, fresh).values(**values))
        return
    answered = {"answered_at": asked.asked_at, "tokens": len(asked.seen)}
    newer = (question.answered_at.is_(None)) | (question.answered_at < asked.asked_at)
    if connection.execute(update(token_question).where(*where, newer).values(**answered)).rowcount != 1:
        return
    connection.execute(update(token_question).where(*where, fresh).values(asked_at=asked.asked_at, words=None))
    rows = [_row(account, asked, fingerprint, seen) for fingerprint, seen in sorted(asked.seen.items())]
    if rows:
        insert = _insert(connection)(customer_token)
        again = {name: insert.excluded[name] for name in _SAID_BY_DOKU}
        connection.execute(insert.on_conflict_do_update(index_elements=_TOKEN_KEY, set_=again), rows)


def _row(account: Account, asked: Asked, fingerprint: str, seen: TokenSeen) -> dict[str, Any]:
    return {
        **account.values,
        "customer_id": asked.customer_id,
        "token_fingerprint": fingerprint,
        "token": seen.token,
        "channel": seen.channel,
        "masked_card": seen.masked_card,
        "network": seen.network,
        "state": TokenState.ACTIVE,
        "chosen": False,
        "made_at": seen.made_at,
        "first_seen_at": asked.asked_at,
        "last_seen_at": asked.asked_at,
        "lost_at": None,
        "told_at": None,
    }


# --- what is lost --------------------

_GONE: Final = """
    FROM token_question q JOIN customer_token t
      ON t.billing_source = q.billing_source AND t.profile = q.profile AND t.customer_id = q.customer_id
    WHERE q.billing_source = :billing_source AND q.profile = :profile AND q.listed_by = :run_id
      AND q.answered_at >= :since AND t.state = 'active' AND t.first_seen_at < q.answered_at
"""
# Tokens that were known before the answer that this run got about their customer.

_SHARES: Final = """
    SELECT count(*) AS customers, coalesce(sum(CASE WHEN gone > 0 AND kept = 0 THEN 1 ELSE 0 END), 0) AS emptied,
           coalesce(sum(gone), 0) AS gone
    FROM (
        SELECT customer_id, sum(CASE WHEN last_seen_at < answered_at THEN 1 ELSE 0 END) AS gone,
               sum(CASE WHEN last_seen_at < answered_at OR first_seen_at > gone_at THEN 0 ELSE 1 END) AS kept
        FROM (SELECT q.customer_id, q.answered_at, t.first_seen_at, t.last_seen_at,
                     max(CASE WHEN t.last_seen_at < q.answered_at THEN t.last_seen_at END)
                         OVER (PARTITION BY q.customer_id) AS gone_at {gone}) k
        GROUP BY customer_id) c
"""
# Kept is what was seen beside one that is gone now: whatever came in its place is another, also on the next day.

_WHICH: Final = """
    SELECT q.customer_id, t.token_fingerprint {gone} AND t.last_seen_at < q.answered_at
    ORDER BY q.customer_id, t.token_fingerprint
"""

_LOSE: Final = """
    UPDATE customer_token SET state = 'lost', lost_at = :now, chosen = :no, told_at = NULL
    WHERE billing_source = :billing_source AND profile = :profile AND state = 'active' AND EXISTS (
        SELECT 1 FROM token_question q
        WHERE q.billing_source = customer_token.billing_source AND q.profile = customer_token.profile
          AND q.customer_id = customer_token.customer_id AND q.listed_by = :run_id AND q.answered_at >= :since
          AND customer_token.last_seen_at < q.answered_at)
"""


@dataclass(frozen=True)
class Losses:
    """What the answers of a run take away.

    Attributes:
        customers: With a token before, and asked about with success in this run.
        emptied: Of these, those none of whose tokens is given any more; new ones they may have.
        tokens: How many tokens are gone.
        digest: SHA-256 of whose and which; an approval is bound to it.
    """

    customers: int
    emptied: int
    tokens: int
    digest: str


def losses_of(connection: Connection, account: Account, run_id: int, since: datetime) -> Losses:
    """What would be lost now."""
    values = {**account.values, "run_id": run_id}
    shares = connection.execute(_since(since, _SHARES), values).one()
    made = hashlib.sha256()
    for row in connection.execute(_since(since, _WHICH), values):
        made.update(f"{row.customer_id}\0{row.token_fingerprint}\n".encode())
    return Losses(int(shares.customers), int(shares.emptied), int(shares.gone), made.hexdigest())


def lose(connection: Connection, account: Account, run_id: int, since: datetime, now: datetime) -> int:
    """Tokens that the answers of this run did not hold are lost from now on; how many."""
    statement = _since(since, _LOSE).bindparams(bindparam("now", value=now, type_=UtcDateTime))
    values = {**account.values, "run_id": run_id, "no": False}
    return int(connection.execute(statement, values).rowcount)


def _since(since: datetime, statement: str) -> Any:
    sql = dedent(statement).replace("{gone}", dedent(_GONE))
    return text(sql).bindparams(bindparam("since", value=since, type_=UtcDateTime))


# --- which one is charged --------------------


@dataclass(frozen=True)
class Customer:
    """A customer's active tokens, what the merchant wishes, and what was chosen last."""

    customer_id: str
    wish: Wish
    candidates: tuple[Candidate, ...]
    was: Chosen | None


_ACTIVE: Final = """
    SELECT q.customer_id, q.channel AS wished_channel, q.masked_card AS wished_card, q.choice, t.token_fingerprint,
           t.channel, t.masked_card, t.network, t.chosen, coalesce(t.made_at, t.first_seen_at) AS since
    FROM token_question q LEFT JOIN customer_token t
      ON t.billing_source = q.billing_source AND t.profile = q.profile AND t.customer_id = q.customer_id
     AND t.state = 'active'
    WHERE q.billing_source = :billing_source AND q.profile = :profile AND q.answered_at IS NOT NULL
      AND q.customer_id > :after AND q.customer_id IN (
          SELECT p.customer_id FROM token_question p
          WHERE p.billing_source = :billing_source AND p.profile = :profile AND p.answered_at IS NOT NULL
            AND p.customer_id > :after ORDER BY p.customer_id LIMIT :limit)
    ORDER BY q.customer_id
"""


def customers_after(connection: Connection, account: Account, after: str, limit: int) -> list[Customer]:
    """The next customers that DOKU has answered about, in the order of their ids."""
    statement = text(dedent(_ACTIVE)).columns(since=UtcDateTime, chosen=customer_token.c.chosen.type)
    rows = connection.execute(statement, {**account.values, "after": after, "limit": limit}).all()
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row.customer_id, []).append(row)
    return [_customer(customer_id, mine) for customer_id, mine in found.items()]


def _customer(customer_id: str, rows: list[Any]) -> Customer:
    first, held = rows[0], [row for row in rows if row.token_fingerprint is not None]
    chosen = next((row.token_fingerprint for row in held if row.chosen), None)
    candidates = (
        Candidate(row.token_fingerprint, row.channel, row.masked_card, row.network, row.since) for row in held
    )
    wish = Wish(first.wished_channel, first.wished_card)
    return Customer(customer_id, wish, tuple(candidates), Chosen(first.choice, chosen) if first.choice else None)


def keep_choices(connection: Connection, account: Account, choices: Mapping[str, Chosen]) -> None:
    """What the rule makes of customers' tokens now."""
    for customer_id, chosen in sorted(choices.items()):
        question = (*_of(token_question, account), token_question.c.customer_id == customer_id)
        connection.execute(update(token_question).where(*question).values(choice=chosen.choice))
        token = customer_token.c
        mine = (*_of(customer_token, account), token.customer_id == customer_id)
        other = update(customer_token).where(*mine, token.chosen, token.token_fingerprint != (chosen.fingerprint or ""))
        connection.execute(other.values(chosen=False, told_at=None))
        if chosen.fingerprint is not None:
            this = (
                *mine,
                token.token_fingerprint == chosen.fingerprint,
                token.state == TokenState.ACTIVE,
                ~token.chosen,
            )
            connection.execute(update(customer_token).where(*this).values(chosen=True, told_at=None))


# --- what the merchant is told --------------------

_TOLD: Final = ("state", "chosen", "channel", "masked_card", "network", "last_seen_at", "lost_at")
"""What the merchant's table says of a token, beside what never changes."""


def untold_tokens(ledger: Ledger, account: Account, limit: int) -> list[dict[str, Any]]:
    """Tokens that the merchant's table does not say, or says otherwise, as far as they are kept here."""
    where = (*_of(customer_token, account), customer_token.c.told_at.is_(None), customer_token.c.token.is_not(None))
    order = (customer_token.c.customer_id, customer_token.c.token_fingerprint)
    with ledger.read() as connection:
        rows = connection.execute(select(customer_token).where(*where).order_by(*order).limit(limit))
        return [dict(row) for row in rows.mappings()]


def note_tokens_told(ledger: Ledger, account: Account, rows: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """The merchant's table says these now. What has changed here meanwhile is told again."""
    keys = [(row["customer_id"], row["token_fingerprint"]) for row in rows]
    key = tuple_(customer_token.c.customer_id, customer_token.c.token_fingerprint)
    with ledger.write() as connection:
        lock_tokens(connection, account)
        mine = (*_of(customer_token, account), key.in_(keys))
        found = connection.execute(select(customer_token).where(*mine)).mappings()
        now_there = {(row["customer_id"], row["token_fingerprint"]): dict(row) for row in found}
        same: list[tuple[str, str]] = []
        other: list[tuple[str, str]] = []
        for one, told in zip(keys, rows, strict=True):
            agrees = one in now_there and all(now_there[one][name] == told[name] for name in _TOLD)
            (same if agrees else other).append(one)
        for group, moment in ((same, now), (other, None)):
            if group:
                where = (*_of(customer_token, account), key.in_(group))
                connection.execute(update(customer_token).where(*where).values(told_at=moment))


def told_tokens(ledger: Ledger, account: Account) -> dict[tuple[str, str], tuple[str, bool, bool]]:
    """By customer and fingerprint: state, whether it is chosen, and whether the merchant was told just that."""
    token = customer_token.c
    columns = (token.customer_id, token.token_fingerprint, token.state, token.chosen, token.told_at)
    with ledger.read() as connection:
        rows = connection.execute(select(*columns).where(*_of(customer_token, account)))
        return {
            (row.customer_id, row.token_fingerprint): (row.state, row.chosen, row.told_at is not None) for row in rows
        }


# --- for people --------------------

_FIGURES: Final = """
    SELECT
      (SELECT count(*) FROM token_question q WHERE {listed}) AS listed,
      (SELECT count(*) FROM token_question q WHERE {listed} AND q.answered_at >= :since) AS answered,
      (SELECT count(*) FROM token_question q WHERE {listed} AND q.words IS NOT NULL) AS unanswered,
      (SELECT count(*) FROM token_question q WHERE {q} AND q.choice = 'ambiguous') AS ambiguous,
      (SELECT count(*) FROM token_question q WHERE {q} AND q.choice = 'unfit') AS unfit,
      (SELECT count(*) FROM token_question q WHERE {q} AND q.choice = 'none') AS without,
      (SELECT count(*) FROM customer_token t WHERE {t} AND t.state = 'active') AS active,
      (SELECT count(*) FROM customer_token t WHERE {t} AND t.first_seen_at >= :since) AS new,
      (SELECT count(*) FROM customer_token t WHERE {t} AND t.lost_at >= :since) AS lost
"""


def figures_of(connection: Connection, account: Account, run_id: int, since: datetime) -> dict[str, int]:
    """What a run found, and how the tokens stand now: counts by name."""
    q, t = (f"{one}.billing_source = :billing_source AND {one}.profile = :profile" for one in "qt")
    filled = dedent(_FIGURES).replace("{listed}", "{q} AND q.listed_by = :run_id").replace("{q}", q).replace("{t}", t)
    bound = text(filled).bindparams(bindparam("since", value=since, type_=UtcDateTime))
    row = connection.execute(bound, {**account.values, "run_id": run_id}).mappings().one()
    return {name: int(value) for name, value in row.items()}


def tokens_of(connection: Connection, account: Account, customer_id: str) -> list[dict[str, Any]]:
    """A customer's tokens, lost ones too, as they came; without the tokens themselves."""
    where = (*_of(customer_token, account), customer_token.c.customer_id == customer_id)
    columns = [column for column in customer_token.c if column.name != "token"]
    order = (customer_token.c.first_seen_at, customer_token.c.token_fingerprint)
    return [dict(row) for row in connection.execute(select(*columns).where(*where).order_by(*order)).mappings()]


def question_of(connection: Connection, account: Account, customer_id: str) -> dict[str, Any] | None:
    """When DOKU was last asked about a customer, and what came of it; None: never."""
    where = (*_of(token_question, account), token_question.c.customer_id == customer_id)
    row = connection.execute(select(token_question).where(*where)).mappings().one_or_none()
    return dict(row) if row else None


def unanswered(connection: Connection, account: Account, run_id: int, limit: int) -> Iterator[tuple[str, str]]:
    """(customer, why) of questions of a run that have no answer."""
    question = token_question.c
    where = (*_of(token_question, account), question.listed_by == run_id, question.words.is_not(None))
    rows = select(question.customer_id, question.words).where(*where).order_by(question.customer_id).limit(limit)
    for row in connection.execute(rows):
        yield row.customer_id, row.words


_QUESTION_KEY: Final = ["billing_source", "profile", "customer_id"]
_TOKEN_KEY: Final = [*_QUESTION_KEY, "token_fingerprint"]
_SAID_BY_DOKU: Final = (
    "token", "channel", "masked_card", "network", "state", "made_at", "last_seen_at", "lost_at", "told_at",
)  # fmt: skip


def _insert(connection: Connection) -> Any:
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def _of(table: Any, account: Account) -> tuple[Any, Any]:
    return table.c.billing_source == account.billing_source, table.c.profile == account.profile
