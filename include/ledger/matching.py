"""Matching: the staged lines of one report against the attempts, set-based, in one transaction.

A line ties by its invoice number and by nothing else. Each line ends in one class; lines that speak of an attempt give
it an outcome; what does not tie opens a break (`include.ledger.breaks`). What an attempt ends as, and which breaks
there are, depends on which lines there are and not on the order or the files in which they came.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from textwrap import dedent
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, TextClause, bindparam, text
from sqlalchemy.exc import IntegrityError

from include.domain.errors import NotAllowed
from include.ledger.breaks import judge_attempts, judge_lines, resolve_read_again
from include.ledger.growth import note_growth
from include.ledger.store import lock
from include.ledger.tables import outcome, report_line
from include.ledger.types import UtcDateTime
from include.ledger.work_tables import analyse, looked_up

_TIED: Final = """
    CREATE TEMPORARY TABLE staged_tied AS
    SELECT l.line_no, a.batch_id, a.profile, a.amount, a.currency
    FROM staged_line l JOIN attempt a ON a.invoice_number = l.invoice_number
"""
_SPEAKS_OF: Final = """
    INSERT INTO report_batch (report_id, batch_id)
    SELECT DISTINCT CAST(:report_id AS BIGINT), t.batch_id FROM staged_tied t WHERE true ON CONFLICT DO NOTHING
"""
_OTHERS: Final = """
    SELECT 1 FROM report_batch o JOIN report_batch m ON m.batch_id = o.batch_id
    WHERE m.report_id = :report_id AND o.report_id <> :report_id LIMIT 1
"""
_SPOKEN_OF: Final = """
    SELECT DISTINCT batch_id FROM staged_tied
    UNION SELECT batch_id FROM batch WHERE profile = :profile AND file_name = :batch_name
"""

_AGAIN: Final = """
    CREATE TEMPORARY TABLE staged_again AS
    SELECT l.line_no,
           row_number() OVER (PARTITION BY l.invoice_number, l.status, l.response_code, coalesce(l.amount, -1),
                              coalesce(l.currency, ''), coalesce(l.approval_code, '') ORDER BY l.line_no) AS nth,
           row_number() OVER (PARTITION BY l.invoice_number, l.status ORDER BY l.response_code,
                              coalesce(l.approval_code, ''), coalesce(l.amount, -1), l.line_no) AS speaks
    FROM staged_line l
    JOIN (SELECT invoice_number FROM staged_line GROUP BY invoice_number HAVING count(*) > 1) d
      ON d.invoice_number = l.invoice_number
"""
# Lines whose invoice number stands in the file more than once: the how-manieth of its wording a line is, and which of
# those with one status speaks for them. Almost always empty.

_CLASSIFY: Final = """
    INSERT INTO report_line (report_id, line_no, invoice_number, amount, currency, response_code, response_message,
        approval_code, masked_card, bank, channel, network, advice_code, status, line_class)
    SELECT :report_id, l.line_no, l.invoice_number, l.amount, l.currency, l.response_code, l.response_message,
        l.approval_code, l.masked_card, l.bank, l.channel, l.network, l.advice_code, l.status, {line_class}
{lines}
    ORDER BY l.invoice_number
"""

_CLASS: Final = """
        CASE WHEN a.line_no IS NULL OR b.state IN ('claimed', 'sealed', 'delivering') THEN 'unexpected'
             WHEN a.profile <> :profile THEN 'other_profile'
             WHEN g.nth > 1 OR k.line_no IS NOT NULL THEN 'repeat'
             WHEN (l.amount <> a.amount OR l.currency <> a.currency) AND l.response_code NOT IN :partial
                  THEN 'amount_differs'
             ELSE 'answer' END
"""

_GIVE: Final = """
    INSERT INTO outcome (invoice_number, status, response_code, response_message, approval_code, masked_card, bank,
        amount, decided_at, witness, report_id, report_line_no)
    SELECT l.invoice_number, l.status, l.response_code, l.response_message, l.approval_code, l.masked_card, l.bank,
        l.amount, :at, 'report', l.report_id, l.line_no
    FROM report_line l LEFT JOIN staged_again g ON g.line_no = l.line_no
    WHERE l.report_id = :report_id AND l.line_class IN ('answer', 'amount_differs') AND coalesce(g.speaks, 1) = 1
    ORDER BY l.invoice_number
"""
_UNLESS_ANOTHER_SPEAKS: Final = """
    ON CONFLICT (invoice_number, status) DO UPDATE SET
        response_code = excluded.response_code, response_message = excluded.response_message,
        approval_code = excluded.approval_code, masked_card = excluded.masked_card, bank = excluded.bank,
        amount = excluded.amount, report_id = excluded.report_id, report_line_no = excluded.report_line_no
    WHERE outcome.witness = 'report'
      AND (excluded.response_code, coalesce(excluded.approval_code, ''), coalesce(excluded.amount, -1))
        < (outcome.response_code, coalesce(outcome.approval_code, ''), coalesce(outcome.amount, -1))
"""
# Of several lines of one status the first by its words speaks for them, whichever came first.

_LINES: Final = """
    FROM staged_line l
    LEFT JOIN staged_tied a ON a.line_no = l.line_no
    LEFT JOIN batch b ON b.batch_id = a.batch_id
    LEFT JOIN staged_again g ON g.line_no = l.line_no
    LEFT JOIN staged_said k ON k.line_no = l.line_no
"""

_SAID: Final = "CREATE TEMPORARY TABLE staged_said (line_no INTEGER PRIMARY KEY)"
_SAID_BEFORE: Final = """
    INSERT INTO staged_said
    SELECT DISTINCT l.line_no FROM staged_line l
    JOIN report_line k ON k.invoice_number = l.invoice_number AND k.report_id <> :report_id
      AND k.line_class IN ('answer', 'amount_differs') AND k.status = l.status
      AND k.response_code = l.response_code AND coalesce(k.amount, -1) = coalesce(l.amount, -1)
      AND coalesce(k.currency, '') = coalesce(l.currency, '')
      AND coalesce(k.approval_code, '') = coalesce(l.approval_code, '')
"""
# Lines that another report has in the same words.

_ANEW: Final = """
    CREATE TEMPORARY TABLE staged_anew AS
    SELECT l.line_no, l.status, {line_class} AS line_class
{lines}
"""

_CHANGED: Final = """
    SELECT CASE WHEN r.status <> n.status THEN r.status || ' to ' || n.status
                ELSE r.line_class || ' to ' || n.line_class END AS words,
           min(CASE WHEN r.status <> 'unknown' AND r.status <> n.status
                     AND r.line_class IN ('answer', 'amount_differs') THEN r.response_code END) AS decided,
           count(*) AS lines
    FROM report_line r JOIN staged_anew n ON n.line_no = r.line_no
    WHERE r.report_id = :report_id AND (r.status <> n.status OR r.line_class <> n.line_class)
    GROUP BY 1
"""

_READ_AGAIN: Final = """
    UPDATE report_line SET
        status = (SELECT n.status FROM staged_anew n WHERE n.line_no = report_line.line_no),
        line_class = (SELECT n.line_class FROM staged_anew n WHERE n.line_no = report_line.line_no)
    WHERE report_id = :report_id AND line_no IN (
        SELECT n.line_no FROM staged_anew n JOIN report_line r ON r.report_id = :report_id AND r.line_no = n.line_no
        WHERE r.status <> n.status OR r.line_class <> n.line_class)
"""

_CLASSES: Final = (
    "SELECT line_class, count(*) AS lines FROM report_line WHERE report_id = :report_id GROUP BY line_class"
)

NO_CODE: Final = ("",)
"""Stands for an empty list of codes: no line has this one."""


@dataclass(frozen=True)
class Matched:
    """What matching a report came to: how many lines in each class."""

    classes: dict[str, int]

    @property
    def ours(self) -> int:
        """Lines that speak of an attempt of this profile."""
        return sum(count for name, count in self.classes.items() if name not in ("unexpected", "other_profile"))


@dataclass(frozen=True)
class SpecialCodes:
    """Codes (in four characters) that are a break of their own: a partial approval; one that nobody listed."""

    partial: Collection[str] = ()
    unlisted: Collection[str] = ()


def tie(connection: Connection) -> None:
    """Find the attempts that the lines of `staged_line` speak of, into `staged_tied`."""
    analyse(connection, "staged_line", "invoice_number")
    with looked_up(connection):
        connection.execute(text(dedent(_TIED)))
    analyse(connection, "staged_tied", "line_no")


def lock_answered(connection: Connection, profile: str, batch_name: str | None) -> None:
    """Let one report at a time speak of a batch; reports on different batches are matched side by side.

    Everything else that witnesses something of the profile's attempts locks all of it (`lock_matching`).

    Args:
        connection: In a writing transaction, behind `tie`.
        profile: Whose report it is.
        batch_name: The batch file that the report says it answers, if it says so.
    """
    lock(connection, _lock_of(profile), shared=True)
    spoken_of = connection.scalars(text(dedent(_SPOKEN_OF)), {"profile": profile, "batch_name": batch_name}).all()
    for batch_id in sorted(spoken_of):
        lock(connection, f"answered:{batch_id}")


def lock_matching(connection: Connection, profile: str) -> None:
    """Let nobody else witness anything of a profile's attempts, until the transaction ends."""
    lock(connection, _lock_of(profile))


def _lock_of(profile: str) -> str:
    return f"match:{profile}"


def match(connection: Connection, *, report_id: int, profile: str, codes: SpecialCodes, at: datetime) -> Matched:
    """Class every line of `staged_line`, give outcomes, open breaks.

    Args:
        connection: In a writing transaction of a workspace, behind `tie` and `lock_answered`.
        report_id: Whose lines they are.
        profile: Whose report it is.
        codes: Those of its codes that are a break of their own.
        at: Now.
    """
    key = {"report_id": report_id}
    alone = _compare(connection, report_id)
    connection.execute(classified(_CLASSIFY, codes), {**key, "profile": profile})
    give_outcomes(connection, report_id, at)
    _drop(connection, "staged_tied", "staged_again", "staged_said")
    return Matched(_judge(connection, report_id, profile, codes, at, one_line_each=alone))


def note_matched(connection: Connection, matched: Matched) -> None:
    """Let the planner see what a report added; after it is committed, for until then others would wait."""
    count = sum(matched.classes.values())
    note_growth(connection, report_line, count, "report_id", "invoice_number", "line_class", "status")
    note_growth(connection, outcome, count, "invoice_number", "status", "witness", "report_id")


def match_again(
    connection: Connection, *, report_id: int, profile: str, codes: SpecialCodes, at: datetime
) -> dict[str, int]:
    """Match the staged lines of a report that was taken in before; how many lines changed, by what they changed to.

    Raises:
        NotAllowed: A line that decided an attempt would decide it otherwise.
    """
    key = {"report_id": report_id}
    tie(connection)
    _compare(connection, report_id)
    connection.execute(classified(_ANEW, codes), {**key, "profile": profile})
    rows = connection.execute(text(dedent(_CHANGED)), key).all()
    otherwise = sorted({row.decided for row in rows if row.decided is not None})
    if otherwise:
        raise NotAllowed(
            f"Lines with code {', '.join(otherwise)} decided attempts, and would decide them otherwise now. What was "
            "witnessed is never taken back: nothing was changed. Settle those attempts with evidence."
        )
    connection.execute(text(dedent(_READ_AGAIN)), key)
    give_outcomes(connection, report_id, at)
    _drop(connection, "staged_anew", "staged_tied", "staged_again", "staged_said")
    _judge(connection, report_id, profile, codes, at)
    resolve_read_again(connection, profile, report_id, at)
    return {row.words: int(row.lines) for row in rows}


def _compare(connection: Connection, report_id: int) -> bool:
    """Find the lines that say something once more: in their own file, or after another report on the same batches.

    Returns:
        Whether no attempt has more than one line, here and elsewhere. On most days a batch has one report.
    """
    key = {"report_id": report_id}
    connection.execute(text(dedent(_SPEAKS_OF)), key)
    connection.execute(text(dedent(_AGAIN)))
    connection.execute(text(_SAID))
    if connection.execute(text(dedent(_OTHERS)), key).first() is not None:
        connection.execute(text(dedent(_SAID_BEFORE)), key)
        analyse(connection, "staged_said")
        return False
    return connection.execute(text("SELECT 1 FROM staged_again")).first() is None


def _judge(
    connection: Connection,
    report_id: int,
    profile: str,
    codes: SpecialCodes,
    at: datetime,
    *,
    one_line_each: bool = False,
) -> dict[str, int]:
    """Open the breaks that the lines of a report are; how many lines there are of each class."""
    found = connection.execute(text(_CLASSES), {"report_id": report_id})
    classes = {row.line_class: int(row.lines) for row in found}
    judge_lines(
        connection, report_id=report_id, profile=profile, classes=classes, partial=codes.partial,
        unlisted=codes.unlisted, at=at,
    )  # fmt: skip
    connection.execute(text("CREATE TEMPORARY TABLE judged AS SELECT DISTINCT invoice_number FROM staged_line"))
    judge_attempts(connection, profile, at, one_line_each=one_line_each)
    return classes


def classified(statement: str, codes: SpecialCodes) -> TextClause:
    """A statement about staged lines `l`, with where they are from and what class each is put in."""
    partial: BindParameter[Any] = bindparam("partial", value=tuple(codes.partial) or NO_CODE, expanding=True)
    return text(dedent(statement).format(line_class=_CLASS.strip(), lines=_LINES.strip())).bindparams(partial)


def give_outcomes(connection: Connection, report_id: int, at: datetime) -> None:
    """Give the attempts of a report's lines their outcomes; with `staged_again` of it at hand."""
    moment, key = bindparam("at", value=at, type_=UtcDateTime), {"report_id": report_id}
    if connection.dialect.name == "postgresql":  # to be ready for an outcome that is there costs as much as the rest
        try:
            with connection.begin_nested():
                connection.execute(text(dedent(_GIVE)).bindparams(moment), key)
        except IntegrityError:  # another line has given one of these outcomes before
            pass
        else:
            return
    connection.execute(text(dedent(_GIVE + _UNLESS_ANOTHER_SPEAKS)).bindparams(moment), key)


def _drop(connection: Connection, *tables: str) -> None:
    for table in tables:
        connection.execute(text(f"DROP TABLE {table}"))
