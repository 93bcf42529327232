"""What the claim itself sees to about trying again: caps, spent billing periods, charges gone from the view.

Plans were made one by one, days ago; here all that would go out today is counted together. Caps hold for first attempts
too, over all attempts on a token, of whatever charge, profile and billing source.
"""

from datetime import date, datetime, timedelta
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, Date, TextClause, bindparam, text

from include.domain.networks import network_of_card, network_of_name
from include.domain.retry import Tried, Wanted, one_too_many
from include.ledger.fates import Terms
from include.ledger.runs import Run
from include.ledger.store import lock
from include.ledger.types import UtcDateTime
from include.ledger.work_tables import analyse, rows_alike

OLDEST_PLAN_DAYS: Final = 100
"""A plan older than this is not looked for among charges that are gone: it was seen on every day since."""

_CANDIDATES: Final = """
    FROM staged_charge s WHERE NOT EXISTS (SELECT 1 FROM staged_fate f WHERE f.row_no = s.row_no AND f.fate <> 'claim')
"""

# Busy: several rows of today, or a token that was tried so often already that one more could be too many.
_BUSY: Final = """
    CREATE TEMPORARY TABLE staged_busy AS
    SELECT s.fingerprint {candidates} AND {key} IN (SELECT k.key FROM staged_alike k)
    GROUP BY s.fingerprint{amount} HAVING count(*) > 1
    UNION
    SELECT a.token_fingerprint FROM batch b JOIN attempt a ON a.batch_id = b.batch_id
    WHERE b.execute_date >= :since AND a.token_fingerprint IN (SELECT s.fingerprint {candidates})
    GROUP BY a.token_fingerprint HAVING count(*) >= :least
"""

_WANTED: Final = """
    SELECT s.row_no, s.fingerprint, s.currency, s.amount, s.network {candidates}
      AND s.fingerprint IN (SELECT fingerprint FROM staged_busy) ORDER BY s.row_no
"""

_TRIED: Final = """
    SELECT a.token_fingerprint, a.currency, a.amount, a.execute_date
    FROM staged_busy t CROSS JOIN attempt a
    WHERE a.token_fingerprint = t.fingerprint AND a.execute_date >= :since
      AND coalesce((SELECT max(o.strength) FROM outcome o WHERE o.invoice_number = a.invoice_number), 0) <> 2
"""

_CARDS: Final = """
    SELECT a.token_fingerprint, max(o.masked_card) AS masked_card
    FROM staged_busy t CROSS JOIN attempt a CROSS JOIN outcome o
    WHERE a.token_fingerprint = t.fingerprint AND o.invoice_number = a.invoice_number AND o.masked_card IS NOT NULL
    GROUP BY a.token_fingerprint
"""

_NOT_SENT: Final = "DELETE FROM staged_fate WHERE row_no = :row_no"
_PUT_OFF: Final = "INSERT INTO staged_fate (row_no, fate, reason) VALUES (:row_no, 'deferred', 'network_cap')"

_BY_PLAN: Final = "('planned', 'listed_again', 'after_change', 'new_instrument')"

# First what is sent for the first time, then what is tried again: only that can be one too many.
_SPENT: Final = f"""
    CREATE TEMPORARY TABLE staged_spent AS
    SELECT c.row_no, c.again FROM (
        SELECT s.row_no, CASE WHEN f.reason IN {_BY_PLAN} THEN 1 ELSE 0 END AS again,
               coalesce(k.tries, 0) + row_number() OVER (
                   PARTITION BY s.customer_id, s.billing_number, coalesce(s.billing_period, {{month}})
                   ORDER BY CASE WHEN f.reason IN {_BY_PLAN} THEN 1 ELSE 0 END, s.row_no) AS nth
        FROM staged_charge s
        JOIN (SELECT DISTINCT x.billing_number FROM staged_charge x JOIN staged_fate y ON y.row_no = x.row_no
              WHERE y.fate = 'claim' AND y.reason IN {_BY_PLAN}) n ON n.billing_number = s.billing_number
        LEFT JOIN staged_fate f ON f.row_no = s.row_no
        LEFT JOIN (
            SELECT a.customer_id, a.billing_number, a.billing_period, count(*) AS tries
            FROM attempt a
            WHERE a.billing_source = :billing_source AND a.billing_number IN (
                  SELECT x.billing_number FROM staged_charge x JOIN staged_fate y ON y.row_no = x.row_no
                  WHERE y.fate = 'claim' AND y.reason IN {_BY_PLAN})
              AND coalesce((SELECT max(o.strength) FROM outcome o WHERE o.invoice_number = a.invoice_number), 0) <> 2
            GROUP BY a.customer_id, a.billing_number, a.billing_period
        ) k ON k.customer_id = s.customer_id AND k.billing_number = s.billing_number
           AND k.billing_period = coalesce(s.billing_period, {{month}})
        WHERE f.row_no IS NULL OR f.fate = 'claim'
    ) c WHERE c.nth > :most AND c.again = 1
"""  # noqa: S608 - no value of anybody's is put in

_MONTH: Final = "substr(CAST(s.due_date AS VARCHAR(10)), 1, 7)"

_KEEP_SPENT: Final = """
    INSERT INTO next_attempt (invoice_number, version, action, pay_day, rule, words, decided_at, run_id)
    SELECT f.previous_invoice_number, p.version + 1, 'exhausted', p.pay_day, 'retry.max_per_period',
           'all tries of its billing period are used up, by other charges of it meanwhile', :now, :run_id
    FROM staged_spent e JOIN staged_fate f ON f.row_no = e.row_no
    JOIN next_attempt p ON p.invoice_number = f.previous_invoice_number
    WHERE NOT EXISTS (SELECT 1 FROM next_attempt x WHERE x.invoice_number = p.invoice_number AND x.version > p.version)
"""

_SETTLE_SPENT: Final = """
    UPDATE staged_fate SET fate = 'settled', reason = 'exhausted', attempt_no = NULL, previous_invoice_number = NULL,
        previous_status = NULL
    WHERE row_no IN (SELECT row_no FROM staged_spent)
"""

_UNLISTED: Final = """
    INSERT INTO next_attempt (invoice_number, version, action, planned_on, pay_day, rule, words, decided_at, run_id)
    SELECT p.invoice_number, p.version + 1, 'withdrawn', p.planned_on, p.pay_day, 'no_longer_listed',
           'the merchant''s view does not list it any more; it goes on if it does again', :now, :run_id
    FROM next_attempt p JOIN attempt a ON a.invoice_number = p.invoice_number
    LEFT JOIN staged_charge s ON s.charge_id = a.charge_id
    WHERE a.billing_source = :billing_source AND a.profile = :profile AND p.action = 'retry'
      AND p.planned_on <= :execute_date AND p.planned_on >= :since AND a.due_date <= :business_date
      AND s.row_no IS NULL
      AND NOT EXISTS (SELECT 1 FROM next_attempt x WHERE x.invoice_number = p.invoice_number AND x.version > p.version)
      AND NOT EXISTS (SELECT 1 FROM attempt x WHERE x.previous_invoice_number = p.invoice_number)
      AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number AND o.strength > 3)
"""

Keeping = tuple[Run, datetime] | None
"""The run and the moment that a decision is kept with; None where nothing is kept."""


def lock_caps(connection: Connection) -> None:
    """One claimer of the whole ledger at a time counts tries: profiles may share a customer's token."""
    lock(connection, "caps")


def put_off_capped(connection: Connection, terms: Terms) -> None:
    """What would be one try too many on a token, by the rules of its network, is deferred."""
    caps = terms.again.rules.caps
    if not caps:
        return
    since = terms.execute_date - timedelta(days=max(cap.days for cap in caps))
    amount = ", s.currency, s.amount" if all(cap.per_amount for cap in caps) else ""
    with rows_alike(connection, "fingerprint") as key:
        busy = dedent(_BUSY).format(candidates=dedent(_CANDIDATES), amount=amount, key=key)
        connection.execute(_from(since, busy), {"least": min(cap.most for cap in caps)})
    wanted = _wanted(connection)
    if wanted:
        rows = connection.execute(_from(since, _TRIED).columns(execute_date=Date))
        tried = [Tried(row.token_fingerprint, row.currency, row.amount, row.execute_date) for row in rows]
        refused = [{"row_no": row_no} for row_no in one_too_many(wanted, tried, terms.again.rules, terms.execute_date)]
        if refused:
            connection.execute(text(_NOT_SENT), refused)
            connection.execute(text(_PUT_OFF), refused)
    connection.execute(text("DROP TABLE staged_busy"))


def _wanted(connection: Connection) -> list[Wanted]:
    found = connection.execute(text(dedent(_WANTED).format(candidates=dedent(_CANDIDATES)))).all()
    if not found:
        return []
    cards = {row.token_fingerprint: row.masked_card for row in connection.execute(text(dedent(_CARDS)))}
    return [
        Wanted(
            row.row_no,
            row.fingerprint,
            row.currency,
            row.amount,
            network_of_name(row.network) or network_of_card(cards.get(row.fingerprint)),
        )
        for row in found
    ]


def close_spent_periods(connection: Connection, terms: Terms, keeping: Keeping) -> None:
    """Plans for which other charges of the same billing period left no try are at their end."""
    if not terms.again.enabled:
        return
    values = {"billing_source": terms.billing_source, "most": terms.again.max_per_period}
    connection.execute(text(dedent(_SPENT).format(month=_MONTH)), values)
    analyse(connection, "staged_spent")
    if keeping is not None:
        run, now = keeping
        connection.execute(_at(now, _KEEP_SPENT), {"run_id": run.run_id})
    connection.execute(text(dedent(_SETTLE_SPENT)))
    connection.execute(text("DROP TABLE staged_spent"))


def close_unlisted(connection: Connection, terms: Terms, keeping: Keeping) -> None:
    """Plans that are due, of charges that the view does not list any more, are closed as withdrawn by the merchant."""
    if keeping is None or not terms.again.enabled:
        return
    run, now = keeping
    days = {
        "execute_date": terms.execute_date,
        "business_date": run.business_date,
        "since": terms.execute_date - timedelta(days=OLDEST_PLAN_DAYS),
    }
    statement = _at(now, _UNLISTED).bindparams(*(bindparam(name, value=day, type_=Date) for name, day in days.items()))
    values = {"billing_source": terms.billing_source, "profile": terms.profile, "run_id": run.run_id}
    connection.execute(statement, values)


def _from(since: date, statement: str) -> TextClause:
    return text(dedent(statement)).bindparams(bindparam("since", value=since, type_=Date))


def _at(now: datetime, statement: str) -> TextClause:
    return text(dedent(statement)).bindparams(bindparam("now", value=now, type_=UtcDateTime))
