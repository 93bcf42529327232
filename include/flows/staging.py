"""Reading a day's charges into the temporary tables of a workspace, every row checked."""

from datetime import date
from functools import partial
from typing import Any

import pandas as pd  # noqa: TID253 - frames flow through here
import pyarrow as pa  # noqa: TID253

from include.billing.due_charges import read_due_charges
from include.domain.ahead import ahead
from include.flows.context import FlowContext
from include.ledger.books import NO_CURRENCY
from include.ledger.bulk import insert_frame
from include.ledger.store import Workspace
from include.ledger.work_tables import staged_charge
from include.schemas.due_charges import DueChargeRules, validate_due_charges
from include.schemas.layout import Layout
from include.schemas.references import charge_stems, token_fingerprints


def stage_due_charges(
    context: FlowContext, workspace: Workspace, business_date: date, layout: Layout
) -> dict[str, tuple[int, int]]:
    """Read the view in chunks, check each row, and stage all of them, good and bad.

    A chunk is read while the one before is checked and the one before that is staged.

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
    with ahead(frames) as read_ahead, workspace.behind() as stage:
        for frame in read_ahead:
            staged = _staged(validate_due_charges(frame, rules), context)
            _count(staged, read)
            stage(partial(insert_frame, table=staged_charge, frame=staged))
    return read


def _staged(checked: pd.DataFrame, context: FlowContext) -> pd.DataFrame:
    """The checked frame, the stem of each charge's invoice numbers and the fingerprint of its token (null without)."""
    source, key = context.profile.billing_source, context.ledger.fingerprint_key
    made = {
        "stem": charge_stems(source, _texts(checked["charge_id"])),
        "fingerprint": token_fingerprints(key, _texts(checked["token"])),
    }
    text = checked["charge_id"].dtype
    return checked.assign(**{name: pd.array(values, dtype=text) for name, values in made.items()})


def _texts(column: pd.Series) -> Any:
    values = pa.array(column, pa.string(), from_pandas=True)
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _count(staged: pd.DataFrame, read: dict[str, tuple[int, int]]) -> None:
    amounts = staged["amount"].groupby(staged["currency"].fillna(NO_CURRENCY), dropna=False)
    for currency, counted in amounts.agg(["count", "sum"]).iterrows():
        count, amount = read.get(str(currency), (0, 0))
        read[str(currency)] = (count + int(counted["count"]), amount + int(counted["sum"]))
