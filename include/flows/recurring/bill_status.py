"""Telling the merchant's table what each bill is now; safe to repeat."""

import json
from collections.abc import Mapping
from typing import Any, Final

from include.billing.bills import upsert_bill_status
from include.billing.upsert import UpsertCounts
from include.domain.states import BillState
from include.flows.context import FlowContext
from include.flows.recurring.register import form_of
from include.ledger.bills import Bill, mark_told, untold

_PAGE: Final = 1000


def tell_bill_status(context: FlowContext) -> UpsertCounts:
    """Write what has not been told yet; what was written.

    Raises:
        BillingUnreachable, BillingError: The table cannot be written; what was written before stays.
    """
    counts = UpsertCounts()
    if context.rehearsing:
        return counts
    while True:
        with context.ledger.read() as connection:
            page = untold(connection, context.profile.name, _PAGE)
        if not page:
            return counts
        context.step("register: before the merchant is told of bills")
        rows = [_row(context, one) for one in page]
        table = context.profile.billing.bill_status
        counts += upsert_bill_status(context.billing(), rows, table=table, now=context.clock())
        context.step("register: the merchant is told of bills")
        with context.ledger.write() as connection:
            mark_told(connection, page, context.clock())


def _row(context: FlowContext, one: Bill) -> Mapping[str, Any]:
    waits = one.state is BillState.ASKED
    form = form_of(context, one)
    return {
        "billing_source": one.billing_source,
        "billing_number": one.billing_number,
        "profile": one.profile,
        "customer_id": one.customer_id,
        "state": str(one.state),
        "reason": one.reason,
        "checkout_url": one.checkout_url if waits and one.asked_by == "link" else None,
        "checkout_form": json.dumps(form, ensure_ascii=False) if form else None,
        "masked_card": one.masked_card,
        "asked_at": one.asked_at,
        "registered_at": one.registered_at,
        "over_at": one.over_at,
    }
