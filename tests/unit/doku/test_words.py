"""WORDS: the recipes by hand, and that nothing altered or carried by a browser passes as DOKU's."""

import hashlib
import hmac
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from include.doku import words
from include.doku.words import WordsAccount, is_signed, read_form, words_of

ACCOUNT = WordsAccount("12345", "s3cr3t")
CHARGE = {
    "TRANSIDMERCHANT": "T-1", "CUSTOMERID": "C1", "TOKENID": "tok", "BILLNUMBER": "B1", "RESULTMSG": "SUCCESS",
    "VERIFYSTATUS": "NA", "AMOUNT": "150000.00", "RESPONSECODE": "0000",
}  # fmt: skip
REGISTERED = {"STATUSTYPE": "G", "CHAINMERCHANT": "NA", "BILLNUMBER": "B1", "CUSTOMERID": "C1", "STATUS": "SUCCESS"}


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("recipe", "fields", "text"),
    [
        (words.PAYMENT_REQUEST, {"AMOUNT": "10.00", "TRANSIDMERCHANT": "T"}, "10.0012345s3cr3tT"),
        (words.PAYMENT_REQUEST, {"AMOUNT": "10.00", "TRANSIDMERCHANT": "T", "CURRENCY": "360"}, "10.0012345s3cr3tT"),
        (words.PAYMENT_REQUEST, {"AMOUNT": "1.00", "TRANSIDMERCHANT": "T", "CURRENCY": "840"}, "1.0012345s3cr3tT840"),
        (words.PAYMENT_NOTIFY, {**CHARGE, "AMOUNT": "10.00"}, "10.0012345s3cr3tT-1SUCCESSNA"),
        (words.REGISTRATION_NOTIFY, REGISTERED, "12345NAB1C1SUCCESSs3cr3t"),
        (words.CHARGE_NOTIFY, CHARGE, "T-112345s3cr3tC1tokB1SUCCESSNA"),
        (words.CHARGE_NOTIFY_WITHOUT_BILL, CHARGE, "T-112345s3cr3tC1tokSUCCESSNA"),
        (words.AMOUNT_QUESTION, {"CUSTOMERID": "C1", "BILLNUMBER": "B1"}, "C1s3cr3tB1"),
        (words.REDIRECT, {**CHARGE, "AMOUNT": "10.00"}, "10.00s3cr3tT-1C1B1"),
        (words.CARD_UPDATE_REQUEST, REGISTERED, "12345NAB1C1s3cr3t"),
        (words.STATUS_REQUEST, {"TRANSIDMERCHANT": "T"}, "12345s3cr3tT"),
        (words.VOID_REQUEST, {"TRANSIDMERCHANT": "T", "SESSIONID": "S"}, "12345s3cr3tTS"),
    ],
)
def test_the_recipes(recipe, fields, text):
    assert words_of(recipe, fields, ACCOUNT) == _sha1(text)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "hmac-sha1", "hmac-sha256"])
def test_the_algorithms(algorithm):
    account = WordsAccount("12345", "s3cr3t", algorithm=algorithm)
    text = b"C1s3cr3tB1"
    expected = (
        hmac.new(b"s3cr3t", text, algorithm[5:]).hexdigest()
        if algorithm.startswith("hmac")
        else hashlib.new(algorithm, text).hexdigest()
    )
    fields = {"CUSTOMERID": "C1", "BILLNUMBER": "B1"}
    assert words_of(words.AMOUNT_QUESTION, fields, account) == expected
    assert is_signed({**fields, "WORDS": expected.upper()}, account, question=True)
    assert not is_signed({**fields, "WORDS": expected}, ACCOUNT, question=True) or algorithm == "sha1"


@pytest.mark.parametrize(
    ("fields", "recipe"),
    [
        (CHARGE, words.CHARGE_NOTIFY),
        ({**CHARGE, "VERIFYSTATUS": "", "TOKENID": ""}, words.CHARGE_NOTIFY),
        (REGISTERED, words.REGISTRATION_NOTIFY),
        ({**REGISTERED, "STATUSTYPE": "T", "STATUS": "FAILED"}, words.REGISTRATION_NOTIFY),
        ({**CHARGE, "STATUSTYPE": "P"}, words.PAYMENT_NOTIFY),
    ],
)
def test_what_doku_signs_is_taken(fields, recipe):
    signed = {**fields, "WORDS": words_of(recipe, fields, ACCOUNT)}
    assert is_signed(signed, ACCOUNT)
    assert not is_signed(signed, ACCOUNT, question=True)
    assert not is_signed({**signed, "WORDS": ""}, ACCOUNT)
    assert not is_signed({name: value for name, value in signed.items() if name != "WORDS"}, ACCOUNT)
    assert not is_signed(signed, WordsAccount("12345", "other"))
    assert not is_signed(signed, WordsAccount("54321", "s3cr3t"))


@given(st.sampled_from(["TRANSIDMERCHANT", "CUSTOMERID", "BILLNUMBER", "RESULTMSG"]), st.text(max_size=8))
def test_an_altered_field_is_refused(name, value):
    fields = {key: one for key, one in CHARGE.items() if key != "AMOUNT"}
    signed = {**fields, "WORDS": words_of(words.CHARGE_NOTIFY, fields, ACCOUNT)}
    altered = {**signed, name: value}
    assert is_signed(altered, ACCOUNT) == (altered == signed)


def test_a_payment_is_not_moved_to_another_bill_by_who_has_seen_it():
    """Without BILLNUMBER among what is signed, its value could be hidden in the field before it."""
    seen = {**CHARGE, "WORDS": words_of(words.CHARGE_NOTIFY, CHARGE, ACCOUNT)}
    moved = {**seen, "TOKENID": CHARGE["TOKENID"] + CHARGE["BILLNUMBER"], "BILLNUMBER": "B-OTHER"}
    assert is_signed(seen, ACCOUNT)
    assert not is_signed(moved, ACCOUNT)


def test_charges_signed_without_their_bill_are_taken_only_where_doku_does_so():
    signed = {**CHARGE, "WORDS": words_of(words.CHARGE_NOTIFY_WITHOUT_BILL, CHARGE, ACCOUNT)}
    assert not is_signed(signed, ACCOUNT)
    assert is_signed(signed, replace(ACCOUNT, charges_without_bill=True))


def test_what_the_customers_browser_carries_is_no_notification():
    request = {"AMOUNT": "10.00", "TRANSIDMERCHANT": "T-1"}
    carried = words_of(words.PAYMENT_REQUEST, request, ACCOUNT)
    forged = {**request, "STATUSTYPE": "P", "RESULTMSG": "", "VERIFYSTATUS": "", "WORDS": carried}
    assert not is_signed(forged, ACCOUNT)
    update = words_of(words.CARD_UPDATE_REQUEST, REGISTERED, ACCOUNT)
    assert not is_signed({**REGISTERED, "STATUS": "", "WORDS": update}, ACCOUNT)


def test_an_unknown_status_type_is_refused():
    fields = {**CHARGE, "STATUSTYPE": "X"}
    assert not is_signed({**fields, "WORDS": words_of(words.CHARGE_NOTIFY, fields, ACCOUNT)}, ACCOUNT)


def test_a_form_is_read_as_it_came():
    assert read_form(b"A=1&B=&C=a%20b+c") == {"A": "1", "B": "", "C": "a b c"}
    latin = read_form(b"CUSTOMERNAME=Jos%E9&CUSTOMERID=%E9&BILLNUMBER=B1")
    own = hashlib.sha1(b"\xe9s3cr3tB1").hexdigest()
    assert is_signed({**latin, "WORDS": own}, ACCOUNT, question=True)


@pytest.mark.parametrize("raw", [b"A=1&A=2", b"nothing", b"&".join(b"F%d=1" % n for n in range(300)), b'{"a": 1}'])
def test_what_is_no_form_is_refused(raw):
    with pytest.raises(ValueError):  # noqa: PT011 - of parse_qsl as well
        read_form(raw)


@given(st.binary(max_size=200))
def test_no_bytes_break_it(raw):
    try:
        fields = read_form(raw)
    except ValueError:
        return
    assert not is_signed({**fields, "WORDS": "00"}, ACCOUNT)


def test_the_key_is_never_shown():
    assert "s3cr3t" not in repr(ACCOUNT)
