"""The register: what the merchant's view wants of bills, and asking DOKU for what it does not have yet."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection

from include.billing.bills import check_status_table, read_wanted_bills
from include.doku.bill_requests import checkout_form, link_in, too_long_for_forms
from include.doku.dialects.choose import dialect_file_of
from include.domain.bill_columns import in_words
from include.domain.bill_life import BillEventKind
from include.domain.bill_terms import BillTerms
from include.domain.errors import ConfigError
from include.domain.states import BillState
from include.flows.context import FlowContext
from include.flows.recurring.calls import call, each, keep, request_id_for
from include.ledger.bill_tables import bill
from include.ledger.bills import REGISTER, Bill, BillEvent, Key, bills_in, happen, keep_terms, listed_as, lock_bills
from include.ledger.registration_files import in_a_file
from include.ledger.rejected_bills import drop_mended, keep_rejected

if TYPE_CHECKING:
    from include.schemas.bills import ReadBill

_PAGE: Final = 500
_GIVEN_UP: Final = (BillState.CANCELLED, BillState.ENDED)


@dataclass(frozen=True)
class Wanted:
    """What reading the view came to, in rows and bills.

    Attributes:
        listed: Rows of the view.
        changed: Bills that are new, or of which the view says something else.
        rejected: Rows that cannot be used.
    """

    listed: int
    changed: int
    rejected: int


@dataclass(frozen=True)
class Asked:
    """What asking DOKU came to: bills that were asked for, refused, and are left for the next run."""

    asked: int = 0
    refused: int = 0
    left: int = 0


def read_wanted(context: FlowContext) -> Wanted:
    """Take over what the merchant's view wants. Safe to repeat: what it said before is nothing new.

    A bill that is not listed stays as it is: only a row that says `cancelled` cancels.

    Raises:
        BillingUnreachable, BillingError: The view or the table of bills cannot be used.
    """
    from include.schemas.bills import BillLimits, read_bills

    profile, now = context.profile, context.clock()
    check_status_table(context.billing(), profile.billing.bill_status)
    limits, listed, changed, rejected = BillLimits.of(profile), 0, 0, 0

    def rows() -> "Iterator[ReadBill]":
        number = 1
        chunks = read_wanted_bills(context.billing(), view=profile.billing.bills, chunk_rows=profile.billing.chunk_rows)
        for chunk in chunks:
            yield from read_bills(chunk, number, limits)
            number += len(chunk)

    context.step("register: before the view is taken over")
    for page in _pages(_each_once(rows()), _PAGE):
        listed += sum(one.times for one in page)
        with context.ledger.write() as connection:
            lock_bills(connection, profile.billing_source)
            bad = [(one.key, one.reasons) for one in page if one.terms is None]
            good = {one.terms.billing_number: one.terms for one in page if one.terms is not None}
            done, more = _take_over(context, connection, good, now)
            changed += done
            bad += more
            rejected += len(bad)
            keep_rejected(connection, profile.name, [(key, why, in_words(why)) for key, why in bad], now)
        context.step("register: a part of the view is taken over")
    with context.ledger.write() as connection:
        drop_mended(connection, profile.name, now)
    return Wanted(listed, changed, rejected)


@dataclass(frozen=True)
class _Row:
    key: str
    terms: BillTerms | None
    reasons: str
    times: int


def _each_once(rows: "Iterable[ReadBill]") -> Iterator[_Row]:
    """Rows of one billing number as one: the same twice is one, two that differ are none."""
    for key, group in groupby(rows, key=lambda one: one.key):
        found = list(group)
        terms = {one.terms for one in found}
        if len(terms) > 1:
            yield _Row(key, None, "billing_number:repeated", len(found))
        else:
            yield _Row(key, found[0].terms, found[0].reasons, len(found))


def _take_over(
    context: FlowContext, connection: Connection, wanted: dict[str, BillTerms], now: datetime
) -> tuple[int, list[tuple[str, str]]]:
    """How many bills changed, and the rows that cannot be used beside what is known."""
    profile, changed, bad = context.profile, 0, []
    known = listed_as(connection, profile.billing_source, list(wanted)) if wanted else {}
    for number, terms in wanted.items():
        owner, customer, before = known.get(number, (profile.name, terms.customer_id, ""))
        if owner != profile.name:
            bad.append((number, "billing_number:other_profile"))
        elif customer != terms.customer_id:
            bad.append((number, "customer_id:other_customer"))
        elif before != (digest := _row_digest(terms)):
            keep_terms(connection, profile.name, Key(profile.billing_source, number), terms, digest, now)
            changed += 1
    return changed, bad


def _row_digest(terms: BillTerms) -> str:
    row = [terms.digest, terms.wanted, terms.registration, terms.customer_name, terms.email, terms.phone]
    return hashlib.sha256(json.dumps(row).encode()).hexdigest()


def _pages(rows: Iterable[_Row], size: int) -> Iterator[list[_Row]]:
    page: list[_Row] = []
    for row in rows:
        page.append(row)
        if len(page) == size:
            yield page
            page = []
    yield page


def end_bills(context: FlowContext) -> int:
    """End the bills whose last day is over; how many.

    One that DOKU charges and that has another last day there than the merchant wants is not over by itself: it is
    cancelled instead.
    """
    profile, ended = context.profile, 0
    past = bill.c.ends_on < context.today
    states = [state for state in BillState if state not in (*_GIVEN_UP, BillState.CANCELLING)]
    with context.ledger.write() as connection:
        lock_bills(connection, profile.billing_source)
        while page := bills_in(connection, profile.name, states, past, limit=_PAGE):
            for one in page:
                known = one.asked_terms == one.terms_digest or one.state is not BillState.ACTIVE
                kind = BillEventKind.ENDED if known else BillEventKind.UNWANTED
                words = f"its last day, {one.ends_on}, is over"
                words += "" if known else ", and DOKU was never told of that day"
                happen(connection, one.key, BillEvent(kind, context.clock(), REGISTER, {"words": words}))
                ended += 1
    return ended


def ask_for_links(context: FlowContext, *, dry_run: bool = False) -> Asked:
    """Ask DOKU for a checkout link for each bill that is to be registered by its customer.

    What is asked for is decided and kept before DOKU is asked, under a request id: asked again under it, DOKU gives
    its first answer. One bill that DOKU refuses does not stop the others.

    Raises:
        ApiUnreachable, ApiUnauthorised, ApiAnswerUnsigned, ApiAnswerUnreadable: Nothing more can be asked now; what was
            asked before stays.
        ConfigError: A connection or the dialect's file lacks something.
    """
    by_link = bill.c.registration == "link"
    with context.ledger.read() as connection:
        profile, wanted = context.profile.name, [BillState.WANTED]
        waiting = bills_in(connection, profile, wanted, by_link, ~in_a_file(), limit=_limit(context) + 1)
        waiting += _overdue_links(context, connection)
    if dry_run:
        return Asked(left=len(waiting))
    some = waiting[: _limit(context)]
    asked, refused = each(some, lambda one: _ask(context, one))
    return Asked(asked, refused, len(waiting) - len(some))


def _limit(context: FlowContext) -> int:
    return context.profile.recurring.calls_at_a_time


def _overdue_links(context: FlowContext, connection: Connection) -> list[Bill]:
    """Bills whose customers have not come back from the checkout page in time."""
    hours = context.profile.recurring.link_hours
    if hours is False:
        return []
    late = (bill.c.asked_by == "link", bill.c.asked_at < context.clock() - timedelta(hours=hours))
    return bills_in(connection, context.profile.name, [BillState.ASKED], *late, limit=_limit(context))


def _ask(context: FlowContext, one: Bill) -> bool:
    """Whether DOKU has taken the request."""
    request_id = request_id_for(context, one, "register")
    if request_id is None:
        return True  # somebody was first, or the merchant wants something else by now: the next run looks again
    if context.profile.recurring.dialect == "onecheckout":
        return _give_form(context, one, request_id)
    request = dialect_file_of(context.profile).requests.register_
    if request is None:
        name = context.profile.recurring.fields
        raise ConfigError(f"dialect {name}", "requests.register", "missing, and bills are to be registered by link")
    context.step("register: before DOKU is asked for a link")
    answer = call(context, one, request, request_id)
    context.step("register: DOKU has answered")
    if isinstance(answer, str):
        keep(context, one, BillEventKind.REFUSED, {"words": answer, "request_id": request_id})
        return False
    _asked(context, one, request_id, link_in(request, answer.body))
    return True


def _give_form(context: FlowContext, one: Bill, request_id: str) -> bool:
    """The older interface has no call for it: the customer's browser posts a signed form."""
    if too_long_for_forms(one.terms):
        why = "DOKU's older interface takes billing numbers and customer ids of 16 characters at most"
        keep(context, one, BillEventKind.REFUSED, {"words": why, "request_id": request_id}, said_by=REGISTER)
        return False
    _asked(context, one, request_id, f"{context.onecheckout().base_url}{context.profile.recurring.checkout.path}")
    return True


def _asked(context: FlowContext, one: Bill, request_id: str, link: str) -> None:
    details = {"asked_by": "link", "terms": one.terms_digest, "request_id": request_id}
    keep(context, one, BillEventKind.ASKED, details, said_by=REGISTER, checkout_url=link, request_id=request_id)
    context.step("register: the link is kept")


def form_of(context: FlowContext, one: Bill) -> dict[str, str] | None:
    """The fields that the customer's browser posts to the checkout link, in the older interface; else None."""
    waits = one.state is BillState.ASKED and one.asked_by == "link" and one.request_id and one.asked_at
    if context.profile.recurring.dialect != "onecheckout" or not waits:
        return None
    account, settings = context.onecheckout().account, context.profile.recurring.checkout
    assert one.request_id is not None  # noqa: S101 - as `waits` says
    assert one.asked_at is not None  # noqa: S101
    return checkout_form(one.terms, one.request_id, one.asked_at, account, settings)
