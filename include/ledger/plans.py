"""What comes after declined attempts: found, decided on elsewhere, and kept. A decision is a row, and never changed."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from operator import itemgetter
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import Connection, Date, TextClause, bindparam, insert, select, text

from include.domain.networks import network_of_card, network_of_name
from include.domain.retry import STOPS, STRICTNESS, Decision
from include.domain.states import NextAction
from include.ledger.bulk import insert_rows
from include.ledger.growth import note_growth
from include.ledger.store import lock
from include.ledger.tables import attempt, ended_mandate, next_attempt, stopped_instrument
from include.ledger.types import UtcDateTime

PAGE_ROWS: Final = 5000

_LATEST: Final = """
    NOT EXISTS (SELECT 1 FROM next_attempt x WHERE x.invoice_number = p.invoice_number AND x.version > p.version)
"""
_NO_LATER_TRY: Final = "NOT EXISTS (SELECT 1 FROM attempt n WHERE n.previous_invoice_number = p.invoice_number)"

# An attempt counts unless it is withdrawn: then it provably never reached the network.
_TRIED: Final = "coalesce((SELECT max(o.strength) FROM outcome o WHERE o.invoice_number = t.invoice_number), 0) <> 2"

_STRICTNESS_OF: Final = " ".join(f"WHEN '{action}' THEN {strictness}" for action, strictness in STRICTNESS.items())

_COLUMNS: Final = f"""
    a.invoice_number, a.billing_source, a.charge_id, a.attempt_no, a.customer_id, a.billing_number, a.currency,
    a.amount, a.due_date, a.execute_date, a.token_fingerprint,
    coalesce((SELECT max(p.version) FROM next_attempt p WHERE p.invoice_number = a.invoice_number), 0) AS version,
    (SELECT max(CASE p.action {_STRICTNESS_OF} END) FROM next_attempt p WHERE p.invoice_number = a.invoice_number)
        AS strictness,
    (SELECT count(*) FROM attempt t WHERE t.billing_source = a.billing_source AND t.charge_id = a.charge_id
        AND {_TRIED}) AS tries_of_charge,
    CASE WHEN a.billing_number IS NULL THEN NULL ELSE (
        SELECT count(*) FROM attempt t WHERE t.billing_number = a.billing_number
        AND t.billing_period = a.billing_period AND t.customer_id = a.customer_id
        AND t.billing_source = a.billing_source AND {_TRIED}) END AS tries_in_period,
    coalesce((SELECT 'paid' FROM attempt t JOIN outcome w ON w.invoice_number = t.invoice_number AND w.strength > 3
              WHERE t.billing_source = a.billing_source AND t.charge_id = a.charge_id LIMIT 1),
             (SELECT 'closed' FROM closed_charge c
              WHERE c.billing_source = a.billing_source AND c.charge_id = a.charge_id)) AS ended
"""  # noqa: S608 - no value of anybody's is put in

_OF_REPORT: Final = f"""
    SELECT {_COLUMNS}, l.response_code, l.masked_card, coalesce(a.network, l.network) AS network, l.advice_code,
           l.line_no AS position
    FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.status = 'declined' AND l.line_class IN ('answer', 'amount_differs')
      AND l.line_no > :after AND a.profile = :profile
    ORDER BY l.line_no LIMIT :rows
"""  # noqa: S608
# Each line by its own code, also of an attempt that has a decision or another outcome by now.

_BY_WORD: Final = f"""
    SELECT {_COLUMNS}, o.response_code, o.masked_card, a.network, NULL AS advice_code, 0 AS position
    FROM outcome o JOIN attempt a ON a.invoice_number = o.invoice_number
    WHERE o.witness <> 'report' AND o.status IN ('declined', 'paid', 'reversed') AND o.status = 'declined'
      AND o.invoice_number > :after AND a.profile = :profile
      AND NOT EXISTS (SELECT 1 FROM outcome w WHERE w.invoice_number = o.invoice_number AND w.strength > o.strength)
      AND NOT EXISTS (SELECT 1 FROM next_attempt p WHERE p.invoice_number = o.invoice_number)
    ORDER BY o.invoice_number LIMIT :rows
"""  # noqa: S608
# Outcomes that a person settled, or that were recovered: few, with an index of their own.

_TRIES: Final = f"""
    SELECT t.token_fingerprint, t.currency, t.amount, t.execute_date FROM attempt t
    WHERE t.token_fingerprint {{listed}} AND t.execute_date >= :since AND {_TRIED}
"""  # noqa: S608

_CARDS: Final = """
    SELECT a.token_fingerprint, max(o.masked_card) AS masked_card
    FROM attempt a JOIN outcome o ON o.invoice_number = a.invoice_number
    WHERE a.token_fingerprint {listed} AND o.masked_card IS NOT NULL GROUP BY a.token_fingerprint
"""

_PAID_BY_REPORT: Final = """
    SELECT a.billing_source, a.charge_id FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    JOIN next_attempt x ON x.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.status IN ('paid', 'reversed') AND a.profile = :profile
    UNION
    SELECT a.billing_source, a.charge_id FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    JOIN attempt x ON x.previous_invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.status IN ('paid', 'reversed') AND a.profile = :profile
"""
# Also of another profile's attempts: it may say yes too often, and never too seldom.
_PAYS_FOR_PLANNED: Final = """
    SELECT 1 FROM report_line l JOIN next_attempt x ON x.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.status IN ('paid', 'reversed')
    UNION ALL
    SELECT 1 FROM report_line l JOIN attempt x ON x.previous_invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.status IN ('paid', 'reversed')
    LIMIT 1
"""
_PAID_BY_WORD: Final = """
    SELECT a.billing_source, a.charge_id FROM outcome o JOIN attempt a ON a.invoice_number = o.invoice_number
    WHERE o.witness <> 'report' AND o.status IN ('declined', 'paid', 'reversed') AND o.status <> 'declined'
      AND a.profile = :profile
"""
_OF_ATTEMPT: Final = "SELECT a.billing_source, a.charge_id FROM attempt a WHERE a.invoice_number = :invoice_number"
_OF_CHARGE: Final = """
    SELECT a.billing_source, a.charge_id FROM attempt a
    WHERE a.billing_source = :billing_source AND a.charge_id = :charge_id
"""
_CLOSED: Final = "SELECT c.billing_source, c.charge_id FROM closed_charge c WHERE c.profile = :profile"

_CANCEL: Final = """
    INSERT INTO next_attempt (invoice_number, version, action, pay_day, rule, words, decided_at, run_id)
    SELECT p.invoice_number, p.version + 1, 'cancelled', p.pay_day, :rule, :words, :now, :run_id
    FROM (SELECT DISTINCT s.billing_source, s.charge_id FROM ({source}) s) c
    JOIN attempt a ON a.billing_source = c.billing_source AND a.charge_id = c.charge_id
    JOIN next_attempt p ON p.invoice_number = a.invoice_number
    WHERE p.action IN ('retry', 'after_change', 'merchant_setup', 'ask', 'withdrawn') AND {latest} AND {no_later_try}
"""

# Nothing was planned before it was due, so that `due_from` bounds what is looked at.
_MISSED: Final = f"""
    INSERT INTO next_attempt (invoice_number, version, action, planned_on, pay_day, rule, words, decided_at, run_id)
    SELECT p.invoice_number, p.version + 1, 'retry', :pay_day, p.pay_day, p.rule, :words, :now, :run_id
    FROM next_attempt p JOIN attempt a ON a.invoice_number = p.invoice_number
    WHERE p.action = 'retry' AND p.pay_day AND p.planned_on >= :due_from AND p.planned_on < :first
      AND a.profile = :profile AND a.due_date >= :due_from AND {_LATEST} AND {_NO_LATER_TRY}
"""  # noqa: S608

_WAITING_FOR_SETUP: Final = f"""
    SELECT p.invoice_number, p.version, a.charge_id, a.due_date, o.response_code
    FROM next_attempt p JOIN attempt a ON a.invoice_number = p.invoice_number
    JOIN outcome o ON o.invoice_number = p.invoice_number AND o.status = 'declined'
    WHERE p.action = 'merchant_setup' AND a.profile = :profile AND {_LATEST} AND {_NO_LATER_TRY}
    ORDER BY p.invoice_number
"""  # noqa: S608

PAID: Final = ("paid", "it is paid: nothing more is tried")
CLOSED: Final = ("closed", "the charge was closed: nothing more is tried")


@dataclass(frozen=True)
class Decline:
    """An attempt and one answer that declined it: a line of a report, or somebody's word.

    Attributes:
        amount: In smallest units.
        version: Of the last decision about the attempt; 0: there is none yet.
        strictness: Of the strictest one (`STRICTNESS`).
        tries_of_charge, tries_in_period: With this one, without withdrawn ones; None: it has no billing number.
        ended: "paid" or "closed": the charge is at its end by something else.
        position: Where the next page goes on.
    """

    invoice_number: str
    billing_source: str
    charge_id: str
    attempt_no: int
    customer_id: str
    billing_number: str | None
    currency: str
    amount: int
    due_date: date
    execute_date: date
    token_fingerprint: str | None
    response_code: str | None
    masked_card: str | None
    network: str | None
    advice_code: str | None
    tries_of_charge: int
    tries_in_period: int | None
    ended: str | None
    version: int
    strictness: int | None
    position: int

    @cached_property
    def card_network(self) -> str | None:
        """The card network, if the charge or the answer tell."""
        return network_of_name(self.network) or network_of_card(self.masked_card)


@dataclass(frozen=True)
class Instrument:
    """What is known of a token: execute dates of its tries by currency and amount, and a masked card of a report."""

    tries: Mapping[tuple[str, int], Sequence[date]]
    masked_card: str | None

    @property
    def all_tries(self) -> list[date]:
        """Whatever the amount."""
        return [day for days in self.tries.values() for day in days]


def lock_plans(connection: Connection, billing_source: str) -> None:
    """One planner of a billing source's charges at a time, until the transaction ends; they may be of two profiles."""
    lock(connection, _lock_of(billing_source))


def lock_plans_of(connection: Connection, billing_source: str, batch_ids: Sequence[int]) -> None:
    """One planner at a time for what became of some batches; others may plan for other batches meanwhile."""
    lock(connection, _lock_of(billing_source), shared=True)
    for batch_id in sorted(batch_ids):
        lock(connection, f"planned:{batch_id}")


def _lock_of(billing_source: str) -> str:
    return f"plan:{billing_source}"


def declines_of_report(connection: Connection, report_id: int, profile: str, after: int) -> list[Decline]:
    """A page of a report's lines that declined an attempt, from behind a position."""
    values = {"report_id": report_id, "profile": profile, "after": after, "rows": PAGE_ROWS}
    return _declines(connection, _OF_REPORT, values)


def declines_by_word(connection: Connection, profile: str, after: str) -> list[Decline]:
    """A page of declined attempts without a decision that no report witnessed, from behind an invoice number."""
    return _declines(connection, _BY_WORD, {"profile": profile, "after": after, "rows": PAGE_ROWS})


def instruments(
    connection: Connection, fingerprints: Collection[str], since: date, cards_of: Collection[str]
) -> dict[str, Instrument]:
    """What is known of tokens, by fingerprint; tries since a day, and of some of them a masked card."""
    if not fingerprints:
        return {}
    tries: dict[str, dict[tuple[str, int], list[date]]] = {one: {} for one in fingerprints}
    listed = _listed(connection)
    query = text(dedent(_TRIES).format(listed=listed)).bindparams(bindparam("since", value=since, type_=Date))
    found = connection.execute(_named(query, connection).columns(execute_date=Date), {"fingerprints": sorted(tries)})
    for token, currency, amount, day in found:
        tries[token].setdefault((currency, amount), []).append(day)
    cards = _cards(connection, cards_of)
    return {one: Instrument(found, cards.get(one)) for one, found in tries.items()}


def _cards(connection: Connection, fingerprints: Collection[str]) -> dict[str, str]:
    if not fingerprints:
        return {}
    query = _named(text(dedent(_CARDS).format(listed=_listed(connection))), connection)
    found = connection.execute(query, {"fingerprints": sorted(fingerprints)})
    return {row.token_fingerprint: row.masked_card for row in found}


def keep_decisions(
    connection: Connection,
    decided: Sequence[tuple[Decline, Decision]],
    run_id: int | None,
    now: datetime,
    report_id: int | None = None,
) -> None:
    """Keep decisions, each in place of an earlier one of its attempt, and with them what is never charged again.

    Args:
        connection: In a writing transaction.
        decided: What was decided, and on what.
        run_id: The run that decides.
        now: The moment.
        report_id: The report whose telling, which is still to come, tells them too.
    """
    rows = [_row(one.invoice_number, one.version + 1, decision, run_id, now, report_id) for one, decision in decided]
    insert_rows(connection, next_attempt, rows)
    stopped, ended = [], []
    for one, decision in decided:
        if decision.action not in STOPS:
            continue
        why = {"invoice_number": one.invoice_number, "rule": decision.rule, "words": decision.words}
        if one.token_fingerprint is not None:
            stopped.append({"token_fingerprint": one.token_fingerprint, **why, "stopped_at": now})
        if decision.action is NextAction.MANDATE_ENDED and one.customer_id:  # nobody's: a recovered attempt
            mandate = {
                "billing_source": one.billing_source,
                "customer_id": one.customer_id,
                "billing_number": one.billing_number or "",
            }
            ended.append({**mandate, **why, "ended_at": now})
    # In an order, so that two who stop the same cards do not wait for one another.
    insert_rows(connection, stopped_instrument, sorted(stopped, key=itemgetter("token_fingerprint")), new=True)
    insert_rows(connection, ended_mandate, sorted(ended, key=itemgetter("customer_id", "billing_number")), new=True)


def cancel_plans(
    connection: Connection, profile: str, run_id: int | None, now: datetime, report_id: int | None = None
) -> None:
    """End the open plans of charges that are paid, by a line of a report or by a word, or closed."""
    if report_id is not None:
        _cancel(connection, _PAID_BY_REPORT, PAID, {"report_id": report_id, "profile": profile}, run_id, now)
        return
    _cancel(connection, _PAID_BY_WORD, PAID, {"profile": profile}, run_id, now)
    _cancel(connection, _CLOSED, CLOSED, {"profile": profile}, run_id, now)


def pays_for_planned(connection: Connection, report_id: int) -> bool:
    """Whether a report says paid of an attempt that has a decision, or was followed by another one."""
    return connection.execute(text(dedent(_PAYS_FOR_PLANNED)), {"report_id": report_id}).first() is not None


def cancel_plan_of_paid(connection: Connection, invoice_number: str, now: datetime) -> None:
    """End the open plan of the charge of an attempt that is paid, by somebody's word."""
    query = select(attempt.c.billing_source).where(attempt.c.invoice_number == invoice_number)
    lock_plans(connection, connection.execute(query).scalar_one())
    _cancel(connection, _OF_ATTEMPT, PAID, {"invoice_number": invoice_number}, None, now)


def cancel_plan_of_closed(connection: Connection, billing_source: str, charge_id: str, now: datetime) -> None:
    """End the open plan of a charge that is closed."""
    lock_plans(connection, billing_source)
    _cancel(connection, _OF_CHARGE, CLOSED, {"billing_source": billing_source, "charge_id": charge_id}, None, now)


def move_missed_pay_days(
    connection: Connection,
    profile: str,
    run_id: int | None,
    now: datetime,
    *,
    first: date,
    pay_day: date,
    late: timedelta,
) -> None:
    """Move plans for pay days that went by without a try to the next one, where the charge is not too late by then.

    Args:
        first: The first execute date that can still be claimed for.
        pay_day: The first pay day from then on.
        late: How long after its due date a charge is sent.
    """
    days = {"first": first, "pay_day": pay_day, "due_from": pay_day - late}
    bound = (bindparam(name, value=day, type_=Date) for name, day in days.items())
    statement = text(dedent(_MISSED)).bindparams(bindparam("now", value=now, type_=UtcDateTime), *bound)
    words = f"its pay day went by without a try; the next one is {pay_day}"
    connection.execute(statement, {"profile": profile, "words": words, "run_id": run_id})


def note_decided(connection: Connection, added: int) -> None:
    """Let the planner see how many decisions there are by now; last in a transaction, for until its end others wait."""
    note_growth(connection, next_attempt, added, "invoice_number", "version", "action")


def waiting_for_setup(connection: Connection, profile: str) -> list[Any]:
    """Charges that wait for the merchant's set-up: rows of invoice number, version, charge, due date and code."""
    query = text(dedent(_WAITING_FOR_SETUP)).columns(due_date=Date)
    return list(connection.execute(query, {"profile": profile}))


def keep_later_decision(
    connection: Connection, invoice_number: str, version: int, decision: Decision, by: str, now: datetime
) -> None:
    """A person's decision in place of an earlier one; the version is its own."""
    row = {**_row(invoice_number, version, decision, None, now), "decided_by": by}
    connection.execute(insert(next_attempt).values(row))


def _row(
    invoice_number: str,
    version: int,
    decision: Decision,
    run_id: int | None,
    now: datetime,
    report_id: int | None = None,
) -> dict[str, Any]:
    return {
        "invoice_number": invoice_number,
        "version": version,
        "action": decision.action,
        "planned_on": decision.on,
        "pay_day": decision.pay_day,
        "rule": decision.rule,
        "words": decision.words,
        "decided_at": now,
        "run_id": run_id,
        "report_id": report_id,
    }


def _declines(connection: Connection, statement: str, values: Mapping[str, object]) -> list[Decline]:
    query = text(dedent(statement)).columns(due_date=Date, execute_date=Date)
    rows = connection.execute(query, dict(values))
    given = list(rows.keys())
    in_order = itemgetter(*(given.index(name) for name in Decline.__dataclass_fields__))
    return [Decline(*in_order(row)) for row in rows]


def _cancel(
    connection: Connection,
    source: str,
    why: tuple[str, str],
    values: Mapping[str, object],
    run_id: int | None,
    now: datetime,
) -> None:
    statement = dedent(_CANCEL).format(source=dedent(source), latest=_LATEST, no_later_try=_NO_LATER_TRY)
    rule, words = why
    moment = bindparam("now", value=now, type_=UtcDateTime)
    given = {**values, "rule": rule, "words": words, "run_id": run_id}
    connection.execute(text(statement).bindparams(moment), given)


def _listed(connection: Connection) -> str:
    """How a statement takes a list of fingerprints: PostgreSQL as one value, whatever their number."""
    return "= ANY(CAST(:fingerprints AS varchar[]))" if connection.dialect.name == "postgresql" else "IN :fingerprints"


def _named(statement: TextClause, connection: Connection) -> TextClause:
    if connection.dialect.name == "postgresql":
        return statement
    return statement.bindparams(bindparam("fingerprints", expanding=True))
