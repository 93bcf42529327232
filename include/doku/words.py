"""WORDS: how DOKU's older form-encoded interface (OneCheckout) signs what it sends and what it is sent.

WORDS is a hash, in hex, of some fields and the shared key written one after the other without anything between. The
recipes are of DOKU's own page and plugin [LEG, WHMCS]; the currency is appended where it is not 360 (rupiah). How the
HMAC forms are keyed is assumed: the same text, under the shared key.

The recipes are weak, and nothing here can mend that: fields that stand beside each other can be shifted, and the amount
of a scheduled charge is not signed at all. So whoever takes a notification compares bill, customer and amount with what
it knows, and never goes by the sender's word alone.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import parse_qsl

Algorithm = Literal["sha1", "sha256", "hmac-sha1", "hmac-sha256"]

RUPIAH: Final = "360"
"""ISO 4217 number: the currency that WORDS leaves out."""

MOST_FIELDS: Final = 200
_SHARED_KEY: Final = "the shared key"
_MAY_BE_EMPTY: Final = frozenset({"VERIFYSTATUS", "TOKENID", "CHAINMERCHANT"})


@dataclass(frozen=True)
class WordsAccount:
    """A merchant account at DOKU as the older interface knows it.

    Attributes:
        mall_id: MALLID.
        chain_merchant: CHAINMERCHANT.
        algorithm: As agreed with DOKU; the plugin uses SHA1.
        charges_without_bill: Whether DOKU signs scheduled charges without BILLNUMBER, as one of the plugin's recipes
            does. Off: whoever has seen one such message could move its payment to another bill.
    """

    mall_id: str
    shared_key: str = field(repr=False)
    chain_merchant: str = "NA"
    algorithm: Algorithm = "sha1"
    charges_without_bill: bool = False


@dataclass(frozen=True)
class Recipe:
    """Which fields WORDS is made of, in order; MALLID and CHAINMERCHANT are always our own."""

    fields: tuple[str, ...]


def _recipe(*fields: str) -> Recipe:
    return Recipe(fields)


PAYMENT_REQUEST: Final = _recipe("AMOUNT", "MALLID", _SHARED_KEY, "TRANSIDMERCHANT")
PAYMENT_NOTIFY: Final = _recipe("AMOUNT", "MALLID", _SHARED_KEY, "TRANSIDMERCHANT", "RESULTMSG", "VERIFYSTATUS")
REGISTRATION_NOTIFY: Final = _recipe("MALLID", "CHAINMERCHANT", "BILLNUMBER", "CUSTOMERID", "STATUS", _SHARED_KEY)
CHARGE_NOTIFY: Final = _recipe(
    "TRANSIDMERCHANT", "MALLID", _SHARED_KEY, "CUSTOMERID", "TOKENID", "BILLNUMBER", "RESULTMSG", "VERIFYSTATUS"
)
CHARGE_NOTIFY_WITHOUT_BILL: Final = _recipe(
    "TRANSIDMERCHANT", "MALLID", _SHARED_KEY, "CUSTOMERID", "TOKENID", "RESULTMSG", "VERIFYSTATUS"
)
AMOUNT_QUESTION: Final = _recipe("CUSTOMERID", _SHARED_KEY, "BILLNUMBER")
REDIRECT: Final = _recipe("AMOUNT", _SHARED_KEY, "TRANSIDMERCHANT", "CUSTOMERID", "BILLNUMBER")
CARD_UPDATE_REQUEST: Final = _recipe("MALLID", "CHAINMERCHANT", "BILLNUMBER", "CUSTOMERID", _SHARED_KEY)
STATUS_REQUEST: Final = _recipe("MALLID", _SHARED_KEY, "TRANSIDMERCHANT")
VOID_REQUEST: Final = _recipe("MALLID", _SHARED_KEY, "TRANSIDMERCHANT", "SESSIONID")

_BY_STATUS_TYPE: Final[Mapping[str, tuple[Recipe, ...]]] = {
    "G": (REGISTRATION_NOTIFY,),
    "T": (REGISTRATION_NOTIFY,),
    "P": (PAYMENT_NOTIFY,),
    "": (CHARGE_NOTIFY,),
}


def read_form(raw: bytes) -> dict[str, str]:
    """The fields of a form-encoded body. Bytes that are no UTF-8 stay as they came, so that WORDS still fits.

    Raises:
        ValueError: Not a form, too many fields, or a field given twice (which of the two would be signed?).
    """
    pairs = parse_qsl(
        raw.decode("utf-8", "surrogateescape"),
        keep_blank_values=True,
        strict_parsing=True,
        errors="surrogateescape",
        max_num_fields=MOST_FIELDS,
    )
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def words_of(recipe: Recipe, fields: Mapping[str, str], account: WordsAccount) -> str:
    """WORDS in lower-case hex.

    Args:
        fields: As they are sent; one that is missing counts as empty.
    """
    own = {"MALLID": account.mall_id, "CHAINMERCHANT": account.chain_merchant, _SHARED_KEY: account.shared_key}
    text = "".join({**fields, **own}.get(name, "") for name in recipe.fields)
    currency = fields.get("CURRENCY", "")
    text += currency if currency not in ("", RUPIAH, "IDR") else ""
    message, key = text.encode("utf-8", "surrogateescape"), account.shared_key.encode("utf-8")
    kind = account.algorithm.removeprefix("hmac-")
    if account.algorithm.startswith("hmac-"):
        return hmac.new(key, message, kind).hexdigest()
    return hashlib.new(kind, message).hexdigest()


def is_signed(fields: Mapping[str, str], account: WordsAccount, *, question: bool = False) -> bool:
    """Whether a notification carries the WORDS that DOKU would have given it; compared in constant time.

    Args:
        fields: As received, from `read_form`.
        question: It is the question for an amount, which has no STATUSTYPE.
    """
    recipes = (AMOUNT_QUESTION,) if question else _BY_STATUS_TYPE.get(fields.get("STATUSTYPE", "").upper(), ())
    if account.charges_without_bill and CHARGE_NOTIFY in recipes:
        recipes = (CHARGE_NOTIFY_WITHOUT_BILL,)
    return any(_fits(recipe, fields, account) for recipe in recipes)


def _fits(recipe: Recipe, fields: Mapping[str, str], account: WordsAccount) -> bool:
    """Nothing that is signed may be empty: what a browser carried signed would else pass as another message."""
    own = ("MALLID", _SHARED_KEY)
    if not all(fields.get(name) or name in _MAY_BE_EMPTY or name in own for name in recipe.fields):
        return False
    given = fields.get("WORDS", "").lower().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(words_of(recipe, fields, account).encode(), given)
