"""What DOKU is told of a bill: the body of a call by the dialect's file, or the form of a customer's browser post."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from include.doku.dialects.json_fields import find
from include.doku.words import PAYMENT_REQUEST, WordsAccount, words_of
from include.domain.bill_schedule import MONTHS
from include.domain.bill_terms import EXECUTE_TYPES, BillTerms
from include.domain.errors import ApiAnswerUnreadable
from include.domain.money import CURRENCY_EXPONENT, to_major
from include.domain.states import ScheduleKind
from include.schemas.dialect import Request
from include.schemas.recurring_settings import CheckoutSettings

JAKARTA: Final = ZoneInfo("Asia/Jakarta")
CARD: Final = "17"
"""PAYMENTCHANNEL of recurring card payments [LEG, certain]."""

_LONGEST_URL: Final = 2000
_LONGEST_ID: Final = 16


def facts_of(terms: BillTerms, request_id: str) -> dict[str, Any]:
    """The facts of a bill by the names that a dialect's file uses (`BILL_FACTS`); None where there is none."""
    schedule = terms.schedule
    return {
        "billing_number": terms.billing_number,
        "customer_id": terms.customer_id,
        "customer_name": terms.customer_name,
        "email": terms.email,
        "phone": terms.phone,
        "amount": _number(terms),
        "currency": terms.currency,
        "description": terms.description,
        "starts_on": schedule.starts_on.strftime("%Y%m%d"),
        "ends_on": schedule.ends_on.strftime("%Y%m%d") if schedule.ends_on else None,
        "execute_type": EXECUTE_TYPES[schedule.kind],
        "execute_on": schedule.on_text.replace("-", "") if schedule.kind is ScheduleKind.DATES else schedule.on_text,
        "execute_months": schedule.months_text,
        "flat": "FALSE" if terms.amount is None else "TRUE",
        "request_id": request_id,
        "period": None,
    }


def amount_facts(terms: BillTerms, period: date, amount: int, request_id: str) -> dict[str, Any]:
    """The facts of a varying bill and one of its days, with the amount for that day (smallest units)."""
    facts = facts_of(replace(terms, amount=amount), request_id)
    return {**facts, "flat": "FALSE", "period": period.strftime("%Y%m%d")}


def body_of(request: Request, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body of a call; facts that the bill has not are left out."""
    body: dict[str, Any] = {}
    for field in request.body:
        value = field.value if field.source is None else facts[field.source]
        if value is None:
            continue
        *parents, name = field.path.split(".")
        place = body
        for parent in parents:
            place = place.setdefault(parent, {})
        place[name] = value
    return body


def link_in(request: Request, body: Any) -> str:
    """The checkout link of an answer.

    Raises:
        ApiAnswerUnreadable: There is none where the dialect's file says, or it is none that a customer may be sent to.
    """
    link = find(body, request.answer_url) if request.answer_url and isinstance(body, Mapping) else None
    if not isinstance(link, str) or not link.startswith(("https://", "http://")) or len(link) > _LONGEST_URL:
        raise ApiAnswerUnreadable(
            f"DOKU's answer to {request.path} has no checkout link where the dialect's file says (answer_url). Ask "
            "DOKU where it stands and correct the file; the next run asks again under the same request id."
        )
    return link


def checkout_form(
    terms: BillTerms, request_id: str, asked_at: datetime, account: WordsAccount, settings: CheckoutSettings
) -> dict[str, str]:
    """The fields that the customer's browser posts to register a card, signed with WORDS [LEG, certain].

    The same for the same request: whoever builds them again gets what was given before.
    """
    schedule = terms.schedule
    amount = f"{to_major(terms.amount, terms.currency) if terms.amount is not None else settings.first_amount}"
    amount = amount if "." in amount else f"{amount}.00"
    fields = {
        "MALLID": account.mall_id,
        "CHAINMERCHANT": account.chain_merchant,
        "AMOUNT": amount,
        "PURCHASEAMOUNT": amount,
        "TRANSIDMERCHANT": request_id[:30],
        "PAYMENTTYPE": "SALE",
        "REQUESTDATETIME": asked_at.astimezone(JAKARTA).strftime("%Y%m%d%H%M%S"),
        "CURRENCY": "360",
        "PURCHASECURRENCY": "360",
        "SESSIONID": request_id[:48],
        "NAME": _allowed(terms.customer_name or terms.customer_id),
        "EMAIL": terms.email or "",
        "BASKET": _allowed(f"{terms.description or terms.billing_number},{amount},1,{amount}"),
        "PAYMENTCHANNEL": CARD,
        "CUSTOMERID": terms.customer_id,
        "BILLNUMBER": terms.billing_number,
        "BILLDETAIL": _allowed(terms.description or terms.billing_number)[:256],
        "BILLTYPE": settings.bill_type,
        "STARTDATE": schedule.starts_on.strftime("%Y%m%d"),
        "ENDDATE": schedule.ends_on.strftime("%Y%m%d") if schedule.ends_on else "NA",
        "EXECUTETYPE": EXECUTE_TYPES[schedule.kind],
        "EXECUTEDATE": facts_of(terms, request_id)["execute_on"],
        "EXECUTEMONTH": "" if schedule.kind is ScheduleKind.DATES else schedule.months_text or ",".join(MONTHS),
        "FLATSTATUS": "FALSE" if terms.amount is None else "TRUE",
        "REGISTERAMOUNT": amount,
    }
    return {**fields, "WORDS": words_of(PAYMENT_REQUEST, fields, account)}


def too_long_for_forms(terms: BillTerms) -> bool:
    """Whether the older interface cannot take it: a billing number or a customer id has at most 16 [LEG, certain]."""
    return max(len(terms.billing_number), len(terms.customer_id)) > _LONGEST_ID


def _number(terms: BillTerms) -> int | str | None:
    """An amount as JSON has it, never through a float: a whole number where the currency has no smaller unit."""
    if terms.amount is None:
        return None
    written = to_major(terms.amount, terms.currency)
    return int(written) if CURRENCY_EXPONENT[terms.currency] == 0 else written


def _allowed(text: str) -> str:
    """Text with those special characters only that the older interface allows [LEG, certain]."""
    return "".join(one if one.isalnum() or one in " ,.&;+:/=" else " " for one in text)
