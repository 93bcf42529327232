"""Taking a notification: verified, stored raw in the inbox, and nothing else; or, for a question, answered at once."""

import json
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from include.domain.errors import DokuError, LedgerUnreachable, NotificationUnreadable
from include.domain.money import CURRENCY_EXPONENT, to_major
from include.domain.refusals import Refusal, Refused
from include.flows.notification_check import Dialect, Received, check
from include.flows.open_ledgers import OpenLedgers
from include.ledger.inbox import Arrived, RefusedCount, count_refused, store
from include.schemas.profile import Profile

log = logging.getLogger(__name__)

TAKEN: Final = {"json": b'{"message": "Taken."}', "onecheckout": b"CONTINUE"}
"""What DOKU is answered once a notification is stored."""


def take(profile: Profile, dialect: Dialect, received: Received, ledgers: OpenLedgers) -> bytes:
    """Verify a notification and store it; the answer.

    Raises:
        Refused: It is not DOKU's, or is too old.
        ConfigError: The profile's connections lack something.
        LedgerError: The ledger does not take it; DOKU sends it again.
    """
    arrived = check(profile, dialect, received, ledgers.connection)
    _store(profile, arrived, ledgers)
    return TAKEN[dialect]


def answer(
    profile: Profile, dialect: Dialect, received: Received, ledgers: OpenLedgers, clock: Callable[[], datetime]
) -> bytes:
    """Verify a question for an amount, keep that it was asked, and answer it.

    Raises:
        Refused: It is not DOKU's, cannot be read, or no amount is known; none is ever invented.
        DokuError: Something that is needed does not answer.
    """
    from include.doku.dialects.choose import dialect_file_of, parser_of
    from include.domain.bill_events import AmountAsked
    from include.flows.recurring.amounts import answer_amount

    arrived = check(profile, dialect, received, ledgers.connection)
    _store(profile, arrived, ledgers)
    try:
        asked = parser_of(profile)(received.kind, received.body, arrived.content_type)
    except NotificationUnreadable:
        raise Refused(Refusal.UNREADABLE) from None
    if not isinstance(asked, AmountAsked):
        raise Refused(Refusal.UNREADABLE)
    with ledgers.context(profile, clock) as context:
        found = answer_amount(context, asked.billing_number, asked.customer_id)
    if found.amount is None:
        log.warning("A question for an amount was not answered: %s", found.words)
        raise Refused(Refusal.NO_SUCH_BILL if found.refused else Refusal.NO_AMOUNT)
    if dialect == "onecheckout":
        return f"{Decimal(to_major(found.amount, found.currency)):.2f}".encode("ascii")
    return _as_json(dialect_file_of(profile).amount_answer.paths[0], found.amount, found.currency)


def keep_refusals(
    profiles: Sequence[Profile], ledgers: OpenLedgers, counts: Sequence[RefusedCount]
) -> list[RefusedCount]:
    """Add counts of refused requests to the ledgers of their profiles; those that could not be kept.

    Args:
        profiles: Those that take notifications. What belongs to none of them is kept with the first.
    """
    by_name = {one.name: one for one in profiles}
    homes: dict[str, list[RefusedCount]] = {}
    for one in counts:
        home = by_name.get(one.profile) or next(iter(profiles), None)
        if home is not None:
            homes.setdefault(home.name, []).append(one)
    left: list[RefusedCount] = []
    for name, some in homes.items():
        try:
            with ledgers.one_statement(by_name[name]) as connection:
                count_refused(connection, some)
        except DokuError as caught:
            log.warning("Counts of refused requests wait: %s", caught.message)
            left += some
    return left


def _store(profile: Profile, arrived: Arrived, ledgers: OpenLedgers) -> None:
    """Store it; once more where a connection turned out to be closed. Stored by both, it is counted as a repeat."""
    for last in (False, True):
        try:
            with ledgers.one_statement(profile) as connection:
                store(connection, arrived)
        except LedgerUnreachable:
            if last:
                raise
        else:
            return


def _as_json(path: str, amount: int, currency: str) -> bytes:
    """The amount where the dialect's file says: a number without decimals where the currency has none."""
    major = to_major(amount, currency)
    value: Any = int(major) if CURRENCY_EXPONENT[currency] == 0 else major
    for name in reversed(path.split(".")):
        value = {name: value}
    return json.dumps(value).encode("utf-8")
