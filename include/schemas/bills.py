"""Bills as the merchant wants them: what the view gives, what validation makes of it, and why a row is rejected."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Annotated, Final, cast

import pandas as pd  # noqa: TID253 - this module is about frames
import pandera.pandas as pandera  # noqa: TID253
import pyarrow as pa  # noqa: TID253
from pandera.typing.pandas import Series  # noqa: TID253

from include.domain.bill_columns import COLUMNS, LENGTHS, REQUIRED
from include.domain.bill_schedule import BillSchedule
from include.domain.bill_terms import BillTerms, Registration
from include.domain.money import CURRENCY_EXPONENT
from include.schemas import card_numbers
from include.schemas.amounts import Amounts, read_amounts
from include.schemas.profile import Profile
from include.schemas.shape import checked
from include.schemas.text_scan import Text, is_control

TextType = Annotated[pd.ArrowDtype, pa.string()]
WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "schedule": ("day", "date", "dates"),
    "registration": ("link", "bulk"),
    "status": ("wanted", "cancelled"),
}
_DAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]00:00(?::00(?:\.0+)?)?)?")


@dataclass(frozen=True)
class BillLimits:
    """What a bill must keep, of the profile; amounts in smallest units."""

    max_amount: int
    currencies: frozenset[str]

    @classmethod
    def of(cls, profile: Profile) -> "BillLimits":
        """The limits of a profile."""
        currencies = frozenset(profile.limits.currencies)
        smallest = 10 ** max(CURRENCY_EXPONENT[currency] for currency in currencies)
        return cls(profile.limits.max_amount_per_charge * smallest, currencies)


class BillsRead(pandera.DataFrameModel):
    """Bills as they come from the merchant's view: text, as exact as the database can write it."""

    billing_number: Series[TextType] = pandera.Field(nullable=True, description="What DOKU knows the bill by")
    customer_id: Series[TextType] = pandera.Field(nullable=True, description="The merchant's customer")
    amount: Series[TextType] = pandera.Field(nullable=True, description="Decimal in major units; null: it varies")
    currency: Series[TextType] = pandera.Field(nullable=True, description="ISO 4217 code")
    schedule: Series[TextType] = pandera.Field(nullable=True, description="day, date or dates")
    schedule_on: Series[TextType] = pandera.Field(nullable=True, description="MON,THU; 1,15; ISO dates")
    starts_on: Series[TextType] = pandera.Field(nullable=True, description="ISO date, local day")
    registration: Series[TextType] = pandera.Field(nullable=True, description="link or bulk")
    status: Series[TextType] = pandera.Field(nullable=True, description="wanted or cancelled")
    months: Series[TextType] = pandera.Field(nullable=True, description="JAN,JUL; null: every month")
    ends_on: Series[TextType] = pandera.Field(nullable=True, description="ISO date, the last local day; null: none")
    description: Series[TextType] = pandera.Field(nullable=True, description="For the customer")
    customer_name: Series[TextType] = pandera.Field(nullable=True, description="For the checkout page")
    email: Series[TextType] = pandera.Field(nullable=True, description="For the checkout page")
    phone: Series[TextType] = pandera.Field(nullable=True, description="For the checkout page")

    class Config:
        """No other column, in this order."""

        strict = True
        ordered = True


@dataclass(frozen=True)
class ReadBill:
    """A row of the view, read.

    Attributes:
        key: The billing number; where there is none, the row's number.
        terms: None where the row cannot be used.
        reasons: "column:code;column:code"; empty: none.
    """

    key: str
    terms: BillTerms | None
    reasons: str = ""


def read_bills(rows: list[dict[str, str | None]], first_row: int, limits: BillLimits) -> Iterator[ReadBill]:
    """Type rows of the view, and find every reason against each of them.

    Args:
        rows: By canonical column, every value as text.
        first_row: Number of the first of them in the view, from 1.
        limits: What they must keep.

    Raises:
        ShapeError: The rows are not what the reading of the view gives: a mistake in this package.
    """
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in COLUMNS}
    frame = pd.DataFrame({name: pd.array(values, dtype=pd.ArrowDtype(pa.string())) for name, values in columns.items()})
    checked(BillsRead, frame[list(BillsRead.to_schema().columns)])
    amounts = read_amounts(columns["amount"], columns["currency"])
    cards = {name: card_numbers.find(Text.of(values)).rows for name, values in columns.items() if name != "amount"}
    for place, row in enumerate(rows):
        found = list(_of_texts(row)) + [f"{name}:card_number" for name, mask in cards.items() if mask[place]]
        found += _of_amount(row, amounts, place, limits)
        terms, more = (None, []) if found else _terms(row, int(amounts.smallest_units[place]))
        found += more
        yield ReadBill(_key(row, first_row + place), terms, ";".join(sorted(set(found), key=_position)))


def _key(row: Mapping[str, str | None], number: int) -> str:
    """What the row is called: never with what no page can show."""
    key = (row["billing_number"] or "").strip()
    usable = key and len(key) <= LENGTHS["billing_number"] and not any(is_control(one) for one in key)
    return key if usable and not _has_card(key) else f"row {number}"


def _has_card(text: str) -> bool:
    return bool(card_numbers.find(Text.of(pa.array([text], pa.string()))).rows[0])


def _position(reason: str) -> tuple[int, str]:
    name, _, code = reason.partition(":")
    return COLUMNS.index(name), code


def _of_texts(row: Mapping[str, str | None]) -> Iterator[str]:
    for name, value in row.items():
        if value is None or not value.strip():
            if name in REQUIRED and name != "amount":
                yield f"{name}:missing"
            continue
        if len(value) > LENGTHS[name]:
            yield f"{name}:too_long"
        if any(is_control(one) for one in value):
            yield f"{name}:control_character"
        if name in WORDS and value.strip().lower() not in WORDS[name]:
            yield f"{name}:unknown_word"


def _of_amount(row: Mapping[str, str | None], amounts: Amounts, place: int, limits: BillLimits) -> Iterator[str]:
    if row["currency"] not in limits.currencies:
        if row["currency"]:
            yield "currency:not_allowed"
        return
    if row["amount"] is None or not row["amount"].strip():
        return
    if amounts.unreadable[place]:
        yield "amount:unreadable"
    elif amounts.not_whole[place]:
        yield "amount:not_whole"
    elif amounts.too_large[place] or amounts.smallest_units[place] > limits.max_amount:
        yield "amount:over_limit"
    elif amounts.smallest_units[place] <= 0:
        yield "amount:not_positive"


def _terms(row: Mapping[str, str | None], amount: int) -> tuple[BillTerms | None, list[str]]:
    value = {name: (text or "").strip() for name, text in row.items()}
    days = {name: _read_day(value[name]) for name in ("starts_on", "ends_on")}
    unread = [f"{name}:unreadable" for name, day in days.items() if value[name] and day is None]
    if unread:
        return None, unread
    schedule = _schedule(
        value["schedule"].lower(),
        value["schedule_on"],
        value["months"],
        cast("date", days["starts_on"]),
        days["ends_on"],
    )
    if schedule is None:
        return None, ["schedule_on:no_schedule"]
    terms = BillTerms(
        billing_number=value["billing_number"],
        customer_id=value["customer_id"],
        amount=amount if value["amount"] else None,
        currency=value["currency"],
        schedule=schedule,
        description=value["description"] or None,
        registration=cast("Registration", value["registration"].lower()),
        wanted=value["status"].lower() == "wanted",
        customer_name=value["customer_name"] or None,
        email=value["email"] or None,
        phone=value["phone"] or None,
    )
    return terms, []


@lru_cache(maxsize=4096)
def _schedule(kind: str, on: str, months: str, starts_on: date, ends_on: date | None) -> BillSchedule | None:
    try:
        return BillSchedule.read(kind, on, months, starts_on, ends_on)
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _read_day(text: str) -> date | None:
    match = _DAY.fullmatch(text)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None
