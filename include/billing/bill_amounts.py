"""The merchant's view of amounts of varying bills: what to charge for a bill on a day.

`doku_bill_amounts`: `billing_number`, `period` (the local day of the charge), `amount` (major units, a decimal or text,
never a float), `currency` (ISO 4217). A row that is not there yet, or without an amount, means that nobody knows.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Date, Engine, String, cast, column, select, table

from include.billing.engine import billing_connection, errors_named, place
from include.domain.errors import BillingError
from include.domain.money import CURRENCY_EXPONENT, MAX_AMOUNT, to_smallest_unit

AMOUNTS_VIEW: Final = "doku_bill_amounts"
COLUMNS: Final = ("billing_number", "period", "amount", "currency")
_MANY: Final = 500


@dataclass(frozen=True)
class BillAmount:
    """What the view says; `amount` in smallest units, None: nobody knows, and `problem` why where a row is there."""

    billing_number: str
    period: date
    amount: int | None
    currency: str
    problem: str | None = None


def bill_amounts(
    engine: Engine, view: str, billing_numbers: Collection[str], first: date, last: date
) -> dict[tuple[str, date], BillAmount]:
    """The amounts of some bills for days from `first` to `last`, by billing number and day.

    Two rows of one bill and day that differ are no amount: nobody can say which is right.

    Raises:
        BillingUnreachable: The database does not answer now.
        BillingError: The view or a column is missing.
    """
    schema, _, name = view.rpartition(".")
    source = table(name, *(column(one) for one in COLUMNS), schema=schema or None)
    # As text, for on some databases a driver would give a float.
    wanted = [
        source.c.billing_number,
        cast(source.c.period, Date),
        cast(source.c.amount, String(40)),
        source.c.currency,
    ]
    found: dict[tuple[str, date], BillAmount] = {}
    listed = sorted(billing_numbers)
    with errors_named(engine, what=f"view {view}"), billing_connection(engine) as connection:
        if connection.dialect.name == "sqlite":  # it has no dates, only their text
            wanted[1] = source.c.period
        for start in range(0, len(listed), _MANY):
            of_some = source.c.billing_number.in_(listed[start : start + _MANY])
            between = source.c.period.between(*((first.isoformat(), last.isoformat())
                                                if connection.dialect.name == "sqlite" else (first, last)))  # fmt: skip
            for row in connection.execute(select(*wanted).where(of_some, between)):
                one = _read(engine, *row)
                key = (one.billing_number, one.period)
                if key in found and found[key] != one:
                    one = BillAmount(*key, None, one.currency, "the view has two rows for it that differ")
                found[key] = one
    return found


def _read(engine: Engine, number: Any, period: Any, amount: Any, currency: Any) -> BillAmount:
    day = _day(engine, period)
    code = str(currency or "").strip().upper()
    if amount is None or not str(amount).strip():
        return BillAmount(str(number), day, None, code, None)
    if code not in CURRENCY_EXPONENT:
        return BillAmount(str(number), day, None, code, f"currency {code or 'none'} is none of ours")
    try:
        units = to_smallest_unit(str(amount), code)
    except ValueError as caught:
        return BillAmount(str(number), day, None, code, f"its amount is {caught}")
    if not 0 < units <= MAX_AMOUNT:
        return BillAmount(
            str(number), day, None, code, "its amount is not above zero, or larger than any charge can be"
        )
    return BillAmount(str(number), day, units, code)


def _day(engine: Engine, value: Any) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise BillingError(
            f"The view of bill amounts in the {place(engine)} has a period that is no day. Its column period must be a "
            "date, the local day of the charge."
        ) from None
