"""Both dialects: what they read, what they refuse in words, and that no bytes break them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.doku.dialects import facts, onecheckout
from include.doku.dialects.json_fields import JsonFields
from include.domain.bill_events import (
    AmountAsked,
    CardUpdate,
    NotOfABill,
    PaymentResult,
    RegistrationResult,
    ReportReady,
)
from include.domain.errors import ConfigError, NotificationUnreadable
from include.domain.states import NotificationKind
from include.schemas.dialect import load_dialect
from include.schemas.profile import SHIPPED_CONFIG

TOKEN = "0123456789abcdef0123456789abcdef"
SHIPPED = SHIPPED_CONFIG / "dialects" / "assumed-json.toml"
JSON = JsonFields(load_dialect(SHIPPED))
PAYMENT = {
    "order": {"amount": 150000, "currency": "IDR"},
    "transaction": {"reference": "R-1", "status": "SUCCESS", "date": "2026-11-20T03:00:00Z"},
    "billing": {"billing_number": "B-1"},
    "customer": {"id": "C-1"},
    "token": {"id": TOKEN},
    "channel": {"id": "CREDIT_CARD"},
    "card_payment": {
        "response_code": "00", "response_message": "APPROVED", "approval_code": "123456",
        "card_masked": "411111******1111", "issuer": "BCA",
    },
}  # fmt: skip
CHARGE = {
    "TRANSIDMERCHANT": "R-1", "CUSTOMERID": "C-1", "TOKENID": TOKEN, "BILLNUMBER": "B-1", "AMOUNT": "150000.00",
    "CURRENCY": "360", "CARDNUMBER": "411111******1111", "RESPONSECODE": "0000", "APPROVALCODE": "123456",
    "RESULTMSG": "SUCCESS", "BANK": "BCA", "PAYMENTDATETIME": "20261120100000", "WORDS": "x",
}  # fmt: skip
READ = PaymentResult(
    reference="R-1", billing_number="B-1", customer_id="C-1", response_code="0000", succeeded=True, amount=150_000,
    currency="IDR", paid_at=datetime(2026, 11, 20, 3, 0, tzinfo=UTC), response_message="APPROVED",
    approval_code="123456", masked_card="411111******1111", bank="BCA", channel="CREDIT_CARD", token=TOKEN,
    word="SUCCESS",
)  # fmt: skip


def _json(body, kind=NotificationKind.PAYMENT):
    return JSON.parse(kind, json.dumps(body).encode(), "application/json")


def _form(fields, kind=NotificationKind.PAYMENT):
    return onecheckout.parse(kind, urlencode(fields).encode(), None)


def _with(path, value, body=PAYMENT):
    """The body with another value at a dotted path; None removes it."""
    copy = json.loads(json.dumps(body))
    *parents, name = path.split(".")
    place = copy
    for parent in parents:
        place = place.setdefault(parent, {})
    if value is None:
        place.pop(name, None)
    else:
        place[name] = value
    return copy


def test_a_payment_says_the_same_in_both():
    assert _json(PAYMENT) == READ
    read = _form(CHARGE)
    assert read.paid_at == READ.paid_at
    for name in ("reference", "billing_number", "customer_id", "response_code", "succeeded", "amount", "currency",
                 "approval_code", "masked_card", "bank", "token", "word"):  # fmt: skip
        assert getattr(read, name) == getattr(READ, name)


def test_fields_that_nobody_knows_are_left_alone():
    assert _json({**PAYMENT, "new": {"deep": [1, {"x": None}]}, "service": {"id": "X"}}) == READ
    assert _form({**CHARGE, "NEWFIELD": "x"}) == _form(CHARGE)


@pytest.mark.parametrize(
    ("path", "value", "field", "read"),
    [
        ("card_payment.response_code", "0051", "response_code", "0051"),
        ("card_payment.response_code", "n7", "response_code", "00N7"),
        ("card_payment.response_code", "5526", "response_code", "5526"),
        ("card_payment.response_code", None, "response_code", None),
        ("transaction.status", "FAILED", "succeeded", False),
        ("transaction.status", "failed", "succeeded", False),
        ("transaction.status", "PENDING", "succeeded", None),
        ("transaction.status", None, "succeeded", None),
        ("order.amount", "150000.00", "amount", 150_000),
        ("order.amount", 0, "amount", 0),
        ("order.amount", None, "amount", None),
        ("order.currency", None, "currency", "IDR"),
        ("customer.id", 4711, "customer_id", "4711"),
        ("transaction.date", "2026-11-20T10:00:00+07:00", "paid_at", READ.paid_at),
        ("transaction.date", "2026-11-20T03:00:00", "paid_at", READ.paid_at),
        ("transaction.date", None, "paid_at", None),
        ("card_payment.issuer", ["a"], "bank", None),
        ("card_payment.issuer", "Bank\nX" + "y" * 100, "bank", "Bank\ufffdX" + "y" * 54),
        ("card_payment.response_message", "card 4111111111111111", "response_message", "card 411111******1111"),
        ("card_payment.card_masked", "4111111111111111", "masked_card", "411111******1111"),
    ],
)
def test_each_fact_of_a_payment(path, value, field, read):
    assert getattr(_json(_with(path, value)), field) == read


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("transaction.reference", None, "reference is missing"),
        ("transaction.reference", "  ", "reference is missing"),
        ("transaction.reference", "r" * 65, "longer than 64"),
        ("transaction.reference", "r\x00", "characters that no id has"),
        ("transaction.reference", "r\ud800", "characters that no id has"),
        ("transaction.reference", True, "neither a text nor a whole number"),
        ("transaction.reference", {"a": 1}, "neither a text nor a whole number"),
        ("transaction.reference", 10**30, "too many digits"),
        ("billing.billing_number", None, "billing_number is missing"),
        ("order.amount", 150000.5, "fraction of the smallest unit"),
        ("order.amount", "1.5E5", "not a decimal number"),
        ("order.amount", "150.000,00", "not a decimal number"),
        ("order.amount", -1, "negative"),
        ("order.amount", 10**15, "larger than any charge"),
        ("order.amount", True, "no number"),
        ("order.amount", [1], "no number"),
        ("order.currency", "USD", "currency is none of IDR"),
        ("transaction.date", "yesterday", "no moment"),
        ("transaction.date", "9999-12-31T23:59:59-23:59", "no moment"),
        ("transaction.date", "9999-12-31T23:59:59Z", "no moment"),
        ("transaction.date", "0001-01-01T00:00:00Z", "no moment"),  # what software writes that knows none
        ("token.id", "4111 1111 1111 1111", "card number"),
    ],
)
def test_what_cannot_be_read_is_said_without_a_value(path, value, words):
    with pytest.raises(NotificationUnreadable, match=words) as caught:
        _json(_with(path, value))
    assert TOKEN not in caught.value.message
    assert "1111" not in caught.value.message


@pytest.mark.parametrize("status", [True, False])
def test_a_registration_and_a_card_update(status):
    word = "SUCCESS" if status else "FAILED"
    body = _with("transaction.status", word)
    form = {"STATUSTYPE": "G", "BILLNUMBER": "B-1", "CUSTOMERID": "C-1", "STATUS": word, "TOKENID": TOKEN,
            "CARDNUMBER": "411111******1111", "ERRORCODE": "05", "MESSAGE": "no"}  # fmt: skip
    registered, changed = _json(body, NotificationKind.REGISTRATION), _json(body, NotificationKind.CARD_UPDATE)
    assert type(registered) is RegistrationResult
    assert type(changed) is CardUpdate
    assert registered.succeeded is changed.succeeded is status
    assert (registered.billing_number, registered.customer_id, registered.token) == ("B-1", "C-1", TOKEN)
    assert registered.at == READ.paid_at
    for kind in (NotificationKind.REGISTRATION, NotificationKind.PAYMENT):  # the older one has one address for all
        read = _form(form, kind)
        assert (type(read), read.succeeded, read.code, read.token) == (RegistrationResult, status, "0005", TOKEN)
        assert type(_form({**form, "STATUSTYPE": "T"}, kind)) is CardUpdate
    assert TOKEN not in repr(registered) + repr(_form(form))


def test_a_registration_needs_to_say_how_it_ended():
    with pytest.raises(NotificationUnreadable, match="success_words"):
        _json(_with("transaction.status", "PENDING"), NotificationKind.REGISTRATION)
    with pytest.raises(NotificationUnreadable, match="neither SUCCESS nor FAILED"):
        _form({"STATUSTYPE": "G", "BILLNUMBER": "B"})


def test_the_other_kinds():
    body = {"service": {"id": "BATCH_UPLOAD"}, "batch_file": {"name": "TKN1.TXT", "status": "done", "date": "x"}}
    assert _json(body, NotificationKind.REPORT_READY) == ReportReady("TKN1.TXT", "DONE")
    assert _json(PAYMENT, NotificationKind.AMOUNT) == AmountAsked("B-1", "C-1")
    asked = {"CUSTOMERID": "C-1", "BILLNUMBER": "B-1", "CUSTOMERNAME": "Ani"}
    assert _form(asked, NotificationKind.AMOUNT) == AmountAsked("B-1", "C-1")
    assert isinstance(_form({**CHARGE, "STATUSTYPE": "P"}), NotOfABill)
    with pytest.raises(NotificationUnreadable):
        _form(CHARGE, NotificationKind.REPORT_READY)


@pytest.mark.parametrize(
    ("fields", "succeeded"),
    [
        ({}, True),
        ({"RESPONSECODE": "00"}, True),
        ({"RESULTMSG": "FAILED"}, None),
        ({"RESULTMSG": "FAILED", "RESPONSECODE": "0051"}, False),
        ({"RESPONSECODE": "0051"}, None),
        ({"RESPONSECODE": ""}, None),
        ({"RESULTMSG": ""}, None),
    ],
)
def test_success_needs_both_words_of_the_older_interface(fields, succeeded):
    assert _form({**CHARGE, **fields}).succeeded is succeeded


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"AMOUNT": "1,5"}, "not a decimal"),
        ({"CURRENCY": "840"}, "currency"),
        ({"PAYMENTDATETIME": "20261320100000"}, "no moment"),
        ({"PAYMENTDATETIME": "00010101000000"}, "no moment"),
        ({"BILLNUMBER": ""}, "billing_number is missing"),
        ({"STATUSTYPE": "Z"}, "none of G, T and P"),
        ({"TOKENID": "4111111111111111"}, "card number"),
    ],
)
def test_what_a_form_cannot_say(fields, words):
    with pytest.raises(NotificationUnreadable, match=words):
        _form({**CHARGE, **fields})


def test_the_other_name_of_the_payment_time():
    fields = {name: value for name, value in CHARGE.items() if name != "PAYMENTDATETIME"}
    assert _form({**fields, "PAYMENTDATEANDTIME": "20261120100000"}).paid_at == READ.paid_at
    assert _form(fields).paid_at is None


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"null", b'"x"', b"{", b"\xff\xfe{}", b'{"a": 1, "a": 2}', b'{"a": NaN}', b"[" * 100_000,
        b'{"a":' * 50_000, b'{"order": {"amount": ' + b"9" * 5000 + b"}}",
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(raw):
    with pytest.raises(NotificationUnreadable):
        JSON.parse(NotificationKind.PAYMENT, raw, None)


_TEXT = 'a7é漢\u202e"\\\x00 .-:'
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(_TEXT, max_size=20)
    | st.just("2026-11-20T03:00:00Z"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(_TEXT, max_size=5), inner, max_size=3),
    max_leaves=5,
)
_PATHS = sorted({path for name in type(JSON.dialect.payment).model_fields for path in
                 getattr(JSON.dialect.payment, name).paths})  # fmt: skip


@given(st.sampled_from(list(NotificationKind)), st.dictionaries(st.sampled_from(_PATHS), _VALUES, max_size=4))
def test_no_json_breaks_it(kind, changes):
    body = PAYMENT
    for path, value in changes.items():
        try:
            body = _with(path, value, body)
        except (AttributeError, TypeError):
            return
    try:
        read = _json(body, kind)
    except NotificationUnreadable:
        return
    if isinstance(read, PaymentResult):
        assert read.amount is None or type(read.amount) is int
        assert read.paid_at is None or read.paid_at.tzinfo is not None


@given(st.sampled_from(list(NotificationKind)), st.binary(max_size=100))
def test_no_bytes_break_either(kind, raw):
    for parse in (JSON.parse, onecheckout.parse):
        try:
            parse(kind, raw, "text/plain")
        except NotificationUnreadable:
            continue


@given(st.sampled_from(list(NotificationKind)), st.dictionaries(st.sampled_from(sorted(CHARGE)), st.text(max_size=20)))
def test_no_form_breaks_it(kind, changes):
    raw = urlencode({**CHARGE, **changes}, errors="surrogatepass").encode()
    try:
        onecheckout.parse(kind, raw, None)
    except NotificationUnreadable:
        return


@given(st.decimals(allow_nan=True, allow_infinity=True))
def test_an_amount_is_exact_or_refused(value):
    try:
        read = facts.amount(value, "IDR")
    except NotificationUnreadable:
        assert not (value.is_finite() and value == value.to_integral_value() and 0 <= value < 10**12)
        return
    assert Decimal(read) == value


def test_a_path_may_lead_through_a_list_and_have_another_behind_it():
    text = SHIPPED.read_text(encoding="utf-8")
    old = 'reference = { paths = ["transaction.reference", "order.invoice_number"]'
    assert old in text
    dialect = type(JSON.dialect).from_toml(text.replace(old, 'reference = { paths = ["items.1.no", "ref"]'), "x")
    reader = JsonFields(dialect)
    for extra, reference in (({"items": [{"no": 1}, {"no": "R-9"}]}, "R-9"), ({"items": [], "ref": "R-8"}, "R-8")):
        raw = json.dumps({**PAYMENT, **extra}).encode()
        assert reader.parse(NotificationKind.PAYMENT, raw, None).reference == reference


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('path = "customer.email", source = "email"', 'path = "customer.email", source = "mail"', "is none of"),
        ('path = "customer.email", source = "email"', 'path = "customer.email"', "either source or value"),
        ('path = "customer.email"', 'path = "customer"', "lie below it"),
        ('answer_url = { paths = ["registration.url"] }', "", "needs answer_url"),
        ("code = { paths", "code = { path", "unknown key|missing"),
        ('name = "assumed-json"', 'name = "other"', "the file is called"),
        ('path = "/recurring/v1/cancel"', 'path = "recurring"', "path"),
        ("utc = true", "utc = true\nsurprise = 1", "unknown key"),
    ],
)
def test_a_dialect_file_that_makes_no_sense_is_refused(tmp_path, old, new, words):
    text = SHIPPED.read_text(encoding="utf-8")
    if old not in text:
        old, new = "code = { paths", "code = { path"
    file = tmp_path / "assumed-json.toml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=words):
        load_dialect(file)
