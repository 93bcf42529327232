"""The register of bills: what happened to each, appended once per matter, and what that makes of it."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select, update

from include.domain.bill_life import WISHES, BillEventKind, Happened, Standing, standing
from include.domain.bill_schedule import BillSchedule
from include.domain.bill_terms import BillTerms
from include.domain.errors import LedgerError
from include.domain.states import BillState
from include.ledger.bill_tables import bill, bill_event
from include.ledger.once import insert_new
from include.ledger.store import lock

_WANTED: Final = (BillState.WANTED, BillState.ASKED, BillState.ACTIVE, BillState.REFUSED)
DOKU: Final = "DOKU"
API: Final = "DOKU's answer to a call"
VIEW: Final = "the merchant's view"
REGISTER: Final = "register"


@dataclass(frozen=True)
class Key:
    """What a bill is known by in the ledger."""

    billing_source: str
    billing_number: str


@dataclass(frozen=True)
class Bill:
    """A bill as it is now; see the table `bill`."""

    billing_source: str
    billing_number: str
    profile: str
    customer_id: str
    amount: int | None
    currency: str
    schedule: str
    schedule_on: str
    months: str | None
    starts_on: date
    ends_on: date | None
    description: str | None
    customer_name: str | None
    email: str | None
    phone: str | None
    registration: str
    terms_digest: str
    listed_as: str
    asked_terms: str | None
    state: BillState
    reason: str | None
    asked_by: str | None
    request_id: str | None
    checkout_url: str | None
    token: str | None = field(repr=False)
    token_fingerprint: str | None
    masked_card: str | None
    asked_at: datetime | None
    registered_at: datetime | None
    over_at: datetime | None
    told_at: datetime | None

    @property
    def key(self) -> Key:
        """What it is known by."""
        return Key(self.billing_source, self.billing_number)

    @property
    def terms(self) -> BillTerms:
        """What the merchant wants of it."""
        return BillTerms(
            billing_number=self.billing_number, customer_id=self.customer_id, amount=self.amount,
            currency=self.currency, description=self.description, wanted=self.state in _WANTED,
            schedule=BillSchedule.read(self.schedule, self.schedule_on, self.months, self.starts_on, self.ends_on),
            registration="bulk" if self.registration == "bulk" else "link", customer_name=self.customer_name,
            email=self.email, phone=self.phone,
        )  # fmt: skip


@dataclass(frozen=True)
class BillEvent:
    """Something that happened to a bill, as it is kept.

    Attributes:
        at: DOKU's own time of what DOKU says, where it says one.
        details: Words, terms, fingerprints; never a token.
        matter: What makes it the same thing as another: DOKU's words without when they came; by default all of it.
    """

    kind: BillEventKind
    at: datetime
    said_by: str
    details: Mapping[str, Any] = field(default_factory=dict)
    notification_id: int | None = None
    matter: Mapping[str, Any] | None = None


_COLUMNS: Final = [bill.c[name] for name in Bill.__dataclass_fields__]


def lock_bills(connection: Connection, billing_source: str) -> None:
    """Bills of a billing source change one after the other, until the transaction ends."""
    lock(connection, f"bills:{billing_source}")


def find_bill(connection: Connection, key: Key) -> Bill | None:
    """A bill, or None."""
    row = connection.execute(select(*_COLUMNS).where(*_is(key))).mappings().one_or_none()
    return _bill(row) if row is not None else None


def known_bill(connection: Connection, profile: str, key: Key) -> Bill:
    """A bill of a profile. LedgerError: the register has none such."""
    found = find_bill(connection, key)
    if found is None or found.profile != profile:
        raise LedgerError(
            f"Profile {profile} has no bill {key.billing_number}. `python -m include.cli bills --profile {profile}` "
            "lists those that it has."
        )
    return found


def bills_in(
    connection: Connection,
    profile: str,
    states: Collection[BillState],
    *conditions: ColumnElement[bool],
    after: str = "",
    limit: int = 1000,
) -> list[Bill]:
    """A profile's bills in some states, by number, from after a number on."""
    where = (bill.c.profile == profile, bill.c.state.in_(states), bill.c.billing_number > after, *conditions)
    statement = select(*_COLUMNS).where(*where).order_by(bill.c.billing_number).limit(limit)
    return [_bill(row) for row in connection.execute(statement).mappings()]


def counts_by_state(connection: Connection, profile: str) -> dict[str, int]:
    """How many bills a profile has in each state."""
    statement = select(bill.c.state, func.count()).where(bill.c.profile == profile).group_by(bill.c.state)
    return {state: int(count) for state, count in sorted(connection.execute(statement).all())}


def listed_as(connection: Connection, billing_source: str, numbers: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """(profile, customer, digest of the row as last listed) of each of the bills that there are."""
    columns = (bill.c.billing_number, bill.c.profile, bill.c.customer_id, bill.c.listed_as)
    where = (bill.c.billing_source == billing_source, bill.c.billing_number.in_(numbers))
    return {row[0]: (row[1], row[2], row[3]) for row in connection.execute(select(*columns).where(*where))}


def keep_terms(connection: Connection, profile: str, key: Key, terms: BillTerms, digest: str, now: datetime) -> None:
    """Keep what the merchant wants, and say what of it is new; the caller holds the lock.

    Args:
        digest: SHA-256 of the whole row, as it is listed.
    """
    columns = {**_columns_of(terms), "listed_as": digest, "told_at": None}
    known = find_bill(connection, key)
    if known is None:
        made = {
            **columns, "billing_source": key.billing_source, "billing_number": key.billing_number, "profile": profile,
            "state": BillState.WANTED,
        }  # fmt: skip
        connection.execute(insert(bill).values(made))
    else:
        other_days = known.terms.schedule != terms.schedule
        columns |= {"schedule_since": now} if other_days else {}
        connection.execute(update(bill).where(*_is(key)).values(columns))
    kind = _wish(known, terms, _wishes(connection, key))
    if kind is not None:
        words = "the merchant's view says cancelled" if kind is BillEventKind.UNWANTED else ""
        details = {"terms": terms.digest, "words": words}
        happen(connection, key, BillEvent(kind, now, VIEW, details))


def _wish(known: Bill | None, terms: BillTerms, before: Sequence[tuple[BillEventKind, str]]) -> BillEventKind | None:
    """What the view says that it did not say before; a person's own end of a bill stands until the view says both."""
    listed = [kind for kind, said_by in before if said_by == VIEW]
    if known is None or not listed:
        return BillEventKind.WANTED if terms.wanted else BillEventKind.UNWANTED
    if known.state is BillState.ENDED and not _goes_on(known, terms):
        return None
    if not terms.wanted:
        return None if listed[-1] is BillEventKind.UNWANTED else BillEventKind.UNWANTED
    if listed[-1] is BillEventKind.UNWANTED:
        return BillEventKind.WANTED
    last, said_by = before[-1]
    if last is BillEventKind.UNWANTED and said_by != REGISTER:
        return None
    return BillEventKind.CHANGED if known.terms_digest != terms.digest else None


def _goes_on(ended: Bill, terms: BillTerms) -> bool:
    """Whether a bill that has ended has a last day after its end now: nothing else of the view matters any more."""
    last, over_at = terms.schedule.ends_on, ended.over_at
    return terms.wanted and (last is None or over_at is None or last > over_at.date())


def _wishes(connection: Connection, key: Key) -> list[tuple[BillEventKind, str]]:
    where = (*_about(key), bill_event.c.kind.in_(WISHES))
    statement = select(bill_event.c.kind, bill_event.c.said_by).where(*where).order_by(bill_event.c.bill_event_id)
    return [(BillEventKind(kind), said_by) for kind, said_by in connection.execute(statement)]


def acts_of(connection: Connection, key: Key) -> int:
    """How often something happened to a bill that no notification told: what makes one call to DOKU another."""
    where = (*_about(key), bill_event.c.notification_id.is_(None))
    return int(connection.scalar(select(func.count()).where(*where)) or 0)


def happen(connection: Connection, key: Key, event: BillEvent, *, token: str | None = None, **columns: Any) -> bool:
    """Append what happened and make the bill what all of it makes of it; the caller holds the lock.

    Args:
        token: DOKU's, where the event brings one.
        columns: Columns of the bill to set with it, such as the checkout link.

    Returns:
        False: it was known; nothing changed.
    """
    matter = event.matter if event.matter is not None else {**event.details, "at": event.at.isoformat()}
    row = {
        "billing_source": key.billing_source, "billing_number": key.billing_number, "kind": event.kind,
        "at": event.at, "said_by": event.said_by, "notification_id": event.notification_id,
        "matter": _digest(matter), "details": json.dumps(event.details, sort_keys=True, ensure_ascii=False),
    }  # fmt: skip
    if not insert_new(connection, bill_event, [row]):
        return False
    now = standing(events_of(connection, key))
    values = {**columns_of_standing(now), **columns, "told_at": None}
    if token is not None and now.card is not None and now.card.matter == row["matter"]:
        values["token"] = token
    connection.execute(update(bill).where(*_is(key)).values(values))
    return True


def set_columns(connection: Connection, key: Key, **columns: Any) -> None:
    """Set columns of a bill that are not made of its events."""
    connection.execute(update(bill).where(*_is(key)).values(columns))


def events_of(connection: Connection, key: Key) -> list[Happened]:
    """Everything that happened to a bill, in the order in which it was kept."""
    return [_happened(row) for row in event_rows(connection, key)]


def event_rows(connection: Connection, key: Key) -> list[RowMapping]:
    """The same as it is stored."""
    statement = select(bill_event).where(*_about(key)).order_by(bill_event.c.bill_event_id)
    return list(connection.execute(statement).mappings())


def untold(connection: Connection, profile: str, limit: int) -> list[Bill]:
    """Bills of which the merchant's table does not say yet what they are."""
    where = (bill.c.profile == profile, bill.c.told_at.is_(None))
    statement = select(*_COLUMNS).where(*where).order_by(bill.c.billing_number).limit(limit)
    return [_bill(row) for row in connection.execute(statement).mappings()]


def mark_told(connection: Connection, told: Iterator[Bill] | Sequence[Bill], at: datetime) -> None:
    """The merchant's table says it; not of a bill that has become something else meanwhile."""
    for one in told:
        same = [bill.c[name].is_not_distinct_from(getattr(one, name)) for name in _TOLD]
        connection.execute(update(bill).where(*_is(one.key), *same).values(told_at=at))


_TOLD: Final = (
    "state", "reason", "checkout_url", "masked_card", "asked_at", "registered_at", "over_at", "terms_digest",
)  # fmt: skip


def _is(key: Key) -> tuple[ColumnElement[bool], ...]:
    return bill.c.billing_source == key.billing_source, bill.c.billing_number == key.billing_number


def _about(key: Key) -> tuple[ColumnElement[bool], ...]:
    return bill_event.c.billing_source == key.billing_source, bill_event.c.billing_number == key.billing_number


def _bill(row: RowMapping) -> Bill:
    return Bill(**{**row, "state": BillState(row["state"])})


def _columns_of(terms: BillTerms) -> dict[str, Any]:
    schedule = terms.schedule
    return {
        "customer_id": terms.customer_id, "amount": terms.amount, "currency": terms.currency,
        "schedule": schedule.kind, "schedule_on": schedule.on_text, "months": schedule.months_text,
        "starts_on": schedule.starts_on, "ends_on": schedule.ends_on, "description": terms.description,
        "customer_name": terms.customer_name, "email": terms.email, "phone": terms.phone,
        "registration": terms.registration, "terms_digest": terms.digest,
    }  # fmt: skip


def columns_of_standing(now: Standing) -> dict[str, Any]:
    """The columns of a bill that are made of its events."""
    return {
        "state": now.state, "reason": now.reason, "asked_at": now.asked_at, "asked_by": now.asked_by,
        "asked_terms": now.asked_terms, "registered_at": now.registered_at, "over_at": now.over_at,
        "token_fingerprint": now.card.fingerprint if now.card else None,
        "masked_card": now.card.masked_card if now.card else None,
    }  # fmt: skip


def _happened(row: RowMapping) -> Happened:
    details = json.loads(row["details"])
    return Happened(
        kind=BillEventKind(row["kind"]), no=row["bill_event_id"], at=row["at"], matter=row["matter"],
        told=row["notification_id"] is not None, said_by=row["said_by"], words=details.get("words") or "",
        terms=details.get("terms"),
        asked_by=details.get("asked_by"), fingerprint=details.get("fingerprint"),
        masked_card=details.get("masked_card"),
    )  # fmt: skip


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
