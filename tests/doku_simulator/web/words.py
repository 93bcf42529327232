"""WORDS of the older form interface: a hash over values in a row, with the shared key among them."""

import hashlib
import hmac
from collections.abc import Mapping

RUPIAH = "360"


def words(kind: str, shared_key: str, *parts: str, currency: str = RUPIAH) -> str:
    """Lower-case hex.

    Args:
        kind: sha1, sha256, hmac-sha1, hmac-sha256.
        parts: In the order of the recipe, the shared key among them.
        currency: ISO number; only another than rupiah is part of it.
    """
    data = ("".join(parts) + ("" if currency == RUPIAH else currency)).encode()
    if kind.startswith("hmac-"):
        return hmac.new(shared_key.encode(), data, kind.removeprefix("hmac-")).hexdigest()
    return hashlib.new(kind, data).hexdigest()


def of_registration(kind: str, key: str, form: Mapping[str, str]) -> str:
    """Registration (G), card update (T), and the request to change a card."""
    given = form.get("STATUS", "")
    return words(kind, key, form["MALLID"], form["CHAINMERCHANT"], form["BILLNUMBER"], form["CUSTOMERID"], given, key)


def of_charge(kind: str, key: str, mall_id: str, form: Mapping[str, str], *, with_bill: bool) -> str:
    """A scheduled charge."""
    bill = form["BILLNUMBER"] if with_bill else ""
    return words(
        kind, key, form["TRANSIDMERCHANT"], mall_id, key, form["CUSTOMERID"], form["TOKENID"], bill, form["RESULTMSG"],
        form["VERIFYSTATUS"], currency=form["CURRENCY"],
    )  # fmt: skip


def of_first_payment(kind: str, key: str, mall_id: str, form: Mapping[str, str]) -> str:
    """An ordinary payment (P), such as the one that a card is registered by."""
    return words(
        kind, key, form["AMOUNT"], mall_id, key, form["TRANSIDMERCHANT"], form["RESULTMSG"], form["VERIFYSTATUS"],
        currency=form["CURRENCY"],
    )  # fmt: skip


def of_amount_question(kind: str, key: str, form: Mapping[str, str]) -> str:
    return words(kind, key, form["CUSTOMERID"], key, form["BILLNUMBER"])


def of_request(kind: str, key: str, form: Mapping[str, str]) -> str:
    """The request to register with a first payment."""
    return words(
        kind, key, form["AMOUNT"], form["MALLID"], key, form["TRANSIDMERCHANT"],
        currency=form.get("CURRENCY", RUPIAH),
    )  # fmt: skip


def of_status_question(kind: str, key: str, form: Mapping[str, str]) -> str:
    return words(kind, key, form["MALLID"], key, form["TRANSIDMERCHANT"])
