"""Reading a day's charges into the temporary tables of a workspace, every row checked."""

from datetime import date

import pandas as pd  # noqa: TID253 - frames flow through here

from include.billing.due_charges import read_due_charges
from include.domain.fingerprints import token_fingerprint
from include.domain.invoice_numbers import charge_stem
from include.flows.context import FlowContext
from include.ledger.books import NO_CURRENCY
from include.ledger.bulk import insert_frame
from include.ledger.store import Workspace
from include.ledger.work_tables import staged_charge
from include.schemas.due_charges import DueChargeRules, validate_due_charges
from include.schemas.layout import Layout


def stage_due_charges(
    context: FlowContext, workspace: Workspace, business_date: date, layout: Layout
) -> dict[str, tuple[int, int]]:
    """Read the view in chunks, check each row, and stage all of them, good and bad.

    Returns:
        Rows and their amounts (smallest units; 0 where unreadable) by currency, counted while reading.

    Raises:
        BillingError: The view does not keep the contract, or cannot be read.
    """
    billing = context.profile.billing
    rules = DueChargeRules.of(context.profile, layout, business_date)
    read: dict[str, tuple[int, int]] = {}
    frames = read_due_charges(
        context.billing(),
        view=billing.view,
        columns=billing.columns,
        due_by=business_date,
        chunk_rows=billing.chunk_rows,
    )
    for frame in frames:
        staged = _staged(validate_due_charges(frame, rules), context)
        _count(staged, read)
        with workspace.stage() as connection:
            insert_frame(connection, staged_charge, staged)
    return read


def _staged(checked: pd.DataFrame, context: FlowContext) -> pd.DataFrame:
    """The checked frame, the stem of each charge's invoice numbers and the fingerprint of its token (null without)."""
    source, key = context.profile.billing_source, context.ledger.fingerprint_key
    ids, tokens = _values(checked["charge_id"]), _values(checked["token"])
    made = {
        "stem": [charge_stem(source, one) if isinstance(one, str) else None for one in ids],
        "fingerprint": [token_fingerprint(key, one) if isinstance(one, str) else None for one in tokens],
    }
    text = checked["charge_id"].dtype
    return checked.assign(**{name: pd.Series(values, index=checked.index, dtype=text) for name, values in made.items()})


def _values(column: pd.Series) -> list[object]:
    return list(column.astype(object))


def _count(staged: pd.DataFrame, read: dict[str, tuple[int, int]]) -> None:
    amounts = staged["amount"].groupby(staged["currency"].fillna(NO_CURRENCY), dropna=False)
    for currency, counted in amounts.agg(["count", "sum"]).iterrows():
        count, amount = read.get(str(currency), (0, 0))
        read[str(currency)] = (count + int(counted["count"]), amount + int(counted["sum"]))
