"""Notifications in JSON: the facts stand where the dialect's file says; whatever else there is, is left alone.

DOKU adds fields without warning and asks to parse loosely [NOTI]. The raw body is kept, so a path that turns out to be
wrong is mended in the file and the notification read again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from include.doku.codes import normalised
from include.doku.dialects import facts
from include.domain.bill_events import (
    AmountAsked,
    BillEvent,
    CardUpdate,
    PaymentResult,
    RegistrationResult,
    ReportReady,
)
from include.domain.errors import NotificationUnreadable
from include.domain.states import NotificationKind
from include.schemas.dialect import Dialect, FieldPath, RegistrationFields

JAKARTA: Final = ZoneInfo("Asia/Jakarta")


@dataclass(frozen=True)
class JsonFields:
    """Reads notifications of a JSON dialect.

    Attributes:
        currency: Of amounts that name none.
    """

    dialect: Dialect
    currency: str = "IDR"

    def parse(self, kind: NotificationKind, raw: bytes, content_type: str | None = None) -> BillEvent:  # noqa: ARG002
        """What a notification says.

        Args:
            kind: From the path that it came by.
            raw: The body as received.
            content_type: Not looked at: what is no JSON shows itself.

        Raises:
            NotificationUnreadable: No JSON object, a fact missing that cannot be, or one that cannot be read; in words
                and without any value.
        """
        body = read_object(raw)
        if kind is NotificationKind.PAYMENT:
            return self._payment(body)
        if kind is NotificationKind.REGISTRATION:
            return RegistrationResult(**self._registration(body, self.dialect.registration))
        if kind is NotificationKind.CARD_UPDATE:
            return CardUpdate(**self._registration(body, self.dialect.card_update))
        if kind is NotificationKind.REPORT_READY:
            report = self.dialect.report_ready
            return ReportReady(
                facts.needed(find(body, report.file_name), "file_name"),
                facts.needed(find(body, report.status), "status").upper(),
            )
        asked = self.dialect.amount
        return AmountAsked(
            facts.needed(find(body, asked.billing_number), "billing_number"),
            facts.key(find(body, asked.customer_id), "customer_id"),
        )

    def _registration(self, body: Mapping[str, Any], fields: RegistrationFields) -> dict[str, Any]:
        succeeded = self._succeeded(find(body, fields.status))
        if succeeded is None:
            raise facts.unreadable(
                "status", "is neither among success_words nor among failed_words of the dialect's file"
            )
        code = facts.key(find(body, fields.code), "code")
        return {
            "billing_number": facts.needed(find(body, fields.billing_number), "billing_number"),
            "customer_id": facts.key(find(body, fields.customer_id), "customer_id"),
            "succeeded": succeeded,
            "token": facts.key(find(body, fields.token), "token"),
            "masked_card": facts.shown(find(body, fields.masked_card), "masked_card"),
            "code": normalised(code) if code else None,
            "message": facts.shown(find(body, fields.message), "message"),
            "at": self._moment(find(body, fields.at), "at"),
        }

    def _payment(self, body: Mapping[str, Any]) -> PaymentResult:
        fields = self.dialect.payment
        currency = facts.currency(find(body, fields.currency), self.currency)
        code = facts.key(find(body, fields.response_code), "response_code")
        return PaymentResult(
            reference=facts.needed(find(body, fields.reference), "reference"),
            billing_number=facts.needed(find(body, fields.billing_number), "billing_number"),
            customer_id=facts.key(find(body, fields.customer_id), "customer_id"),
            response_code=normalised(code) if code else None,
            succeeded=self._succeeded(find(body, fields.status)),
            amount=facts.amount(find(body, fields.amount), currency),
            currency=currency,
            paid_at=self._moment(find(body, fields.paid_at), "paid_at"),
            response_message=facts.shown(find(body, fields.response_message), "message"),
            approval_code=facts.shown(find(body, fields.approval_code), "approval_code"),
            masked_card=facts.shown(find(body, fields.masked_card), "masked_card"),
            bank=facts.shown(find(body, fields.bank), "bank"),
            channel=facts.shown(find(body, fields.channel), "channel"),
            token=facts.key(find(body, fields.token), "token"),
            word=(facts.key(find(body, fields.status), "status") or "").upper() or None,
        )

    def _succeeded(self, value: Any) -> bool | None:
        word = (facts.key(value, "status") or "").upper()
        if word in {one.upper() for one in self.dialect.success_words}:
            return True
        return False if word in {one.upper() for one in self.dialect.failed_words} else None

    def _moment(self, value: Any, name: str) -> datetime | None:
        zone: tzinfo = UTC if self.dialect.utc else JAKARTA
        return facts.iso_moment(value, name, zone)


def read_object(raw: bytes) -> Mapping[str, Any]:
    """A JSON object, its numbers exact.

    Raises:
        NotificationUnreadable: Not JSON in UTF-8, no object, a name given twice, or nested too deep.
    """
    try:
        body = json.loads(
            raw.decode("utf-8"), parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_each_once
        )
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, Mapping):
        raise NotificationUnreadable("The body is no JSON object in UTF-8, or a name stands in it twice")
    return body


def find(body: Mapping[str, Any], field: FieldPath) -> Any:
    """What the first of the paths leads to; None where none leads anywhere."""
    return next((found for path in field.paths if (found := _follow(body, path)) is not None), None)


def _follow(value: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal():
            value = value[int(part)] if int(part) < len(value) else None
        else:
            return None
    return value


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name twice")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number")
