"""The merchant is told what became of DOKU's charges, in the table that they read for batches too."""

from collections.abc import Mapping
from typing import Any

from include.billing.outcomes import UpsertCounts
from include.domain.bill_judgement import placeholder
from include.flows.context import FlowContext
from include.flows.tell_merchant import tell
from include.ledger.bill_payments import lock_charges
from include.ledger.bill_telling import note_charges_told, untold_charges


def tell_charges(context: FlowContext) -> UpsertCounts:
    """Write the outcomes of charges that the merchant was not told of. Safe to repeat, also by two at once.

    A row for each of DOKU's transactions: `charge_id` is the billing number and the day, `invoice_number` DOKU's own
    reference, `batch_name` is empty.
    """
    counts, profile = UpsertCounts(), context.profile.name
    while not context.rehearsing:
        with context.ledger.read() as connection:
            page = untold_charges(connection, profile)
        if not page:
            break
        context.step("tell charges: before the merchant is told")
        counts += tell(context, iter([_row(one) for one in page]), of_bills=True)
        context.step("tell charges: merchant told")
        with context.ledger.write() as connection:
            lock_charges(connection, profile)
            note_charges_told(connection, profile, page, context.clock())
        context.step("tell charges: told and noted")
    return counts


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    """As the merchant has it; while only a charge was answered there is no reference to show."""
    row = {name: value for name, value in one.items() if name != "reference"}
    return {**row, "invoice_number": None if one["reference"] == placeholder(one["charge_id"]) else one["reference"]}
