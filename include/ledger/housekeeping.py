"""What may be removed: only what is over and told, and about which nobody has a question. Digests always stay."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from textwrap import dedent
from typing import Final

from sqlalchemy import Column, ColumnElement, Connection, Table, TextClause, bindparam, func, select, text, true, update

from include.domain.states import BillState, NotificationState, TokenState
from include.ledger.bill_tables import bill, customer_token, registration_file
from include.ledger.inbox_tables import notification
from include.ledger.tables import attempt, batch, event, ledger, report_file, summary
from include.ledger.types import UtcDateTime

# A batch is over: all of its attempts are decided, the merchant knows, and no break about them waits for a person.
_OVER: Final = """
    b.profile = :profile AND coalesce(b.reconciled_at, b.withdrawal_written_at) < :before
    AND b.state IN ('reconciled', 'withdrawn')
    AND NOT EXISTS (
        SELECT 1 FROM attempt a WHERE a.batch_id = b.batch_id AND (
            NOT EXISTS (SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number AND o.strength > 1)
            OR EXISTS (SELECT 1 FROM recon_break k
                       WHERE k.invoice_number = a.invoice_number AND k.state <> 'resolved')))
"""

_BATCH_FILES: Final = f"""
    SELECT b.batch_id AS record, b.file_name AS name, b.artefact, b.envelope_digest AS digest FROM batch b
    WHERE {_OVER} AND b.artefact IS NOT NULL AND b.file_removed_at IS NULL ORDER BY b.batch_id
"""  # noqa: S608 - no value of anybody's is put in

# A report may answer several batches, and is kept as long as one of them is not over.
_REPORT_FILES: Final = """
    SELECT f.report_id AS record, f.file_name AS name, f.artefact, f.content_digest AS digest FROM report_file f
    WHERE f.profile = :profile AND f.file_removed_at IS NULL AND f.state IN ('written_back', 'refused')
      AND coalesce(f.written_back_at, f.fetched_at) < :before
      AND NOT EXISTS (
          SELECT 1 FROM report_line l WHERE l.report_id = f.report_id AND (
              EXISTS (SELECT 1 FROM recon_break k
                      WHERE k.invoice_number = l.invoice_number AND k.state <> 'resolved')
              OR EXISTS (SELECT 1 FROM attempt a WHERE a.invoice_number = l.invoice_number AND NOT EXISTS (
                      SELECT 1 FROM outcome o WHERE o.invoice_number = a.invoice_number AND o.strength > 1))))
    ORDER BY f.report_id
"""

# The subject of a break about a charge with a long id is its digest: any such break keeps the file of such a bill.
# Its delivery is over, no bill waits for an answer to it (DOKU was not asked again since), and no break speaks of one.
_REGISTRATION_FILES: Final = """
    SELECT f.file_id AS record, f.file_name AS name, f.artefact, f.envelope_digest AS digest FROM registration_file f
    WHERE f.profile = :profile AND f.file_removed_at IS NULL AND f.state IN ('delivered', 'withdrawn')
      AND coalesce(f.delivered_at, f.made_at) < :before
      AND NOT EXISTS (
          SELECT 1 FROM registration_line l WHERE l.file_id = f.file_id AND (
              EXISTS (SELECT 1 FROM bill b
                      WHERE b.billing_source = l.billing_source AND b.billing_number = l.billing_number
                        AND b.state = 'asked' AND b.asked_at <= f.delivered_at)
              OR EXISTS (SELECT 1 FROM bill_attempt a
                         WHERE a.billing_source = l.billing_source AND a.billing_number = l.billing_number AND EXISTS (
                             SELECT 1 FROM recon_break k
                             WHERE k.invoice_number = a.reference AND k.state <> 'resolved'))
              OR EXISTS (SELECT 1 FROM bill_charge c
                         WHERE c.billing_source = l.billing_source AND c.billing_number = l.billing_number AND EXISTS (
                             SELECT 1 FROM recon_break k
                             WHERE k.profile = c.profile AND k.state <> 'resolved'
                               AND k.kind IN ('missing_charge', 'amount_changed', 'collected_twice')
                               AND (k.subject = c.charge_id
                                    OR length(c.charge_id) > 200 AND length(k.subject) = 64)))))
    ORDER BY f.file_id
"""

_FILES: Final = (
    (batch, batch.c.batch_id, _BATCH_FILES),
    (report_file, report_file.c.report_id, _REPORT_FILES),
    (registration_file, registration_file.c.file_id, _REGISTRATION_FILES),
)

_NAMING: Final[tuple[Column[str], ...]] = (
    batch.c.artefact, report_file.c.artefact, registration_file.c.artefact, summary.c.page, summary.c.sheet,
)  # fmt: skip
"""Where the ledger names a kept file; manifests are named by events, and stay for good."""

_BATCHES_WITH_TOKENS: Final = f"""
    SELECT b.batch_id, b.file_name, b.line_count FROM batch b
    WHERE {_OVER} AND b.tokens_removed_at IS NULL ORDER BY b.batch_id
"""  # noqa: S608


@dataclass(frozen=True)
class OldFile:
    """A kept file whose time is over.

    Attributes:
        table: batch, report_file or registration_file.
        record: Its id there.
        name: The name that DOKU knows it by.
    """

    table: str
    record: int
    name: str
    artefact: str
    digest: str


@dataclass(frozen=True)
class OldTokens:
    """A batch whose attempts' tokens are no longer needed."""

    batch_id: int
    file_name: str
    count: int


def old_files(connection: Connection, profile: str, before: datetime) -> list[OldFile]:
    """Envelopes and reports of batches, and files that registered bills, that were over before a moment."""
    found = []
    for table, _, statement in _FILES:
        rows = connection.execute(_asked(statement), {"profile": profile, "before": before})
        found += [OldFile(table.name, row.record, row.name, row.artefact, row.digest) for row in rows]
    return found


def note_removed(connection: Connection, files: list[OldFile], now: datetime) -> None:
    """The files are gone."""
    for table, key, _ in _FILES:
        ids = [one.record for one in files if one.table == table.name]
        if ids:
            connection.execute(update(table).where(key.in_(ids)).values(file_removed_at=now))


def unnamed(connection: Connection, artefacts: Iterable[str]) -> list[str]:
    """Those of some kept files that no row names, of whichever profile it is; sorted."""
    left = set(artefacts)
    for column in _NAMING if left else ():
        left.difference_update(connection.scalars(select(column).where(column.is_not(None))))
    return sorted(left)


def is_named(connection: Connection, artefact: str) -> bool:
    """Whether a row names a kept file, now."""
    return any(connection.scalar(select(true()).where(column == artefact).limit(1)) for column in _NAMING)


def knows_all_since(connection: Connection, profile: str) -> datetime:
    """Since when nothing can have happened that this ledger does not know: when it was made, or last recovered."""
    recovered = select(func.max(event.c.at)).where(event.c.profile == profile, event.c.kind == "recover")
    made: datetime = connection.execute(select(ledger.c.created_at)).scalar_one()
    return max(made, connection.scalar(recovered) or made)


def batches_with_tokens(connection: Connection, profile: str, before: datetime) -> list[OldTokens]:
    """Batches that were over before a moment, and whose attempts still hold tokens."""
    rows = connection.execute(_asked(_BATCHES_WITH_TOKENS), {"profile": profile, "before": before})
    return [OldTokens(row.batch_id, row.file_name, row.line_count) for row in rows]


def remove_tokens(connection: Connection, batch_id: int, now: datetime) -> None:
    """Empty the tokens of a batch's attempts; their fingerprints stay, and the caps go on counting."""
    connection.execute(update(attempt).where(attempt.c.batch_id == batch_id).values(token=""))
    connection.execute(update(batch).where(batch.c.batch_id == batch_id).values(tokens_removed_at=now))


def count_other_tokens(connection: Connection, profile: str, before: datetime) -> int:
    """How many tokens of bills that are over and of lost ones would be removed."""
    counts = (select(func.count()).select_from(table).where(*where) for table, where in _other_tokens(profile, before))
    return sum(connection.execute(count).scalar_one() for count in counts)


def remove_other_tokens(connection: Connection, profile: str, before: datetime) -> int:
    """Empty the tokens of bills that were over, and of tokens lost, before a moment; how many they were."""
    return sum(
        connection.execute(update(table).where(*where).values(token=None)).rowcount
        for table, where in _other_tokens(profile, before)
    )


def count_raw_notifications(connection: Connection, profile: str, before: datetime) -> int:
    """How many raw notifications would be removed."""
    return connection.execute(select(func.count()).where(*_raw(profile, before))).scalar_one()


def remove_raw_notifications(connection: Connection, profile: str, before: datetime) -> int:
    """Empty the bodies of notifications processed before a moment; digests and results stay. How many they were."""
    changed = update(notification).where(*_raw(profile, before)).values(body=None)
    return connection.execute(changed).rowcount


def _raw(profile: str, before: datetime) -> tuple[ColumnElement[bool], ...]:
    over = (NotificationState.DONE, NotificationState.IGNORED)
    return (
        notification.c.profile == profile,
        notification.c.state.in_(over),
        func.coalesce(notification.c.processed_at, notification.c.last_at) < before,  # a question waits for no run
        notification.c.body.is_not(None),
    )


def _other_tokens(profile: str, before: datetime) -> Iterator[tuple[Table, tuple[ColumnElement[bool], ...]]]:
    over = (BillState.REFUSED, BillState.CANCELLED, BillState.ENDED)
    yield bill, (bill.c.profile == profile, bill.c.state.in_(over), bill.c.over_at < before, bill.c.token.is_not(None))
    # Whoever was not told yet of the loss would go on charging it.
    lost = (
        customer_token.c.state == TokenState.LOST, customer_token.c.lost_at < before,
        customer_token.c.told_at.is_not(None),
    )  # fmt: skip
    yield customer_token, (customer_token.c.profile == profile, *lost, customer_token.c.token.is_not(None))


def _asked(statement: str) -> TextClause:
    return text(dedent(statement)).bindparams(bindparam("before", type_=UtcDateTime))
