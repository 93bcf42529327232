"""What becomes of each row of a run that does not simply turn into a first attempt.

One statement per rule, in order of precedence; the first that names a row decides (`ON CONFLICT DO NOTHING`). Rows that
no statement names become first attempts. Everything is set-based: on an ordinary day few rows are named at all.
"""

from dataclasses import dataclass
from datetime import date
from textwrap import dedent
from typing import Final

from sqlalchemy import Connection, Date, bindparam, text

from include.domain.retry import ClaimTerms
from include.ledger.bill_charges import DOKU_MAY_CHARGE
from include.ledger.recovered import complete_recovered
from include.ledger.work_tables import analyse, rows_alike

_INSERT: Final = "INSERT INTO staged_fate (row_no, fate, reason"

_SEVERAL: Final = """
    CREATE TEMPORARY TABLE staged_several AS
    SELECT s.row_no, s.charge_id, s.customer_id, s.billing_number, s.token, s.amount, s.currency, s.due_date, s.channel,
           s.description, s.network, s.billing_period, s.attempt_no, s.reasons
    FROM staged_charge s WHERE {key} IN (SELECT a.key FROM staged_alike a)
"""
# Few, and all that have their charge id with another row; some that only have its key.

_REPEATED: Final = """
    WITH forms AS (
        SELECT s.charge_id, min(s.row_no) AS first_row,
               count(DISTINCT coalesce(s.customer_id, '') || '|' || coalesce(s.billing_number, '') || '|' ||
                     coalesce(s.token, '') || '|' || CAST(s.amount AS VARCHAR(30)) || '|' ||
                     coalesce(s.currency, '') || '|' ||
                     coalesce(CAST(s.due_date AS VARCHAR(10)), '') || '|' || coalesce(s.channel, '') || '|' ||
                     coalesce(s.description, '') || '|' || coalesce(s.network, '') || '|' ||
                     coalesce(s.billing_period, '') || '|' ||
                     coalesce(CAST(s.attempt_no AS VARCHAR(10)), '') || '|' || coalesce(s.reasons, '')) AS forms
        FROM staged_several s GROUP BY s.charge_id HAVING count(*) > 1
    )
    {insert}) SELECT s.row_no, 'quarantine', CASE WHEN d.forms = 1 THEN 'row:repeated' ELSE 'row:conflicting' END
    FROM staged_several s JOIN forms d ON d.charge_id = s.charge_id
    WHERE d.forms > 1 OR s.row_no > d.first_row
"""
# Identical rows: the first goes on. Differing rows with one charge id: nobody can say which is right, all are kept out.

_SEVERAL_TOKENS: Final = """
    UPDATE staged_fate SET reason = 'row:several_tokens'
    WHERE reason = 'row:conflicting' AND row_no IN (
        SELECT s.row_no FROM staged_several s JOIN (
            SELECT c.charge_id FROM staged_fate f JOIN staged_several c ON c.row_no = f.row_no
            WHERE f.reason = 'row:conflicting' GROUP BY c.charge_id
            HAVING count(DISTINCT coalesce(c.customer_id, '') || '|' || coalesce(c.billing_number, '') || '|' ||
                         CAST(c.amount AS VARCHAR(30)) || '|' || coalesce(c.currency, '') || '|' ||
                         coalesce(CAST(c.due_date AS VARCHAR(10)), '') || '|' || coalesce(c.description, '') || '|' ||
                         coalesce(c.billing_period, '') || '|' || coalesce(CAST(c.attempt_no AS VARCHAR(10)), '') ||
                         '|' || coalesce(c.reasons, '')) = 1
               AND count(DISTINCT coalesce(c.token, '')) > 1
        ) d ON d.charge_id = s.charge_id)
"""
# Rows of one charge that differ only in what is charged: never the first of them.

_HISTORY: Final = """
    CREATE TEMPORARY TABLE staged_history AS
    SELECT s.row_no, a.invoice_number, a.attempt_no,
           CASE WHEN s.fingerprint <> a.token_fingerprint THEN 1 ELSE 0 END AS other_token,
           CASE WHEN a.rule = 'recovered' THEN 1 ELSE 0 END AS recovered,
           CASE WHEN a.rule = 'recovered' AND a.token_fingerprint IS NULL THEN 1 ELSE 0 END AS bare,
           CASE WHEN a.amount = s.amount AND a.currency = s.currency
                     AND (a.rule = 'recovered' OR (a.due_date = s.due_date AND a.customer_id = s.customer_id))
                THEN 1 ELSE 0 END AS same,
           coalesce((SELECT max(o.strength) FROM outcome o WHERE o.invoice_number = a.invoice_number), 0) AS strength
    FROM staged_charge s CROSS JOIN attempt a WHERE a.billing_source = :billing_source AND a.charge_id = s.charge_id
"""
# CROSS JOIN: SQLite, which has no statistics, then takes them in this order, and not each attempt with all rows.
# Every attempt of every listed charge, with its strongest outcome (0: none yet); see include.domain.states.STRENGTH.
# Of a recovered attempt nobody knows the due date, the customer and the token any more.

_LAST: Final = """
    CREATE TEMPORARY TABLE staged_last AS
    SELECT row_no, invoice_number, attempt_no, strength, declined, tries
    FROM (SELECT h.*, row_number() OVER (PARTITION BY row_no ORDER BY attempt_no DESC) AS back,
                 max(CASE WHEN strength = 3 THEN 1 ELSE 0 END) OVER (PARTITION BY row_no) AS declined,
                 sum(CASE WHEN strength = 2 THEN 0 ELSE 1 END) OVER (PARTITION BY row_no) AS tries
          FROM staged_history h) n
    WHERE back = 1
"""

_PLAN: Final = """
    CREATE TEMPORARY TABLE staged_plan AS
    SELECT row_no, invoice_number, action, planned_on, pay_day, same, other_token, recovered
    FROM (SELECT h.row_no, h.invoice_number, p.action, p.planned_on, p.pay_day, h.same, h.other_token, h.recovered,
                 row_number() OVER (PARTITION BY h.row_no ORDER BY h.attempt_no DESC, p.version DESC) AS back
          FROM staged_history h JOIN next_attempt p ON p.invoice_number = h.invoice_number WHERE h.strength = 3) n
    WHERE back = 1
"""
# What was decided after the last declined attempt of each listed charge, where there is one.

_SETTLED: Final = """
    {insert}) SELECT row_no, CASE WHEN max(same) = 1 THEN 'settled' ELSE 'quarantine' END,
           CASE WHEN max(same) = 1 THEN 'paid' ELSE 'row:changed_after_settled' END
    FROM staged_history WHERE strength >= 4 GROUP BY row_no
"""

_CLOSED: Final = """
    {insert}) SELECT s.row_no,
           CASE WHEN coalesce(c.amount, s.amount) = s.amount AND coalesce(c.due_date, s.due_date) = s.due_date
                     AND coalesce(c.customer_id, s.customer_id) = s.customer_id
                THEN 'settled' ELSE 'quarantine' END,
           CASE WHEN coalesce(c.amount, s.amount) = s.amount AND coalesce(c.due_date, s.due_date) = s.due_date
                     AND coalesce(c.customer_id, s.customer_id) = s.customer_id
                THEN c.reason ELSE 'row:changed_after_settled' END
    FROM staged_charge s JOIN closed_charge c ON c.billing_source = :billing_source AND c.charge_id = s.charge_id
    WHERE s.row_no > 0
"""

_IN_FLIGHT: Final = """
    {insert}) SELECT row_no, 'in_flight', CASE strength WHEN 0 THEN 'awaiting' ELSE 'unknown' END
    FROM staged_last WHERE strength IN (0, 1)
"""

_ENDED: Final = """
    {insert}) SELECT p.row_no, CASE WHEN p.same = 1 THEN 'settled' ELSE 'quarantine' END,
           CASE WHEN p.same = 0 THEN 'row:changed_after_settled' WHEN p.action = 'never' THEN 'never_again'
                ELSE p.action END
    FROM staged_plan p WHERE p.action IN ('exhausted', 'mandate_ended') OR (p.action = 'never' AND p.other_token = 0)
"""

_INVALID: Final = """
    {insert}) SELECT row_no, 'quarantine', 'invalid' FROM staged_charge WHERE reasons IS NOT NULL
"""

_NOT_RELEASED: Final = """
    {insert}) SELECT s.row_no, 'quarantine', 'row:awaiting_release'
    FROM staged_charge s JOIN quarantine q ON q.billing_source = :billing_source AND q.charge_id = s.charge_id
    WHERE q.state = 'open'
"""
# Only where the profile wants a person to release what was quarantined, mended or not.

_HELD: Final = """
    {insert}) SELECT s.row_no, 'held', h.scope || '_hold' FROM staged_charge s JOIN hold h
        ON h.billing_source = :billing_source AND h.released_at IS NULL
       AND ((h.scope = 'charge' AND h.subject = s.charge_id) OR (h.scope = 'customer' AND h.subject = s.customer_id)
            OR (h.scope = 'profile' AND h.subject = :profile))
    WHERE s.row_no > 0
"""

_BILLED_BY_DOKU: Final = f"""
    {{insert}}) SELECT s.row_no, 'held', 'billed_by_doku'
    FROM staged_charge s CROSS JOIN bill d
    WHERE d.billing_source = :billing_source AND d.billing_number = s.billing_number
      AND {DOKU_MAY_CHARGE.strip()}
"""  # noqa: S608 - no value of anybody's is put in
# A batch would charge the customer a second time.

_CHARGE_OF_A_BILL: Final = """
    {insert}) SELECT s.row_no, 'held', 'charge_of_a_bill'
    FROM staged_charge s CROSS JOIN bill_charge c
    WHERE c.billing_source = :billing_source AND c.charge_id = s.charge_id
"""
# One charge id is charged in one way for ever: by DOKU, whether it was paid or not and whatever became of the bill.

_LATE: Final = """
    {insert}) SELECT row_no, 'held', 'late' FROM staged_charge WHERE late
"""

_MERCHANT_KNOWS_MORE: Final = """
    {insert}) SELECT s.row_no, 'held', 'attempt_no_ahead' FROM staged_charge s
    LEFT JOIN staged_last l ON l.row_no = s.row_no
    WHERE s.attempt_no > 1 AND s.attempt_no > coalesce(l.attempt_no, 0) + 1
"""

_GIVEN_NO_MORE: Final = """
    {insert}) SELECT s.row_no, 'held', 'token_lost'
    FROM staged_charge s CROSS JOIN customer_token t
    WHERE t.state = 'lost' AND t.token_fingerprint = s.fingerprint AND t.billing_source = :billing_source
      AND NOT EXISTS (
        SELECT 1 FROM customer_token n WHERE n.billing_source = t.billing_source AND n.profile = :profile
           AND n.customer_id = t.customer_id AND n.token_fingerprint = t.token_fingerprint AND n.state = 'active')
"""
# DOKU does not give it any more: another try can only fail. It goes on with a newer token. What another profile was
# told counts as well, unless this one was told otherwise.

_ALL_LOST: Final = """
    {insert}) SELECT s.row_no, 'held', 'token_lost'
    FROM staged_charge s CROSS JOIN token_question q
    WHERE s.reasons = 'token:missing' AND q.billing_source = :billing_source AND q.profile = :profile
      AND q.choice = 'none'
      AND q.customer_id IN (s.customer_id, coalesce(s.billing_number, s.customer_id)) AND EXISTS (
        SELECT 1 FROM customer_token t WHERE t.billing_source = q.billing_source AND t.profile = q.profile
           AND t.customer_id = q.customer_id AND t.state = 'lost')
"""
# The same, where the view shows no token because DOKU gives none any more.

_NOT_CHOSEN: Final = """
    {insert}) SELECT s.row_no, 'quarantine', 'token:' || q.choice
    FROM staged_charge s CROSS JOIN token_question q
    WHERE s.token IS NULL AND s.reasons IS NOT NULL AND q.billing_source = :billing_source AND q.profile = :profile
      AND q.customer_id IN (s.customer_id, coalesce(s.billing_number, s.customer_id))
      AND q.choice IN ('ambiguous', 'unfit')
"""
# The view shows no token because the profile's rule chose none: why is said beside what is wrong.

_STOPPED: Final = """
    {insert}) SELECT s.row_no, 'held', 'instrument_stopped'
    FROM staged_charge s CROSS JOIN stopped_instrument i WHERE i.token_fingerprint = s.fingerprint
"""
# Also for charges that were never tried: a network said never again of this card, whoever asks.

_REVOKED: Final = """
    {insert}) SELECT s.row_no, 'held', 'mandate_ended'
    FROM staged_charge s CROSS JOIN ended_mandate m WHERE m.billing_source = :billing_source
        AND m.customer_id = s.customer_id AND m.billing_number = coalesce(s.billing_number, '')
"""

_ALL_TRIED: Final = """
    {insert}) SELECT l.row_no, 'held', 'retry.max_per_charge'
    FROM staged_last l JOIN staged_charge s ON s.row_no = l.row_no
    WHERE l.strength = 3 AND s.attempt_no = l.attempt_no + 1 AND l.tries >= :max_per_charge
"""
# The merchant's view asks for one more; what is planned was counted when it was.

_NOT_TODAY: Final = """
    {insert}) SELECT l.row_no, 'deferred', 'not_today'
    FROM staged_last l JOIN staged_charge s ON s.row_no = l.row_no LEFT JOIN staged_plan p ON p.row_no = l.row_no
    WHERE l.strength IN (2, 3) AND (l.strength = 2 OR s.attempt_no = l.attempt_no + 1)
      AND l.declined = 1 AND (:day_allowed = 0 OR (l.strength = 2 AND p.pay_day AND :pay_day = 0))
"""
# A charge that was declined before goes out on no other days because a try of it was withdrawn or the view asks.

_PLANNED: Final = """
    {insert}, attempt_no, previous_invoice_number, previous_status)
    SELECT l.row_no, 'claim',
           CASE p.action WHEN 'retry' THEN 'planned' WHEN 'withdrawn' THEN 'listed_again'
                WHEN 'never' THEN 'new_instrument' ELSE 'after_change' END,
           l.attempt_no + 1, l.invoice_number, 'declined'
    FROM staged_last l JOIN staged_plan p ON p.invoice_number = l.invoice_number AND p.row_no = l.row_no
    JOIN staged_charge s ON s.row_no = l.row_no
    WHERE l.strength = 3 AND l.attempt_no < 99 AND :day_allowed = 1 AND coalesce(s.attempt_no, 0) <= l.attempt_no
      AND ((p.action IN ('retry', 'withdrawn') AND p.planned_on <= :execute_date AND (NOT p.pay_day OR :pay_day = 1))
           OR (p.action = 'after_change' AND (p.same = 0 OR p.other_token = 1 OR p.recovered = 1))
           OR p.action = 'never')
"""
# Those of action `never` that come so far have another token. After a recovered attempt the token may be another one.

_WAITING: Final = """
    {insert}) SELECT p.row_no, CASE WHEN p.action IN ('after_change', 'merchant_setup') THEN 'held' ELSE 'deferred' END,
           CASE p.action WHEN 'after_change' THEN p.action WHEN 'merchant_setup' THEN p.action
                WHEN 'never' THEN 'not_today' ELSE 'planned' END
    FROM staged_last l JOIN staged_plan p ON p.invoice_number = l.invoice_number AND p.row_no = l.row_no
    JOIN staged_charge s ON s.row_no = l.row_no
    WHERE l.strength = 3 AND p.action IN ('retry', 'withdrawn', 'after_change', 'merchant_setup', 'never')
      AND coalesce(s.attempt_no, 0) <= l.attempt_no
"""

_AGAIN: Final = """
    {insert}, attempt_no, previous_invoice_number, previous_status)
    SELECT l.row_no, 'claim', CASE l.strength WHEN 2 THEN 'after_withdrawal' ELSE 'merchant_asked' END,
           l.attempt_no + 1, l.invoice_number, CASE l.strength WHEN 2 THEN 'withdrawn' ELSE 'declined' END
    FROM staged_last l JOIN staged_charge s ON s.row_no = l.row_no
    WHERE l.attempt_no < 99 AND (l.strength = 2 OR (l.strength = 3 AND s.attempt_no = l.attempt_no + 1))
"""

_DECLINED: Final = """
    {insert}) SELECT row_no, 'deferred', 'declined' FROM staged_last WHERE strength IN (2, 3)
"""

_NOT_SENDING: Final = """
    INSERT INTO staged_fate (row_no, fate, reason)
    SELECT s.row_no, 'held', :reason FROM staged_charge s
    WHERE NOT EXISTS (SELECT 1 FROM staged_fate f WHERE f.row_no = s.row_no)
"""

_EARLIER: Final = """
    DELETE FROM staged_fate WHERE fate = 'claim'
       AND row_no IN (SELECT row_no FROM staged_charge WHERE due_date <= :until)
"""


@dataclass(frozen=True)
class Terms:
    """Whose charges are looked at, and by which terms.

    Attributes:
        release_by_person: A quarantined charge stays out until a person releases it, even if it passes every check.
        execute_date: What is claimed is charged on that day.
        again: What may be tried again.
    """

    billing_source: str
    profile: str
    release_by_person: bool
    execute_date: date
    again: ClaimTerms


def decide_fates(connection: Connection, terms: Terms) -> None:
    """Fill `staged_fate` from `staged_charge` and the ledger; with the ledger's claims locked by the caller."""
    subject = {"billing_source": terms.billing_source, "profile": terms.profile}
    values = {
        **subject,
        "execute_date": terms.execute_date,
        "day_allowed": int(terms.again.day_allowed),
        "pay_day": int(terms.again.pay_day),
        "max_per_charge": terms.again.max_per_charge,
    }
    with rows_alike(connection, "charge_id") as key:
        connection.execute(text(dedent(_SEVERAL).format(key=key)))
    analyse(connection, "staged_several", "row_no", "charge_id")
    _run(connection, _REPEATED)
    connection.execute(text(dedent(_SEVERAL_TOKENS)))
    connection.execute(text(dedent(_HISTORY)), {"billing_source": terms.billing_source})
    complete_recovered(connection)
    for statement in (_LAST, _PLAN):
        connection.execute(text(dedent(statement)))
    release = (_NOT_RELEASED,) if terms.release_by_person else ()
    by_plan = (_NOT_TODAY, _PLANNED, _WAITING) if terms.again.enabled else ()
    rules = (
        _SETTLED, _CLOSED, _IN_FLIGHT, _ENDED, _ALL_LOST, _NOT_CHOSEN, _INVALID, *release, _HELD, _BILLED_BY_DOKU,
        _CHARGE_OF_A_BILL, _LATE, _MERCHANT_KNOWS_MORE, _GIVEN_NO_MORE, _STOPPED, _REVOKED, _ALL_TRIED, *by_plan,
        _AGAIN, _DECLINED,
    )  # fmt: skip
    for statement in rules:
        _run(connection, statement, {name: value for name, value in values.items() if f":{name}" in statement})
    for name in ("staged_plan", "staged_last", "staged_history", "staged_several"):
        connection.execute(text(f"DROP TABLE {name}"))


def hold_the_rest(connection: Connection, reason: str) -> None:
    """Nothing goes out: what would have become an attempt is held, for that reason."""
    connection.execute(text("DELETE FROM staged_fate WHERE fate = 'claim'"))
    connection.execute(text(dedent(_NOT_SENDING)), {"reason": reason})


def hold_earlier(connection: Connection, until: date) -> None:
    """What would become an attempt and was due by then is held: an earlier date of the same backfill sends it.

    So each charge goes out once, for the first date that lists it, in whichever order the dates run.
    """
    statements = (_EARLIER, f"{_NOT_SENDING} AND s.due_date <= :until")
    for statement, names in zip(statements, ({}, {"reason": "earlier_date"}), strict=True):
        bound = text(dedent(statement)).bindparams(bindparam("until", value=until, type_=Date))
        connection.execute(bound, names)


def _run(connection: Connection, statement: str, parameters: dict[str, object] | None = None) -> None:
    given = dict(parameters or {})
    sql = text(f"{dedent(statement).format(insert=_INSERT).strip()} ON CONFLICT (row_no) DO NOTHING")
    if "execute_date" in given:
        sql = sql.bindparams(bindparam("execute_date", value=given.pop("execute_date"), type_=Date))
    connection.execute(sql, given)
