"""Due charges: what the merchant's view gives, what validation makes of it, and why a row is rejected.

Every row that was read goes on: good ones typed, rejected ones with all their reasons, so that `due` ties with what
became of it (promise 2). The rules look at whole columns; no row is looked at in a Python loop unless it is rejected
for an unusual form. pandera states the shape before and after: a frame that breaks it is a mistake of ours, not of the
merchant's data.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Annotated, Any, Final

import numpy as np  # noqa: TID253 - this module is about frames
import pandas as pd  # noqa: TID253
import pandera.pandas as pandera  # noqa: TID253
import pyarrow as pa  # noqa: TID253
import pyarrow.compute as pc  # noqa: TID253
from pandera.typing.pandas import Series  # noqa: TID253

from include.domain.due_charge_columns import COLUMNS
from include.domain.money import CURRENCY_EXPONENT
from include.schemas import card_numbers
from include.schemas.amounts import read_amounts
from include.schemas.layout import FieldRule, Layout
from include.schemas.profile import Profile
from include.schemas.shape import checked
from include.schemas.text_scan import BAD, CONTROL, FORBIDDEN, Alphabet, Mask, Text

TextType = Annotated[pd.ArrowDtype, pa.string()]
DayType = Annotated[pd.ArrowDtype, pa.date32()]
CountType = Annotated[pd.ArrowDtype, pa.int64()]

ALWAYS_REQUIRED: Final = frozenset({"charge_id", "customer_id", "token", "amount", "currency", "due_date"})

STORED_LENGTH: Final[Mapping[str, int]] = {
    "charge_id": 200,
    "customer_id": 200,
    "billing_number": 200,
    "token": 500,
    "amount": 100,
    "currency": 20,
    "due_date": 100,
    "channel": 200,
    "description": 1000,
    "network": 50,
    "billing_period": 40,
    "attempt_no": 20,
}
"""Most characters of a value that are kept, whatever the layout allows; a longer one is rejected and cut."""

MOST_ATTEMPTS: Final = 9999

REASONS: Final[Mapping[str, str]] = {
    "missing": "The value is empty. Fill it in the billing database, or leave the charge out of the view.",
    "unreadable": "The value is not a plain number or an ISO date (1500000.00, 2026-01-31). Correct the view: cast the "
    "column to decimal or date.",
    "not_whole": "The amount has a fraction of the currency's smallest unit (half a rupiah). Round it at its source.",
    "not_positive": "The value is zero or less. Leave such charges out of the view, or correct them.",
    "over_limit": "The amount is above the profile's limit for one charge (limits.max_amount_per_charge). Check it; "
    "raise the limit if it is right.",
    "too_large": "The number is larger than any that can be right. Correct it in the billing database.",
    "not_allowed": "The profile does not collect this currency (limits.currencies). Correct it or extend the profile.",
    "not_due": "The due date is after the business date. The view or the run's date is wrong.",
    "too_long": "The value is longer than the batch file's layout (or the ledger) holds. Shorten it in the view.",
    "bad_characters": "The value has characters that the batch file's layout does not allow. Replace them in the view.",
    "control_character": "The value has a control character (line end, tab, NUL, ...). Remove it in the database.",
    "delimiter": "The value has a character that the batch file's layout uses itself. Replace it in the view.",
    "padding": "The value begins or ends with the character that the batch file's layout fills up with, and would be "
    "read back without it. Change it in the view.",
    "bad_shape": "The token does not have the shape of a token (token.pattern). Ask DOKU for the customer's token.",
    "ambiguous": "DOKU gives the customer several tokens, and the profile's rule (tokens.choose) leaves more than one. "
    "Say which one in the view doku_token_customers (channel, masked_card), or extend the rule.",
    "unfit": "None of the tokens that DOKU gives for the customer is of a channel that the profile charges, or the one "
    "that the view doku_token_customers wishes. Ask the customer, or correct the wish.",
    "card_number": "The value holds a card number. Remove it from the billing database at once: only DOKU's token may "
    "be kept. It is shown masked here.",
}
"""What each reason code means, and what a person can do."""


@dataclass(frozen=True)
class DueChargeRules:
    """What a due charge must keep to be sent.

    Attributes:
        business_date: The day of the run, in the profile's timezone.
        late_window_days: A charge due longer before the business date than this is `late`.
        max_amount: Most of one charge, in smallest units of its currency.
        currencies: ISO 4217 codes that the profile collects.
        token_pattern: Regular expression of a whole token.
        fields: The batch layout's rules by column of a due charge (`Layout.rules`).
        largest_amounts: The largest amount that the batch layout can write, in smallest units, by currency.
        own_numbers: Columns in which the merchant's own numbers may look like card numbers and are known not to be any.
            Never `token`.
    """

    business_date: date
    late_window_days: int
    max_amount: int
    currencies: frozenset[str]
    token_pattern: str
    fields: Mapping[str, FieldRule] = field(default_factory=dict)
    largest_amounts: Mapping[str, int] = field(default_factory=dict)
    own_numbers: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        """Refuse what could never work."""
        if "token" in self.own_numbers:
            raise ValueError("a token column can never be excepted from the search for card numbers")
        re.compile(self.token_pattern)

    @classmethod
    def of(cls, profile: Profile, layout: Layout, business_date: date) -> "DueChargeRules":
        """The rules of a profile and of the layout that its batch files have."""
        currencies = frozenset(profile.limits.currencies)
        smallest = 10 ** max(CURRENCY_EXPONENT[currency] for currency in currencies)
        return cls(
            business_date=business_date,
            late_window_days=profile.billing.late_window_days,
            max_amount=profile.limits.max_amount_per_charge * smallest,
            currencies=currencies,
            token_pattern=profile.token.pattern,
            fields=layout.rules(),
            largest_amounts={currency: layout.largest_amount(currency) for currency in sorted(currencies)},
        )


class DueChargesRead(pandera.DataFrameModel):
    """Due charges as they come from the merchant's view: text, as exact as the database can write it."""

    row_no: Series[np.int64] = pandera.Field(
        ge=1, description="Row of this reading, 1, 2, ... Unit: rows. Source: counted"
    )
    charge_id: Series[TextType] = pandera.Field(nullable=True, description="The merchant's id. Source: view")
    customer_id: Series[TextType] = pandera.Field(nullable=True, description="The merchant's customer. Source: view")
    billing_number: Series[TextType] = pandera.Field(nullable=True, description="Policy, contract, ... Source: view")
    token: Series[TextType] = pandera.Field(
        nullable=True, description="DOKU's token of the payment means. Source: view"
    )
    amount: Series[TextType] = pandera.Field(nullable=True, description="Decimal. Unit: major units. Source: view")
    currency: Series[TextType] = pandera.Field(nullable=True, description="ISO 4217 code. Source: view")
    due_date: Series[TextType] = pandera.Field(nullable=True, description="ISO date, local day. Source: view")
    channel: Series[TextType] = pandera.Field(nullable=True, description="Means of payment. Source: view")
    description: Series[TextType] = pandera.Field(nullable=True, description="For the customer. Source: view")
    network: Series[TextType] = pandera.Field(nullable=True, description="Card network. Source: view, optional column")
    billing_period: Series[TextType] = pandera.Field(nullable=True, description="Source: view, optional column")
    attempt_no: Series[TextType] = pandera.Field(
        nullable=True, description="Whole number. Source: view, optional column"
    )

    class Config:
        """No other column, in this order."""

        strict = True
        ordered = True


class DueCharges(pandera.DataFrameModel):
    """Due charges after validation: typed, with every reason of each rejected row. Safe to store."""

    row_no: Series[np.int64] = pandera.Field(ge=1, description="Row of this reading. Unit: rows. Source: counted")
    charge_id: Series[TextType] = pandera.Field(nullable=True, description="The merchant's id. Source: view")
    customer_id: Series[TextType] = pandera.Field(nullable=True, description="The merchant's customer. Source: view")
    billing_number: Series[TextType] = pandera.Field(nullable=True, description="Policy, contract, ... Source: view")
    token: Series[TextType] = pandera.Field(
        nullable=True, description="DOKU's token; null in a rejected row. Source: view"
    )
    amount: Series[np.int64] = pandera.Field(
        description="0 where it could not be read. Unit: smallest unit in use of the currency. Source: view"
    )
    currency: Series[TextType] = pandera.Field(nullable=True, description="ISO 4217 code. Source: view")
    due_date: Series[DayType] = pandera.Field(
        nullable=True, description="Null where it could not be read. Unit: local day. Source: view"
    )
    channel: Series[TextType] = pandera.Field(nullable=True, description="Means of payment. Source: view")
    description: Series[TextType] = pandera.Field(nullable=True, description="For the customer. Source: view")
    network: Series[TextType] = pandera.Field(nullable=True, description="Card network. Source: view, optional column")
    billing_period: Series[TextType] = pandera.Field(nullable=True, description="Source: view, optional column")
    attempt_no: Series[CountType] = pandera.Field(
        nullable=True, ge=1, le=MOST_ATTEMPTS, description="Asked for by the merchant. Unit: attempts. Source: view"
    )
    late: Series[np.bool_] = pandera.Field(description="Due before the late window. Source: due_date, business date")
    reasons: Series[TextType] = pandera.Field(
        nullable=True,
        str_matches=r"^[a-z_]+:[a-z_]+(;[a-z_]+:[a-z_]+)*$",
        description='Null: good. Else all reasons, "column:code;column:code". Source: validation',
    )

    class Config:
        """No other column, in this order."""

        strict = True
        ordered = True

    @pandera.dataframe_check(name="a good row has all that a claim needs")
    def _good_rows_are_whole(cls, frame: pd.DataFrame) -> pd.Series:  # noqa: N805 - pandera makes it a class method
        needed = ["charge_id", "customer_id", "token", "currency", "due_date"]
        whole = frame[needed].notna().all(axis=1) & (frame["amount"] > 0)
        return whole | frame["reasons"].notna()

    @pandera.dataframe_check(name="a rejected row has no token")
    def _rejected_rows_have_no_token(cls, frame: pd.DataFrame) -> pd.Series:  # noqa: N805
        return frame["reasons"].isna() | frame["token"].isna()


def validate_due_charges(frame: pd.DataFrame, rules: DueChargeRules) -> pd.DataFrame:
    """Type due charges and find every reason against each of them.

    Args:
        frame: A `DueChargesRead` frame. Shape (rows, 12).
        rules: What they must keep.

    Returns:
        A `DueCharges` frame: the same rows in the same order. Shape (rows, 14). In rejected rows the token is null and
        card numbers are masked, control characters are replaced by U+FFFD and texts are cut to `STORED_LENGTH`, so that
        they can be stored and shown.

    Raises:
        ShapeError: The frame is not a `DueChargesRead`: a mistake in this package.
    """
    checked(DueChargesRead, frame)
    columns = {name: Text.of(pa.array(frame[name], pa.string())) for name in COLUMNS}
    reasons = Reasons(len(frame))
    texts = {name: _check_text(name, columns[name], rules, reasons) for name in COLUMNS}
    amounts = _check_amount(columns, rules, reasons)
    _check_currency(columns["currency"], rules, reasons)
    _check_token(columns["token"], rules, reasons)
    due_dates, late = _check_due_date(columns["due_date"], rules, reasons)
    attempts = _check_attempt_no(columns["attempt_no"], reasons)
    said = reasons.joined()
    texts["token"] = pc.if_else(pc.is_null(said), texts["token"], pa.scalar(None, pa.string()))
    typed = {**texts, "amount": amounts, "due_date": due_dates, "attempt_no": attempts, "late": late, "reasons": said}
    order = DueCharges.to_schema().columns
    result = pd.DataFrame(
        {name: frame["row_no"].to_numpy() if name == "row_no" else _series(typed[name]) for name in order}
    )
    return checked(DueCharges, result)


def _series(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) else pd.array(values, dtype=pd.ArrowDtype(values.type))


class Reasons:
    """The reasons found so far: which rows of which column break what."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._found: dict[tuple[str, str], Mask] = {}

    def add(self, name: str, code: str, mask: Mask) -> None:
        """Note a reason for the rows of a mask."""
        if mask.any():
            key = (name, code)
            self._found[key] = self._found[key] | mask if key in self._found else mask

    def joined(self) -> Any:
        """All reasons of each row as one text, or null: columns in the order of `COLUMNS`, codes as in `REASONS`."""
        rejected = np.zeros(self._rows, np.bool_)
        for mask in self._found.values():
            rejected |= mask
        where = np.flatnonzero(rejected)
        texts = np.full(self._rows, None, dtype=object)
        if len(where):
            parts = [self._part(key, where) for key in sorted(self._found, key=_position)]
            texts[where] = pc.binary_join_element_wise(*parts, ";", null_handling="skip").to_numpy(zero_copy_only=False)
        return pa.array(texts, pa.string())

    def _part(self, key: tuple[str, str], where: Any) -> Any:
        text = pa.scalar(":".join(key), pa.string())
        return pc.if_else(pa.array(self._found[key][where]), text, pa.scalar(None, pa.string()))


_CODES: Final = tuple(REASONS)


def _position(key: tuple[str, str]) -> tuple[int, int]:
    return COLUMNS.index(key[0]), _CODES.index(key[1])


def _check_text(name: str, text: Text, rules: DueChargeRules, reasons: Reasons) -> Any:
    """The rules that hold for any text; gives the column back as it may be stored."""
    rule = rules.fields.get(name)
    typed = name in ("amount", "due_date", "attempt_no")
    if typed:  # what the layout makes of a number or a date is not its text in the view
        rule = None
    if name in ALWAYS_REQUIRED or (rule is not None and rule.required):
        reasons.add(name, "missing", _blank(text))
    alphabet = Alphabet() if rule is None else Alphabet(rule.allowed, rule.forbidden)
    flags = alphabet.flags(text)
    reasons.add(name, "control_character", (flags & CONTROL) > 0)
    reasons.add(name, "delimiter", (flags & FORBIDDEN) > 0)
    reasons.add(name, "bad_characters", ((flags & BAD) > 0) & (not typed))
    longest = STORED_LENGTH[name]
    if rule is not None:
        longest = min(longest, rule.max_length)
        reasons.add(name, "padding", text.begins_with(rule.not_first) | text.ends_with(rule.not_last))
    too_long = _longer_than(text, longest)
    reasons.add(name, "too_long", too_long)
    text = _without_card_numbers(name, text, rules, reasons)
    return _storable(name, text, (flags & CONTROL) > 0, too_long)


def _blank(text: Text) -> Mask:
    blank = ~text.present
    short = np.flatnonzero(text.present & (text.lengths <= 16))  # no text of blanks alone is longer, or it is too long
    if len(short) == len(blank):
        trimmed = pc.binary_length(pc.utf8_trim_whitespace(text.array)).to_numpy(zero_copy_only=False)
        return np.asarray(trimmed == 0)
    trimmed = pc.binary_length(pc.utf8_trim_whitespace(text.array.take(pa.array(short))))
    blank[short] = trimmed.to_numpy(zero_copy_only=False) == 0
    return blank


def _longer_than(text: Text, longest: int) -> Mask:
    """Rows with more characters than allowed; characters are counted only where the bytes are too many."""
    suspects = text.lengths > longest
    if suspects.any():
        where = np.flatnonzero(suspects)
        characters = pc.utf8_length(text.array.take(pa.array(where))).to_numpy(zero_copy_only=False)
        suspects[where] = characters > longest
    return suspects


def _without_card_numbers(name: str, text: Text, rules: DueChargeRules, reasons: Reasons) -> Text:
    if name in rules.own_numbers:
        return text
    found = card_numbers.find(text, as_token=name == "token")
    reasons.add(name, "card_number", found.rows)
    return Text.of(card_numbers.mask(text, found)) if len(found.hidden) else text


def _storable(name: str, text: Text, control: Mask, too_long: Mask) -> Any:
    """Rejected texts without what a database or a page cannot take."""
    array = text.array
    if control.any():
        cleaned = pc.replace_substring_regex(array, "[\\x00-\\x1f\\x7f\\x{80}-\\x{9f}\u2028\u2029]", "\ufffd")
        array = pc.if_else(pa.array(control), cleaned, array)
    if too_long.any():
        array = pc.if_else(pa.array(too_long), pc.utf8_slice_codeunits(array, 0, STORED_LENGTH[name]), array)
    return array


def _check_amount(columns: Mapping[str, Text], rules: DueChargeRules, reasons: Reasons) -> Any:
    text = columns["amount"]
    amounts = read_amounts(text.array, columns["currency"].array)
    reasons.add("amount", "unreadable", amounts.unreadable)
    reasons.add("amount", "not_whole", amounts.not_whole)
    reasons.add("amount", "too_large", amounts.too_large)
    judged = ~(amounts.unreadable | amounts.not_whole | amounts.too_large | _blank(text))
    judged &= _among(columns["currency"], rules.currencies)
    reasons.add("amount", "not_positive", judged & (amounts.smallest_units <= 0))
    reasons.add("amount", "over_limit", judged & (amounts.smallest_units > rules.max_amount))
    for currency, largest in rules.largest_amounts.items():
        beyond = judged & (amounts.smallest_units > largest)
        reasons.add("amount", "too_long", beyond & _among(columns["currency"], frozenset({currency})))
    return amounts.smallest_units


def _among(text: Text, values: frozenset[str]) -> Mask:
    found: Mask = pc.is_in(text.array, pa.array(sorted(values), pa.string())).to_numpy(zero_copy_only=False)
    return found


def _check_currency(text: Text, rules: DueChargeRules, reasons: Reasons) -> None:
    reasons.add("currency", "not_allowed", ~_among(text, rules.currencies) & ~_blank(text))


def _check_token(text: Text, rules: DueChargeRules, reasons: Reasons) -> None:
    reasons.add("token", "bad_shape", ~_matches(text, rules.token_pattern) & ~_blank(text))


def _matches(text: Text, pattern: str) -> Mask:
    """Rows that match a pattern as a whole. Patterns that only Python's own engine knows work too, slowly."""
    try:
        found = pc.match_substring_regex(text.array, rf"\A(?:{pattern})\z")
    except pa.ArrowInvalid:
        compiled = re.compile(pattern)
        found = pa.array(
            [value is not None and compiled.fullmatch(value) is not None for value in text.array.to_pylist()]
        )
    matches: Mask = pc.fill_null(found, False).to_numpy(zero_copy_only=False)
    return matches


_DAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?)?")
"""An ISO date, with or without a time of day; a time with an offset is no local day."""


def _read_day(text: str) -> date | None:
    match = _DAY.fullmatch(text)
    try:
        return date.fromisoformat(match[1]) if match else None
    except ValueError:
        return None


def _check_due_date(text: Text, rules: DueChargeRules, reasons: Reasons) -> tuple[Any, Mask]:
    days = _each_different(text, _read_day, pa.date32())
    unread = pc.is_null(days).to_numpy(zero_copy_only=False)
    reasons.add("due_date", "unreadable", unread & ~_blank(text))
    reasons.add("due_date", "not_due", _true(pc.greater(days, pa.scalar(rules.business_date, pa.date32()))))
    oldest = rules.business_date - timedelta(days=rules.late_window_days)
    return days, _true(pc.less(days, pa.scalar(oldest, pa.date32())))


def _check_attempt_no(text: Text, reasons: Reasons) -> Any:
    numbers = _each_different(text, _read_count, pa.int64())
    reasons.add("attempt_no", "unreadable", pc.is_null(numbers).to_numpy(zero_copy_only=False) & ~_blank(text))
    reasons.add("attempt_no", "not_positive", _true(pc.less(numbers, 1)))
    reasons.add("attempt_no", "too_large", _true(pc.greater(numbers, MOST_ATTEMPTS)))
    known = pa.array(_true(pc.less_equal(numbers, MOST_ATTEMPTS)) & _true(pc.greater_equal(numbers, 1)))
    return pc.if_else(known, numbers, pa.scalar(None, pa.int64()))


def _read_count(text: str) -> int | None:
    match = re.fullmatch(r"([+-]?[0-9]{1,17})(\.0*)?", text.strip())
    return int(match[1]) if match else None


def _each_different(text: Text, read: Callable[[str], Any], kind: Any) -> Any:
    """Read a column with few different values: each of them once."""
    encoded = pc.dictionary_encode(text.array)
    values = pa.array([read(value) for value in encoded.dictionary.to_pylist()], kind)
    return values.take(encoded.indices)


def _true(mask: Any) -> Mask:
    known: Mask = pc.fill_null(mask, False).to_numpy(zero_copy_only=False)
    return known


def describe(reasons: str) -> Iterator[tuple[str, str, str]]:
    """The reasons of a row as (column, code, sentence with what a person can do)."""
    for part in reasons.split(";"):
        name, _, code = part.partition(":")
        yield name, code, REASONS.get(code, "")
