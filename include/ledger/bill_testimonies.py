"""What was said of DOKU's transactions for bills: kept once, whoever says it, and read for judging."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date
from typing import Any, Final, cast

from sqlalchemy import Connection, and_, exists, select, tuple_

from include.domain.bill_judgement import Meaning, Said
from include.domain.states import UNRESOLVED, BreakKind, OutcomeStatus
from include.ledger.bill_tables import bill_attempt, bill_charge, bill_outcome, bill_testimony
from include.ledger.once import insert_new
from include.ledger.tables import recon_break

Reader = Callable[[str | None, bool | None, str | None], Meaning]
"""What a word, what it says of success, and a code decide, by the codes of today."""

_MANY: Final = 500
_OF_CONTENT: Final = (
    "reference", "billing_number", "expected_on", "witness", "word", "succeeded", "response_code", "response_message",
    "approval_code", "customer_id", "amount", "currency", "charged_on", "masked_card", "bank",
)  # fmt: skip
_COLUMNS: Final = [bill_testimony.c[name] for name in (*Said.__dataclass_fields__, "succeeded")
                   if name in bill_testimony.c]  # fmt: skip


def keep_said(connection: Connection, values: Mapping[str, Any]) -> bool:
    """Keep what a witness says; False when the very same was kept before.

    What a notification says is known by its content: a repeat with another envelope is the same. A person, and DOKU
    when it is asked again, say it anew each time.

    Args:
        values: The columns of `bill_testimony`, without id and matter.
    """
    told = {name: values.get(name) for name in _OF_CONTENT}
    if values["witness"] != "notification":
        told |= {name: values.get(name) for name in ("status", "said_by", "said_at", "evidence")}
    matter = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()
    return insert_new(connection, bill_testimony, [{**values, "matter": matter}]) == 1


def said_of(connection: Connection, profile: str, references: Collection[str], read: Reader) -> dict[str, list[Said]]:
    """All that was said of some transactions, by their reference."""
    found: dict[str, list[Said]] = {}
    listed = sorted(references)
    for start in range(0, len(listed), _MANY):
        of_some = bill_testimony.c.reference.in_(listed[start : start + _MANY])
        for one in _said(connection, profile, read, of_some):
            found.setdefault(str(one.reference), []).append(one)
    return found


def said_of_charges(
    connection: Connection, profile: str, charges: Iterable[tuple[str, date]], read: Reader
) -> dict[tuple[str, date], list[Said]]:
    """What was said of some charges and named no transaction, by billing number and day."""
    found: dict[tuple[str, date], list[Said]] = {}
    listed = sorted(charges)
    known_by = tuple_(bill_testimony.c.billing_number, bill_testimony.c.expected_on)
    for start in range(0, len(listed), _MANY):
        of_some = known_by.in_(listed[start : start + _MANY])
        for one in _said(connection, profile, read, bill_testimony.c.reference.is_(None), of_some):
            found.setdefault((one.billing_number, cast("date", one.expected_on)), []).append(one)
    return found


def answered_before_set(connection: Connection, profile: str) -> list[tuple[str, date]]:
    """Charges that are set by now, and of which what was said before is in no books; by billing number and day."""
    t, c, a = bill_testimony.c, bill_charge.c, bill_attempt.c
    same = and_(
        c.billing_source == t.billing_source, c.billing_number == t.billing_number, c.expected_on == t.expected_on
    )
    known = exists().where(
        a.profile == t.profile, a.billing_source == t.billing_source, a.billing_number == t.billing_number,
        a.expected_on == t.expected_on,
    )  # fmt: skip
    where = (t.profile == profile, t.reference.is_(None), ~known)
    columns = select(t.billing_number, t.expected_on).select_from(bill_testimony.join(bill_charge, same))
    return [(row[0], row[1]) for row in connection.execute(columns.where(*where).distinct())]


def decided_by_now(connection: Connection, profile: str, read: Reader) -> set[str]:
    """The transactions that are unknown for a code which decides by now: somebody has listed it."""
    t, o = bill_testimony.c, bill_outcome.c
    unknown = and_(o.profile == t.profile, o.reference == t.reference, o.status == OutcomeStatus.UNKNOWN)
    where = (
        t.profile == profile, t.witness == "notification", t.status == OutcomeStatus.UNKNOWN,
        t.response_code.is_not(None),
    )  # fmt: skip
    columns = (t.reference, t.word, t.succeeded, t.response_code)
    rows = connection.execute(select(*columns).select_from(bill_testimony.join(bill_outcome, unknown)).where(*where))
    return {row[0] for row in rows if read(*row[1:]).status is not OutcomeStatus.UNKNOWN}


def codes_in_breaks(connection: Connection, profile: str) -> set[str]:
    """The codes that nobody had listed when they came for a bill, as far as their breaks are not resolved."""
    k, t = recon_break.c, bill_testimony.c
    where = (k.profile == profile, k.kind == BreakKind.UNLISTED_CODE, k.state.in_(UNRESOLVED))
    of_bill = and_(t.profile == k.profile, t.response_code == k.subject)
    return set(connection.scalars(select(k.subject).where(*where, exists().where(of_bill))))


def _said(connection: Connection, profile: str, read: Reader, *conditions: Any) -> list[Said]:
    statement = select(*_COLUMNS).where(bill_testimony.c.profile == profile, *conditions)
    rows = connection.execute(statement.order_by(bill_testimony.c.testimony_id)).mappings()
    return [_judged(dict(row), read) for row in rows]


def _judged(row: dict[str, Any], read: Reader) -> Said:
    succeeded = row.pop("succeeded")
    if row["witness"] != "notification":
        return Said(**{**row, "status": OutcomeStatus(row["status"])})
    meaning = read(row["word"], succeeded, row["response_code"])
    flags = {name: getattr(meaning, name) for name in Meaning.__dataclass_fields__}
    return Said(**{**row, **flags})
