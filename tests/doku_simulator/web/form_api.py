"""DOKU's older interface towards the merchant: form-encoded questions with WORDS, and the customer's checkout page."""

import hmac
from collections.abc import Callable
from html import escape
from typing import Any, Final
from urllib.parse import parse_qsl

from tests.doku_simulator.web import words
from tests.doku_simulator.web.answers import Answer, Question, Refused
from tests.doku_simulator.web.bills import Bills
from tests.doku_simulator.web.settings import HttpConfig

CHECKOUT: Final = "/checkout/"
PATHS: Final = (
    "/Suite/Receive",
    "/Suite/RecurUpdateCard",
    "/AccountBilling/DoDeleteSubscriptionSuite",
    "/Suite/CheckStatus",
)
HTML: Final = "text/html; charset=utf-8"

_REGISTRATION: Final = {
    "CUSTOMERID": "customer_id",
    "BILLNUMBER": "billing_number",
    "BILLDETAIL": "description",
    "NAME": "customer_name",
    "EMAIL": "email",
    "MOBILEPHONE": "phone",
    "STARTDATE": "start",
    "ENDDATE": "end",
    "EXECUTETYPE": "execute_type",
    "EXECUTEDATE": "execute_date",
    "EXECUTEMONTH": "execute_month",
    "FLATSTATUS": "flat",
    "REGISTERAMOUNT": "amount",
}


class FormApi:
    """`/Suite/...`, as its pages and DOKU's plugin have it; the fields of an ended subscription are assumed."""

    def __init__(
        self,
        config: HttpConfig,
        shared_key: str,
        bills: Bills,
        status: Callable[[str], dict[str, Any] | None],
        link: Callable[[str], str],
    ) -> None:
        self._config, self._key, self._bills = config, shared_key, bills
        self._status, self._link = status, link

    def handle(self, question: Question) -> Answer:
        """Answer a form."""
        if question.method != "POST":
            return Answer.text("STOP", 405)
        form = dict(parse_qsl(question.body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            wrong = self._wrong(question.path, form)
        except KeyError as missing:
            wrong = f"5512;{missing.args[0]} is missing"
        if wrong:
            return Answer.text(f"FAILED;{wrong}")
        try:
            return self._do(question.path, form)
        except Refused as refused:
            return Answer.text(f"FAILED;5505;{refused}")

    def _wrong(self, path: str, form: dict[str, str]) -> str:
        if form["MALLID"] != self._config.mall_id:
            return "5521;MALLID is not known"
        kind, key = self._config.words, self._key
        if path == "/Suite/Receive":
            expected = words.of_request(kind, key, form)
        elif path == "/Suite/CheckStatus":
            expected = words.of_status_question(kind, key, form)
        else:
            expected = words.of_registration(kind, key, form)
        fits = hmac.compare_digest(expected.encode(), form["WORDS"].lower().encode("utf-8", "replace"))
        return "" if fits else "5504;WORDS does not match"

    def _do(self, path: str, form: dict[str, str]) -> Answer:
        bill = form.get("BILLNUMBER", "")
        if path == "/Suite/Receive":
            facts = {meaning: form[name] for name, meaning in _REGISTRATION.items() if form.get(name)}
            _, code = self._bills.register(facts, form["TRANSIDMERCHANT"])
            return Answer(302, b"", {"Location": self._link(code)}, HTML)
        if path == "/Suite/RecurUpdateCard":
            _, code = self._bills.update_card(bill, form["CUSTOMERID"])
            return Answer(302, b"", {"Location": self._link(code)}, HTML)
        if path == "/Suite/CheckStatus":
            return self._check_status(form["TRANSIDMERCHANT"])
        self._bills.cancel(bill, form["CUSTOMERID"])
        return Answer.text("SUCCESS")

    def _check_status(self, number: str) -> Answer:
        found = self._status(number)
        if found is None:
            facts = {"RESPONSECODE": "5516", "RESULTMSG": "TRANSACTION_NOT_FOUND"}
        else:
            card, status = found.get("card_payment", {}), found["transaction"]["status"]
            code = str(card.get("response_code", "5511"))
            facts = {
                "TRANSIDMERCHANT": found["order"]["invoice_number"],
                "AMOUNT": f"{found['order']['amount']}.00",
                "RESPONSECODE": code if len(code) == 4 else f"00{code}",
                "APPROVALCODE": card.get("approval_code", ""),
                "RESULTMSG": status,
                "BANK": card.get("issuer", ""),
            }
        cells = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in facts.items())
        text = f'<?xml version="1.0"?><PAYMENT_STATUS>{cells}</PAYMENT_STATUS>'
        return Answer.text(text, content_type="text/xml; charset=utf-8")

    # --- the customer --------------------

    def checkout(self, question: Question) -> Answer:
        """The page that a customer registers on: GET shows it, POST `outcome=success` or `outcome=failed` ends it."""
        code = question.path.removeprefix(CHECKOUT)
        found = self._bills.checkout(code)
        if found is None:
            return Answer.text("<h1>Not found</h1>", 404, HTML)
        if question.method == "POST":
            outcome = dict(parse_qsl(question.body.decode("utf-8", "replace"))).get("outcome", "success")
            self._bills.complete(code, succeed=outcome == "success")
            found = self._bills.checkout(code) or found
        bill, facts = found
        buttons = "".join(f'<button name="outcome" value="{value}">{value}</button>' for value in ("success", "failed"))
        form = f'<form method="post">{buttons}</form>' if facts["state"] == "open" else ""
        text = f"<h1>Checkout</h1><p>{escape(bill.billing_number)}: {facts['kind']}, {facts['state']}</p>{form}"
        return Answer.text(text, content_type=HTML)
