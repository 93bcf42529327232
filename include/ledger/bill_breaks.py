"""Breaks of DOKU's charges for bills: opened, opened again and resolved as what was said makes them.

A person's word on a break stands until more is said of it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, exists, func, insert, or_, select, update

from include.domain.bill_charges import charge_id_of
from include.domain.bill_judgement import SUBJECT_LENGTH, Expected, Matter, subject_of
from include.domain.states import UNRESOLVED, BreakKind, BreakState
from include.ledger.bill_tables import bill_attempt, bill_charge
from include.ledger.breaks import RULE
from include.ledger.tables import recon_break

OF_TRANSACTIONS: Final = (
    BreakKind.UNEXPECTED_CHARGE, BreakKind.AMOUNT_DIFFERS, BreakKind.PARTIAL_REFUND, BreakKind.PARTIAL_APPROVAL,
    BreakKind.CONFLICT, BreakKind.WITNESSES_DISAGREE,
)  # fmt: skip
"""Breaks that are about one of DOKU's transactions, which `invoice_number` names."""

NO_LONGER: Final = "what was said since shows that it is none"
CAME: Final = "the charge has an answer"

_ANEW: Final[dict[str, Any]] = dict.fromkeys(
    ("explained_by", "explained_at", "explanation", "closed_by", "closed_at", "closed_reason", "booked")
)
_MANY: Final = 500


@dataclass(frozen=True, order=True)
class AnsweredAmount:
    """What DOKU was answered for a charge, and what the merchant's view says `now`; None: no amount any more."""

    billing_number: str
    expected_on: date
    answered: int
    currency: str
    now: int | None = field(compare=False)


def keep_matters(
    connection: Connection,
    profile: str,
    found: Iterable[Matter],
    at: datetime,
    *,
    references: Collection[str],
    charge_ids: Collection[str],
) -> None:
    """Make the breaks about some transactions and charges those that were found.

    Args:
        references: The transactions that were judged.
        charge_ids: The charges that were judged.
    """
    wanted = {(str(one.kind), one.subject): one for one in found}
    known = _known(connection, profile, references, charge_ids, {subject for _, subject in wanted})
    for key, matter in sorted(wanted.items()):
        _keep(connection, profile, matter, known.get(key), at)
    for key, row in known.items():
        by_another_rule = row["closed_by"] == RULE and row["closed_reason"] != NO_LONGER
        stands = row["state"] != BreakState.RESOLVED or by_another_rule
        if key not in wanted and stands and row["kind"] != BreakKind.UNLISTED_CODE:
            _resolve(connection, row["break_id"], NO_LONGER, at)


def resolve_came(connection: Connection, profile: str, charge_ids: Collection[str], at: datetime) -> None:
    """A charge that was missing has an answer."""
    subjects = [subject_of(charge_id) for charge_id in charge_ids]
    for start in range(0, len(subjects), _MANY):
        where = _open(profile, BreakKind.MISSING_CHARGE, recon_break.c.subject.in_(subjects[start : start + _MANY]))
        connection.execute(update(recon_break).where(*where).values(**_resolved(CAME, at)))


def open_missing(connection: Connection, profile: str, charges: Iterable[Expected], details: str, at: datetime) -> int:
    """Charges that did not come; how many breaks are new."""
    new = 0
    for one in charges:
        subject = subject_of(one.charge_id)
        said = f"charge {one.charge_id} of customer {one.customer_id}: {details}"
        matter = Matter(BreakKind.MISSING_CHARGE, subject, None, one.amount or 0, said)
        row = _find(connection, profile, matter)
        if row is None:
            _keep(connection, profile, matter, None, at)
            new += 1
    return new


def judge_answered_amounts(
    connection: Connection, profile: str, answers: Iterable[AnsweredAmount], at: datetime
) -> int:  # fmt: skip
    """Compare what DOKU was answered with what the merchant's view says now; how many differ.

    Args:
        connection: In a writing transaction.
    """
    k = recon_break.c
    is_open = set(connection.scalars(select(k.subject).where(*_open(profile, BreakKind.AMOUNT_CHANGED))))
    differ = 0
    for one in sorted(answers):
        charge_id = charge_id_of(one.billing_number, one.expected_on)
        subject = subject_of(charge_id)
        if one.now == one.answered and subject not in is_open:
            continue
        says = "no amount" if one.now is None else f"{one.now} {one.currency}"
        details = f"charge {charge_id}: DOKU was answered {one.answered} {one.currency}, the view says {says} now"
        matter = Matter(
            BreakKind.AMOUNT_CHANGED, subject, None, (one.now or 0) - one.answered, details,
            "the view says again what DOKU was answered" if one.now == one.answered else None,
        )  # fmt: skip
        differ += matter.over is None
        _keep(connection, profile, matter, _find(connection, profile, matter), at)
    return differ


def resolve_listed(connection: Connection, profile: str, codes: Collection[str], at: datetime) -> None:
    """Codes that somebody has listed by now, and for which nothing of the profile is unknown any more."""
    for code in codes:
        where = _open(profile, BreakKind.UNLISTED_CODE, recon_break.c.subject == code)
        connection.execute(update(recon_break).where(*where).values(**_resolved("the code is listed now", at)))


def missing_without_answer(connection: Connection, profile: str, subject: str) -> bool:
    """Whether a missing charge, the subject of a break, still has no answer."""
    same = and_(
        bill_attempt.c.billing_source == bill_charge.c.billing_source,
        bill_attempt.c.billing_number == bill_charge.c.billing_number,
        bill_attempt.c.expected_on == bill_charge.c.expected_on,
    )
    charge_id = bill_charge.c.charge_id
    may_be = or_(charge_id == subject, func.length(charge_id) > SUBJECT_LENGTH)
    found = connection.scalars(select(charge_id).where(bill_charge.c.profile == profile, may_be, ~exists().where(same)))
    return any(subject_of(one) == subject for one in found)


def _known(
    connection: Connection,
    profile: str,
    references: Collection[str],
    charge_ids: Collection[str],
    subjects: Collection[str],
) -> dict[tuple[str, str], Mapping[str, Any]]:
    k = recon_break.c
    of_charges = [subject_of(one) for one in charge_ids]
    about = or_(
        and_(k.kind.in_(OF_TRANSACTIONS), k.invoice_number.in_(list(references))),
        and_(k.kind == BreakKind.COLLECTED_TWICE, k.subject.in_(of_charges)),
        and_(k.kind == BreakKind.UNLISTED_CODE, k.subject.in_(list(subjects))),
    )
    rows = connection.execute(select(recon_break).where(k.profile == profile, about)).mappings()
    return {(row["kind"], row["subject"]): dict(row) for row in rows}


def _find(connection: Connection, profile: str, matter: Matter) -> Mapping[str, Any] | None:
    k = recon_break.c
    where = (k.profile == profile, k.kind == matter.kind, k.subject == matter.subject)
    row = connection.execute(select(recon_break).where(*where)).mappings().one_or_none()
    return dict(row) if row is not None else None


def _keep(connection: Connection, profile: str, matter: Matter, known: Mapping[str, Any] | None, at: datetime) -> None:
    says = {"invoice_number": matter.reference, "amount": matter.amount, "details": matter.details}
    now = _resolved(matter.over, at) if matter.over is not None else {"state": BreakState.OPEN}
    if known is None:
        values = {"profile": profile, "kind": matter.kind, "subject": matter.subject, "opened_at": at, **says, **now}
        connection.execute(insert(recon_break).values(values))
        return
    more = any(known[name] != value for name, value in says.items())
    by_rule = known["state"] == BreakState.RESOLVED and known["closed_by"] == RULE
    for_another_reason = by_rule and known["closed_reason"] != matter.over
    over_anew = matter.over is not None and (known["state"] != BreakState.RESOLVED or more or for_another_reason)
    open_anew = matter.over is None and (more or by_rule)
    if over_anew or open_anew:
        where = recon_break.c.break_id == known["break_id"]
        connection.execute(update(recon_break).where(where).values(**{**_ANEW, **says, **now}))


def _resolve(connection: Connection, break_id: int, why: str, at: datetime) -> None:
    connection.execute(update(recon_break).where(recon_break.c.break_id == break_id).values(**_resolved(why, at)))


def _resolved(why: str | None, at: datetime) -> dict[str, Any]:
    return {"state": BreakState.RESOLVED, "closed_by": RULE, "closed_at": at, "closed_reason": why}


def _open(profile: str, kind: BreakKind, *conditions: Any) -> tuple[Any, ...]:
    k = recon_break.c
    return (k.profile == profile, k.kind == kind, k.state.in_(UNRESOLVED), *conditions)
