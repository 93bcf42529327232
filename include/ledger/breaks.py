"""Breaks: what reconciliation could not tie, found set-based and kept once for each matter.

Every break is a function of what there is (lines, other witnesses, attempts), never of the order in which it came. What
was missing may still come: then the rule that opened a break resolves it, with the same end as if it had come before.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import BigInteger, BindParameter, Connection, String, bindparam, text

from include.ledger.store import lock
from include.ledger.types import UtcDateTime
from include.ledger.work_tables import analyse

RULE: Final = "rule"
"""Who resolved a break, where no person did."""

_OPEN: Final = """
    INSERT INTO recon_break (profile, kind, subject, invoice_number, amount, details, state, opened_at)
"""

# Whoever resolved it has not seen what is said now.
_OPEN_AGAIN: Final = """
    ON CONFLICT (profile, kind, subject) DO UPDATE SET
        invoice_number = excluded.invoice_number, amount = excluded.amount, details = excluded.details,
        state = 'open', explained_by = NULL, explained_at = NULL, explanation = NULL,
        closed_by = NULL, closed_at = NULL, closed_reason = NULL, booked = NULL
"""

# A line that ties to nothing, or to another profile's attempt. An attempt that has not left was never sent.
# In an order, here and for codes: reports are matched side by side, and may speak of the same strangers.
_UNTIED: Final = """
    SELECT :profile, l.line_class,
        l.invoice_number || ':' || l.status || ':' || l.response_code || ':'
            || coalesce(CAST(l.amount AS VARCHAR(20)), ''),
        l.invoice_number, coalesce(l.amount, 0),
        min(CASE l.line_class WHEN 'other_profile' THEN 'the attempt was sent by profile ' || a.profile
            ELSE 'no attempt with this invoice number was sent' END || '; the line says ' || l.status || ' '
            || l.response_code),
        'open', :at
    FROM report_line l LEFT JOIN attempt a ON a.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.line_class IN ('other_profile', 'unexpected')
    GROUP BY l.line_class, l.invoice_number, l.status, l.response_code, l.amount ORDER BY 2, 3
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

_AMOUNT: Final = """
    SELECT :profile, 'amount_differs',
        l.invoice_number || ':' || coalesce(CAST(l.amount AS VARCHAR(20)), '') || ':' || coalesce(l.currency, ''),
        l.invoice_number, coalesce(l.amount, 0) - a.amount,
        'sent ' || CAST(a.amount AS VARCHAR(20)) || ' ' || a.currency || ', reported '
            || coalesce(CAST(l.amount AS VARCHAR(20)), 'nothing') || ' ' || coalesce(l.currency, ''),
        'open', :at
    FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.line_class = 'amount_differs' AND l.status <> 'reversed'
    GROUP BY l.invoice_number, l.amount, l.currency, a.amount, a.currency
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

# The same by another witness; the same words, so that it is one break whoever says it first.
_AMOUNT_SAID: Final = """
    SELECT :profile, 'amount_differs',
        a.invoice_number || ':' || CAST(:amount AS VARCHAR(20)) || ':' || :currency,
        a.invoice_number, :amount - a.amount,
        'sent ' || CAST(a.amount AS VARCHAR(20)) || ' ' || a.currency || ', reported ' || CAST(:amount AS VARCHAR(20))
            || ' ' || :currency,
        'open', :at
    FROM attempt a
    WHERE a.invoice_number = :invoice_number AND (a.amount <> :amount OR a.currency <> :currency)
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

# Books know a payment as given back or not; how much of it was kept is said here.
_REFUND: Final = """
    SELECT :profile, 'partial_refund',
        l.invoice_number || ':' || coalesce(CAST(l.amount AS VARCHAR(20)), '') || ':' || coalesce(l.currency, ''),
        l.invoice_number, a.amount - coalesce(l.amount, 0),
        'sent ' || CAST(a.amount AS VARCHAR(20)) || ' ' || a.currency || ', given back '
            || coalesce(CAST(l.amount AS VARCHAR(20)), 'nothing') || ' ' || coalesce(l.currency, '')
            || ': the rest was kept',
        'open', :at
    FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.line_class = 'amount_differs' AND l.status = 'reversed'
    GROUP BY l.invoice_number, l.amount, l.currency, a.amount, a.currency
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

_PARTIAL: Final = """
    SELECT :profile, 'partial_approval',
        l.invoice_number || ':' || coalesce(CAST(l.amount AS VARCHAR(20)), ''),
        l.invoice_number, coalesce(l.amount, 0) - a.amount,
        'a part was approved: sent ' || CAST(a.amount AS VARCHAR(20)) || ' ' || a.currency || ', reported '
            || coalesce(CAST(l.amount AS VARCHAR(20)), 'nothing'),
        'open', :at
    FROM report_line l JOIN attempt a ON a.invoice_number = l.invoice_number
    WHERE l.report_id = :report_id AND l.line_class = 'answer' AND l.response_code IN :codes
    GROUP BY l.invoice_number, l.amount, a.amount, a.currency
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

_UNLISTED: Final = f"""
    SELECT :profile, 'unlisted_code', l.response_code, CAST(NULL AS VARCHAR(64)), 0,
        'code ' || l.response_code || ' is not in codes.toml: what it means is unknown, and so are the attempts that '
            || 'have it', 'open', :at
    FROM report_line l
    WHERE l.report_id = :report_id AND l.line_class <> 'other_profile' AND l.response_code IN :codes
    GROUP BY l.response_code ORDER BY l.response_code
    {_OPEN_AGAIN.strip()}
    WHERE recon_break.state = 'resolved' AND EXISTS (
        SELECT 1 FROM report_line w
        WHERE w.report_id = :report_id AND w.response_code = excluded.subject AND w.status = 'unknown'
          AND w.line_class IN ('answer', 'amount_differs')
          AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = w.invoice_number AND o.status <> 'unknown'))
"""  # noqa: S608 - no value of anybody's is put in

# Lines of different words that decide one attempt. A reversal contradicts nothing but a decline.
_CONFLICT: Final = """
    WITH contradicted AS (
        SELECT l.invoice_number FROM judged j JOIN report_line l ON l.invoice_number = j.invoice_number
        WHERE l.line_class IN ('answer', 'amount_differs') AND l.status <> 'unknown'
        GROUP BY l.invoice_number
        HAVING sum(CASE WHEN l.status IN ('paid', 'declined') THEN 1 ELSE 0 END) > 1
            OR min(l.status) = 'declined' AND max(l.status) = 'reversed'
    )
    SELECT :profile, 'conflict', s.invoice_number, s.invoice_number, max(s.amount), {listed}, 'open', :at
    FROM (
        SELECT l.invoice_number, a.amount,
               l.status || ' ' || l.response_code || coalesce(' approval ' || l.approval_code, '')
                   || coalesce(' of ' || CAST(l.amount AS VARCHAR(20)), '') AS words
        FROM contradicted c
        JOIN report_line l ON l.invoice_number = c.invoice_number
        JOIN attempt a ON a.invoice_number = l.invoice_number
        WHERE a.profile = :profile AND l.line_class IN ('answer', 'amount_differs') AND l.status <> 'unknown'
        ORDER BY 3
    ) s GROUP BY s.invoice_number
    {again}
"""

# Attempts of which somebody else than a report has said something.
_SPOKEN: Final = """
    CREATE TEMPORARY TABLE spoken AS
    SELECT j.invoice_number FROM judged j JOIN testimony t ON t.invoice_number = j.invoice_number
    UNION
    SELECT j.invoice_number FROM judged j JOIN outcome o ON o.invoice_number = j.invoice_number
    WHERE o.witness <> 'report'
"""

# What each witness says: the reports by their strongest line; others by their last word; deliveries by the outcome.
_SAID: Final = """
        SELECT o.invoice_number, 'report' AS witness, o.status
        FROM spoken j JOIN report_line l ON l.invoice_number = j.invoice_number
        JOIN outcome o ON o.invoice_number = l.invoice_number AND o.status = l.status
        WHERE l.line_class IN ('answer', 'amount_differs') AND l.status <> 'unknown'
          AND NOT EXISTS (SELECT 1 FROM report_line k JOIN outcome s
                          ON s.invoice_number = k.invoice_number AND s.status = k.status
                          WHERE k.invoice_number = l.invoice_number AND k.line_class IN ('answer', 'amount_differs')
                            AND s.strength > o.strength)
        UNION
        SELECT t.invoice_number, t.witness, t.status
        FROM spoken j JOIN testimony t ON t.invoice_number = j.invoice_number
        WHERE t.status <> 'unknown' AND NOT EXISTS (
            SELECT 1 FROM testimony n WHERE n.invoice_number = t.invoice_number AND n.witness = t.witness
              AND n.testimony_id > t.testimony_id)
        UNION
        SELECT o.invoice_number, o.witness, o.status
        FROM spoken j JOIN outcome o ON o.invoice_number = j.invoice_number
        WHERE o.witness <> 'report' AND o.status <> 'unknown' AND NOT EXISTS (
            SELECT 1 FROM testimony t WHERE t.invoice_number = o.invoice_number AND t.witness = o.witness)
"""

# Paid and reversed are no contradiction: what was reversed was paid.
_DISAGREE: Final = """
    SELECT :profile, 'witnesses_disagree', s.invoice_number, s.invoice_number, max(s.amount), {listed}, 'open', :at
    FROM (
        SELECT w.invoice_number, a.amount, w.witness || ' says ' || w.status AS words,
               CASE w.status WHEN 'reversed' THEN 'paid' ELSE w.status END AS side
        FROM ({said}) w JOIN attempt a ON a.invoice_number = w.invoice_number
        WHERE a.profile = :profile
        ORDER BY 3
    ) s GROUP BY s.invoice_number HAVING min(s.side) <> max(s.side)
    {again}
"""

_AGREE: Final = """
    UPDATE recon_break SET state = 'resolved', closed_by = 'rule', closed_at = :at,
        closed_reason = 'the witnesses agree now'
    WHERE profile = :profile AND kind = 'witnesses_disagree' AND state <> 'resolved'
      AND subject IN (SELECT invoice_number FROM spoken)
      AND subject NOT IN (
        SELECT s.invoice_number FROM (
            SELECT w.invoice_number, CASE w.status WHEN 'reversed' THEN 'paid' ELSE w.status END AS side FROM ({said}) w
        ) s GROUP BY s.invoice_number HAVING min(s.side) <> max(s.side))
"""

_AGAIN: Final = f"""
    {_OPEN_AGAIN.strip()}
    WHERE recon_break.details <> excluded.details
"""

_NEW_REPORTS: Final = """
    CREATE TEMPORARY TABLE staged_new AS
    SELECT report_id FROM report_file
    WHERE profile = :profile AND state IN ('ingested', 'written_back') AND judged_at IS NULL
"""
_JUDGED: Final = "UPDATE report_file SET judged_at = :at WHERE report_id IN (SELECT report_id FROM staged_new)"

# Charges of which this profile knows something new: said by a report that was not judged yet, or by somebody else; with
# an attempt that is not over; or with such a break already. Not every charge with several attempts there ever was. The
# number of the attempt is the end of the invoice number: most lines need not be looked up. Other attempts of the same
# charge may be another profile's, which hears nothing new of them: who knows something judges them all.
_TOUCHED: Final = """
    CREATE TEMPORARY TABLE staged_touched AS
    SELECT a.billing_source, a.charge_id
    FROM staged_new f JOIN report_line r ON r.report_id = f.report_id
    JOIN attempt a ON a.invoice_number = r.invoice_number
    WHERE substr(r.invoice_number, 19) <> '01'
    UNION
    SELECT x.billing_source, x.charge_id
    FROM staged_new f JOIN report_line r ON r.report_id = f.report_id
    JOIN attempt x ON x.previous_invoice_number = r.invoice_number
    UNION
    SELECT a.billing_source, a.charge_id FROM outcome o JOIN attempt a ON a.invoice_number = o.invoice_number
    WHERE o.witness <> 'report' AND o.status IN ('declined', 'paid', 'reversed') AND a.profile = :profile
    UNION
    SELECT a.billing_source, a.charge_id FROM batch b JOIN attempt a ON a.batch_id = b.batch_id
    WHERE b.profile = :profile AND b.state NOT IN ('reconciled', 'withdrawn') AND a.attempt_no > 1
    UNION
    SELECT a.billing_source, a.charge_id FROM recon_break k JOIN attempt a ON a.invoice_number = k.invoice_number
    WHERE k.profile = :profile AND k.kind IN ('paid_while_in_flight', 'collected_twice')
      AND (k.state <> 'resolved' OR k.closed_by = 'rule')
"""

_SOURCES: Final = "SELECT DISTINCT billing_source FROM staged_touched ORDER BY billing_source"

_LATER: Final = """
    SELECT l.profile, l.billing_source, l.charge_id, l.invoice_number, l.attempt_no, l.amount,
           coalesce((SELECT max(o.strength) FROM outcome o WHERE o.invoice_number = l.invoice_number), 0) AS strength,
           min(e.attempt_no) AS paid_no,
           CASE WHEN b.state IN ('claimed', 'sealed', 'delivering') THEN 0 ELSE 1 END AS gone
    FROM staged_touched t JOIN attempt l ON l.billing_source = t.billing_source AND l.charge_id = t.charge_id
    JOIN batch b ON b.batch_id = l.batch_id
    JOIN attempt e ON e.billing_source = l.billing_source AND e.charge_id = l.charge_id AND e.attempt_no < l.attempt_no
    JOIN outcome p ON p.invoice_number = e.invoice_number AND p.status IN ('paid', 'reversed')
    WHERE l.attempt_no > 1
    GROUP BY l.profile, l.billing_source, l.charge_id, l.invoice_number, l.attempt_no, l.amount, b.state
"""
# Attempts that were made although an earlier one of the charge is paid, as is known by now; those still here stay. A
# break is opened where it can be acted on: with the profile whose attempt it is.

_WHILE_IN_FLIGHT: Final = """
    SELECT profile, 'paid_while_in_flight', invoice_number, invoice_number, amount,
           'attempt ' || CAST(paid_no AS VARCHAR(3)) || ' of the charge is paid, and attempt '
               || CAST(attempt_no AS VARCHAR(3)) || ' was made before that was known', 'open', :at
    FROM staged_later WHERE strength <> 2 AND gone = 1
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

_NO_LONGER: Final = """
    UPDATE recon_break SET state = 'resolved', closed_by = 'rule', closed_at = :at, closed_reason = {reason}
    WHERE kind = 'paid_while_in_flight' AND (state <> 'resolved' OR closed_by = 'rule')
      AND (profile, subject) IN (SELECT s.profile, s.invoice_number FROM staged_later s WHERE s.strength > 1)
      AND coalesce(closed_reason, '') <> {reason}
"""
_REASON: Final = """
    (SELECT CASE s.strength WHEN 2 THEN 'the later attempt was withdrawn: nothing was collected twice'
            WHEN 3 THEN 'the later attempt was declined: nothing was collected twice'
            ELSE 'the later attempt was paid too: see collected_twice' END
     FROM staged_later s WHERE s.invoice_number = recon_break.subject)
"""

# What a profile collected too much is what it collected after the first payment, whoever made that.
_PAID_TWICE: Final = """
    CREATE TEMPORARY TABLE staged_twice AS
    SELECT l.profile, substr(l.invoice_number, 1, 18) AS stem, max(l.invoice_number) AS last_paid,
           sum(l.amount) AS too_much, c.times, c.first_no, c.last_no, c.kept
    FROM (SELECT a.billing_source, a.charge_id, count(*) AS times, min(a.attempt_no) AS first_no,
                 max(a.attempt_no) AS last_no, sum(CASE WHEN r.invoice_number IS NULL THEN 1 ELSE 0 END) AS kept
          FROM (SELECT DISTINCT billing_source, charge_id FROM staged_later WHERE strength > 3) f
          JOIN attempt a ON a.billing_source = f.billing_source AND a.charge_id = f.charge_id
          LEFT JOIN outcome r ON r.invoice_number = a.invoice_number AND r.status = 'reversed'
          WHERE EXISTS (SELECT 1 FROM outcome p WHERE p.invoice_number = a.invoice_number
                        AND p.status IN ('paid', 'reversed'))
          GROUP BY a.billing_source, a.charge_id) c
    JOIN staged_later l ON l.billing_source = c.billing_source AND l.charge_id = c.charge_id AND l.strength > 3
    GROUP BY l.profile, substr(l.invoice_number, 1, 18), c.times, c.first_no, c.last_no, c.kept
"""

_TWICE: Final = """
    SELECT profile, 'collected_twice', stem, last_paid, too_much,
           'paid by ' || CAST(times AS VARCHAR(3)) || ' attempts, the first number ' || CAST(first_no AS VARCHAR(3))
               || ', the last number ' || CAST(last_no AS VARCHAR(3)), 'open', :at
    FROM staged_twice WHERE true
    {again}
"""

_GIVEN_BACK: Final = """
    UPDATE recon_break SET state = 'resolved', closed_by = 'rule', closed_at = :at,
        closed_reason = 'all but one payment were given back'
    WHERE kind = 'collected_twice' AND state <> 'resolved'
      AND (profile, subject) IN (SELECT s.profile, s.stem FROM staged_twice s WHERE s.kept < 2)
"""

_COMPLETE: Final = """
    SELECT b.batch_id FROM batch b
    WHERE b.profile = :profile AND b.file_name = :batch_name AND :parts = (
        SELECT count(DISTINCT f.part) FROM report_file f
        WHERE f.profile = :profile AND f.batch_name = :batch_name AND f.parts = :parts
          AND f.state IN ('ingested', 'written_back'))
"""

_MISSING: Final = """
    SELECT a.profile, 'missing_line', a.invoice_number, a.invoice_number, a.amount,
           'the report on ' || :batch_name || ' says that it is complete, and has no line for this attempt', 'open', :at
    FROM attempt a
    WHERE a.batch_id = :batch_id
      AND NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number AND o.status = 'withdrawn'
                      AND o.witness = 'look_again')
      AND NOT EXISTS (
        SELECT 1 FROM report_line l JOIN report_file f ON f.report_id = l.report_id
        WHERE l.invoice_number = a.invoice_number AND f.profile = :profile AND f.batch_name = :batch_name
          AND f.parts = :parts)
    ON CONFLICT (profile, kind, subject) DO NOTHING
"""

_CAME: Final = """
    UPDATE recon_break SET state = 'resolved', closed_by = 'rule', closed_at = :at,
        closed_reason = 'the attempt has an outcome'
    WHERE profile = :profile AND kind = 'missing_line' AND state <> 'resolved'
      AND EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = recon_break.subject)
"""

# What tied to nothing ties now; a code that nobody had listed decides now, wherever it stands.
_TIES_NOW: Final = """
    UPDATE recon_break SET state = 'resolved', closed_by = 'rule', closed_at = :at,
        closed_reason = 'the line ties now'
    WHERE profile = :profile AND kind IN ('unexpected', 'other_profile') AND state <> 'resolved'
      AND invoice_number IN (SELECT l.invoice_number FROM report_line l WHERE l.report_id = :report_id)
      AND NOT EXISTS (SELECT 1 FROM report_line l WHERE l.invoice_number = recon_break.invoice_number
                      AND l.line_class = recon_break.kind)
"""
_LISTED_NOW: Final = """
    UPDATE recon_break SET state = 'resolved', closed_by = 'rule', closed_at = :at,
        closed_reason = 'the code is listed, and its reports were read again'
    WHERE profile = :profile AND kind = 'unlisted_code' AND state <> 'resolved'
      AND subject IN (
        SELECT l.response_code FROM report_line l WHERE l.report_id = :report_id AND l.status <> 'unknown')
      AND NOT EXISTS (SELECT 1 FROM report_line l JOIN report_file f ON f.report_id = l.report_id
                      WHERE f.profile = :profile AND l.response_code = recon_break.subject AND l.status = 'unknown'
                        AND l.line_class IN ('answer', 'amount_differs'))
"""


def judge_lines(
    connection: Connection,
    *,
    report_id: int,
    profile: str,
    classes: Collection[str],
    partial: Collection[str],
    unlisted: Collection[str],
    at: datetime,
) -> None:
    """Open the breaks that single lines of a report are.

    Untied, another amount, given back or approved in part, an unlisted code.

    Args:
        connection: In a writing transaction.
        report_id: Whose lines they are.
        profile: Whose report it is.
        classes: Those that there are among the lines: only what may be found is looked for.
        partial: Codes of a partial approval, those of the report at least.
        unlisted: Codes that nobody listed, those of the report at least.
        at: Now.
    """
    terms = {"report_id": report_id, "profile": profile}
    if "unexpected" in classes or "other_profile" in classes:
        _run(connection, _OPEN + _UNTIED, at, terms)
    if "amount_differs" in classes:
        for statement in (_AMOUNT, _REFUND):
            _run(connection, _OPEN + statement, at, terms)
    for statement, codes in ((_PARTIAL, partial), (_UNLISTED, unlisted)):
        if codes:
            listed: BindParameter[Any] = bindparam("codes", value=sorted(codes), expanding=True)
            moment = bindparam("at", value=at, type_=UtcDateTime)
            connection.execute(text(dedent(_OPEN + statement)).bindparams(listed, moment), terms)


def judge_amount(
    connection: Connection, profile: str, invoice_number: str, amount: int, currency: str, at: datetime
) -> None:
    """Open the break that a payment of another amount is, by the word of another witness than a report."""
    statement = text(dedent(_OPEN + _AMOUNT_SAID)).bindparams(
        bindparam("at", value=at, type_=UtcDateTime),
        bindparam("amount", value=amount, type_=BigInteger),
        bindparam("currency", value=currency, type_=String),
    )
    connection.execute(statement, {"profile": profile, "invoice_number": invoice_number})


def judge_attempts(connection: Connection, profile: str, at: datetime, *, one_line_each: bool = False) -> None:
    """Open, and resolve, the breaks that witnesses of one attempt are to one another.

    Args:
        connection: In a writing transaction with a temporary table `judged` of invoice numbers, which is dropped.
        profile: Whose attempts they are.
        at: Now.
        one_line_each: Whether it is known that none of them has two lines, which might contradict each other.
    """
    analyse(connection, "judged")
    listed = "string_agg" if connection.dialect.name == "postgresql" else "group_concat"
    forms = {"said": _SAID, "again": _AGAIN}
    order = " ORDER BY s.words" if listed == "string_agg" else ""  # SQLite keeps the subquery's order
    words = {"listed": f"{listed}(s.words, '; '{order})"}
    connection.execute(text(dedent(_SPOKEN)))
    analyse(connection, "spoken")
    by_lines = () if one_line_each else (_OPEN + _CONFLICT,)
    for statement in (*by_lines, _OPEN + _DISAGREE, _AGREE):
        _run(connection, statement.format(**forms, **words), at, {"profile": profile})
    for table in ("spoken", "judged"):
        connection.execute(text(f"DROP TABLE {table}"))


def judge_charges(connection: Connection, profile: str, at: datetime) -> None:
    """Open, and resolve, the breaks that several attempts of one charge are: paid, and another one was made.

    The attempts may be of several profiles that share a billing source: its charges are judged one profile at a time,
    so that each sees what the other opened, and none waits for what the other wrote.

    Args:
        connection: In a writing transaction, with matching of this profile locked by the caller.
        profile: Whose reports are judged, each once (`report_file.judged_at`).
        at: Now.
    """
    for statement, table in ((_NEW_REPORTS, "staged_new"), (_TOUCHED, "staged_touched")):
        connection.execute(text(dedent(statement)), {"profile": profile})
        analyse(connection, table)
    for billing_source in connection.scalars(text(_SOURCES)).all():
        lock(connection, f"judge:{billing_source}")
    connection.execute(text(dedent(f"CREATE TEMPORARY TABLE staged_later AS {_LATER}")))
    analyse(connection, "staged_later")
    connection.execute(text(dedent(_PAID_TWICE)))
    for statement in (
        _OPEN + _WHILE_IN_FLIGHT,
        _NO_LONGER.format(reason=_REASON),
        _OPEN + _TWICE.format(again=_AGAIN),
        _GIVEN_BACK,
    ):
        _run(connection, statement, at, {})
    _run(connection, _JUDGED, at, {})
    for table in ("staged_twice", "staged_later", "staged_touched", "staged_new"):
        connection.execute(text(f"DROP TABLE {table}"))


def judge_complete(connection: Connection, profile: str, batch_name: str, parts: int, at: datetime) -> None:
    """Open breaks for the attempts of a batch of which all parts of a report are there and none has a line."""
    terms = {"profile": profile, "batch_name": batch_name, "parts": parts}
    batch_id = connection.scalar(text(dedent(_COMPLETE)), terms)
    if batch_id is not None:
        _run(connection, _OPEN + _MISSING, at, {**terms, "batch_id": batch_id})


def resolve_missing(connection: Connection, profile: str, at: datetime) -> None:
    """A missing line that came, or an attempt that a person settled, is missing no longer."""
    _run(connection, _CAME, at, {"profile": profile})


def resolve_read_again(connection: Connection, profile: str, report_id: int, at: datetime) -> None:
    """What a report that was read again says differently by now is no break any more."""
    for statement in (_TIES_NOW, _LISTED_NOW):
        _run(connection, statement, at, {"profile": profile, "report_id": report_id})


def _run(connection: Connection, statement: str, at: datetime, terms: Mapping[str, object]) -> None:
    moment = bindparam("at", value=at, type_=UtcDateTime)
    connection.execute(text(dedent(statement)).bindparams(moment), terms)
