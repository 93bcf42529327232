"""What a notification looks like: JSON with a signature, or a form with WORDS."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from tests.doku_simulator import bank
from tests.doku_simulator.web import signature, words
from tests.doku_simulator.web.settings import WIB, Fields, HttpConfig, zulu
from tests.doku_simulator.web.statuses import short

FORGERIES: Final = ("other_key", "altered", "no_signature", "other_client")
FORM_TYPE: Final = "application/x-www-form-urlencoded"

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Oddities:
    """What is wrong with a message.

    Attributes:
        forged: One of `FORGERIES`.
        cut_at: The body ends after so many bytes; `cut_signed`: and the signature is that of what is left.
        extra: It has fields that nobody knows.
        unknown_kind: Its kind is one that nobody knows.
    """

    forged: str = ""
    cut_at: int | None = None
    cut_signed: bool = False
    extra: bool = False
    unknown_kind: bool = False


@dataclass(frozen=True)
class Message:
    """A notification as it goes out."""

    headers: dict[str, str]
    body: bytes


class Json:
    """The JSON dialect: our field names, signed headers; any 2xx is taken."""

    def __init__(self, config: HttpConfig, fields: Fields, secret: str, other_secret: str) -> None:
        self._config, self._fields = config, fields
        self._secret, self._other_secret = secret, other_secret

    def message(self, kind: str, facts: Facts, url: str, request_id: str, moment: float, odd: Oddities) -> Message:
        """Args:
        facts: By meaning, as in the fields file.
        """
        body = json.dumps(self._body(kind, facts, odd), separators=(",", ":")).encode()
        sent = body if odd.cut_at is None else body[: odd.cut_at]
        signed = sent if odd.cut_signed else body
        forged = odd.forged
        secret = self._other_secret if forged in ("other_key", "other_client") else self._secret
        client_id = "MCH-9999-OTHER" if forged == "other_client" else self._config.client_id
        target = urlsplit(url).path or "/"
        if forged == "altered":
            signed = signed.replace(b'"', b" ", 1)
        headers = signature.signed_headers(secret, client_id, request_id, zulu(moment), target, signed)
        if forged == "no_signature":
            del headers["Signature"]
        return Message({**headers, "Content-Type": "application/json"}, sent)

    def _body(self, kind: str, facts: Facts, odd: Oddities) -> dict[str, Any]:
        code = facts.get("code")
        written = dict(facts)
        if code is not None and self._config.code_width == 2:
            written["code"] = short(str(code))
        if kind != "report_ready":
            written["event"] = "SOMETHING_NEW" if odd.unknown_kind else self._fields.name("events", kind)
        if kind == "payment":
            written |= {"service": "RECURRING", "channel": "CREDIT_CARD"}
        body = self._fields.write(kind, written)
        if odd.unknown_kind and kind == "report_ready":
            body["service"] = {"id": "SOMETHING_NEW"}
        if odd.extra:
            body["additional_info"] = {"campaign": "X", "list": [1, {"deep": None}]}
            body.setdefault("transaction", {})["settled"] = False
        return body

    @staticmethod
    def taken(status: int, answer: bytes) -> bool:
        return 200 <= status < 300

    def amount(self, answer: bytes) -> int | None:
        """The amount that the merchant answered; None: it cannot be read as one."""
        try:
            value = self._fields.read("amount_answer", json.loads(answer)).get("amount")
        except (ValueError, AttributeError):
            return None
        return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


class Form:
    """The older form interface: WORDS in place of a signature; taken is what is answered CONTINUE."""

    def __init__(self, config: HttpConfig, shared_key: str, other_key: str) -> None:
        self._config, self._key, self._other_key = config, shared_key, other_key

    def message(self, kind: str, facts: Facts, url: str, request_id: str, moment: float, odd: Oddities) -> Message:
        form = getattr(self, f"_{kind}")(facts)
        key = self._other_key if odd.forged in ("other_key", "other_client") else self._key
        if odd.unknown_kind:
            form["STATUSTYPE"] = "X"
        form["WORDS"] = self._words(kind, key, form)
        if odd.forged == "altered":
            form["BILLNUMBER"] += "1"
        elif odd.forged == "no_signature":
            del form["WORDS"]
        if odd.extra:
            form |= {"CAMPAIGN": "X", "LIST": "1,2"}
        body = urlencode(form).encode()
        return Message({"Content-Type": FORM_TYPE}, body if odd.cut_at is None else body[: odd.cut_at])

    def _words(self, kind: str, key: str, form: dict[str, str]) -> str:
        hashed = self._config.words
        if kind == "payment" and form.get("STATUSTYPE") == "P":
            return words.of_first_payment(hashed, key, self._config.mall_id, form)
        if kind == "payment":
            with_bill = self._config.words_with_bill
            return words.of_charge(hashed, key, self._config.mall_id, form, with_bill=with_bill)
        if kind == "amount":
            return words.of_amount_question(hashed, key, form)
        return words.of_registration(hashed, key, form)

    def _registration(self, facts: Facts, status_type: str = "G") -> dict[str, str]:
        return {
            "MALLID": self._config.mall_id,
            "CHAINMERCHANT": self._config.chain_merchant,
            "CUSTOMERID": facts["customer_id"],
            "BILLNUMBER": facts["billing_number"],
            "CARDNUMBER": facts.get("masked_card") or "",
            "TOKENID": facts.get("token") or "",
            "STATUS": facts["status"],
            "ERRORCODE": "" if facts["status"] == "SUCCESS" else facts.get("code") or "",
            "MESSAGE": facts.get("message") or "",
            "STATUSTYPE": status_type,
        }

    def _card_update(self, facts: Facts) -> dict[str, str]:
        return self._registration(facts, "T")

    def _payment(self, facts: Facts) -> dict[str, str]:
        paid_at = datetime.fromisoformat(facts["date"]).astimezone(WIB)
        return {
            "TRANSIDMERCHANT": facts["reference"],
            "CUSTOMERID": facts["customer_id"],
            "TOKENID": facts["token"],
            "BILLNUMBER": facts["billing_number"],
            "CARDNUMBER": facts["masked_card"],
            "AMOUNT": two_decimals(facts["amount"]),
            "CURRENCY": words.RUPIAH if facts["currency"] == "IDR" else facts["currency"],
            "RESPONSECODE": facts["code"],
            "APPROVALCODE": facts["approval_code"],
            "RESULTMSG": "SUCCESS" if facts["status"] == "SUCCESS" else "FAILED",
            "BANK": facts["bank"],
            "VERIFYID": "",
            "VERIFYSCORE": "-1",
            "VERIFYSTATUS": "NA",
            "SESSIONID": facts["original_request_id"],
            self._config.payment_time_field: paid_at.strftime("%Y%m%d%H%M%S"),
            **({"STATUSTYPE": "P"} if facts.get("first") else {}),
        }

    def _amount(self, facts: Facts) -> dict[str, str]:
        return {
            "CUSTOMERID": facts["customer_id"],
            "CUSTOMERNAME": facts.get("customer_name") or "",
            "CUSTOMEREMAIL": facts.get("email") or "",
            "CUSTOMERHOMEPHONE": "",
            "CUSTOMERMOBILEPHONE": facts.get("phone") or "",
            "BILLNUMBER": facts["billing_number"],
        }

    @staticmethod
    def taken(status: int, answer: bytes) -> bool:
        return 200 <= status < 300 and answer.strip() == b"CONTINUE"

    @staticmethod
    def amount(answer: bytes) -> int | None:
        whole, point, decimals = answer.strip().decode("ascii", "replace").partition(".")
        good = whole.isascii() and whole.isdigit() and (point, decimals) == (".", "00")
        return int(whole) or None if good else None


def two_decimals(amount: int) -> str:
    """Whole units as the older interface writes them."""
    return f"{amount}.00"


def forged_facts(kind: str, facts: Facts, rng: random.Random) -> dict[str, Any]:
    """What a forger would say: a payment that never was, a card of his own."""
    number = f"{rng.randrange(10**9):09d}"
    if kind == "payment":
        good = {"status": "SUCCESS", "code": "0000", "message": bank.message("0000"), "approval_code": number[:6]}
        return {**facts, **good, "reference": f"RBF{number}", "original_request_id": f"forged-{number}"}
    if kind == "report_ready":
        return {**facts, "name": f"RPT_TKN_FORGED_{number}.TXT"}
    return {**facts, "status": "SUCCESS", "token": f"forged{number}", "masked_card": "411111******0000"}
