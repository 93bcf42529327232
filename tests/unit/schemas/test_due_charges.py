"""Validation of due charges: every row goes on, good ones typed, others with every reason and without secrets."""

import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.domain.due_charge_columns import COLUMNS
from include.schemas.due_charges import (
    REASONS,
    STORED_LENGTH,
    DueChargeRules,
    DueCharges,
    DueChargesRead,
    describe,
    validate_due_charges,
)
from include.schemas.layout import FieldRule, parse_layout
from include.schemas.profile import Profile
from include.schemas.shape import ShapeError

DAY = date(2026, 11, 22)
TOKEN = "0123456789abcdef0123456789abcdef"
VISA = "4111111111111111"
GOOD: dict[str, Any] = {
    "charge_id": "PRM-202611-0000001",
    "customer_id": "C00000001",
    "billing_number": "PJ000000001",
    "token": TOKEN,
    "amount": "1500000.00",
    "currency": "IDR",
    "due_date": "2026-11-22",
    "channel": "CREDIT_CARD",
    "description": "Premi Jiwa Keluarga 11-2026",
    "network": "VISA",
    "billing_period": None,
    "attempt_no": None,
}


def _rule(max_length: int = 30, allowed: str = "[ -~]", required: bool = False, **edges: str) -> FieldRule:
    return FieldRule("text", max_length, allowed, required, frozenset("|"), **edges)


RULES = DueChargeRules(
    business_date=DAY,
    late_window_days=30,
    max_amount=50_000_000,
    currencies=frozenset({"IDR"}),
    token_pattern=r"[A-Za-z0-9_.:\-]{8,128}",
    fields={
        "charge_id": _rule(40, "[A-Za-z0-9-]"),
        "customer_id": _rule(16, "[A-Za-z0-9]", required=True),
        "billing_number": _rule(16, "[A-Za-z0-9]", not_first="0"),
        "token": _rule(64, "[A-Za-z0-9_.:-]"),
        "description": _rule(40, required=True, not_last=" "),
    },
    largest_amounts={"IDR": 40_000_000},
)


def frame_of(*rows: dict[str, Any]) -> pd.DataFrame:
    columns = {name: pd.array([row.get(name) for row in rows], dtype=pd.ArrowDtype(pa.string())) for name in COLUMNS}
    frame = pd.DataFrame({"row_no": np.arange(1, len(rows) + 1, dtype=np.int64), **columns})
    return frame[list(DueChargesRead.to_schema().columns)]


def _validate(*rows: dict[str, Any], rules: DueChargeRules = RULES) -> pd.DataFrame:
    return validate_due_charges(frame_of(*rows), rules)


def _reasons(**change: Any) -> str | None:
    reasons = _validate(GOOD | change)["reasons"][0]
    return None if reasons is pd.NA else reasons


def test_a_good_charge_is_typed() -> None:
    result = _validate(GOOD)
    row = result.iloc[0]
    assert row.dropna().to_dict() == {
        **{name: value for name, value in GOOD.items() if value is not None},
        "row_no": 1,
        "amount": 1_500_000,
        "due_date": DAY,
        "late": False,
    }
    assert result.dtypes.astype(str).to_dict() == {
        "row_no": "int64",
        **dict.fromkeys(["charge_id", "customer_id", "billing_number", "token"], "string[pyarrow]"),
        "amount": "int64",
        "currency": "string[pyarrow]",
        "due_date": "date32[day][pyarrow]",
        **dict.fromkeys(["channel", "description", "network", "billing_period"], "string[pyarrow]"),
        "attempt_no": "int64[pyarrow]",
        "late": "bool",
        "reasons": "string[pyarrow]",
    }


@pytest.mark.parametrize("name", ["charge_id", "customer_id", "token", "amount", "currency", "due_date", "description"])
@pytest.mark.parametrize("value", [None, "", "  ", "\u00a0"])
def test_what_is_required_may_not_be_missing(name: str, value: str | None) -> None:
    reasons = (_reasons(**{name: value}) or "").split(";")
    assert f"{name}:missing" in reasons
    assert f"{name}:unreadable" not in reasons


@pytest.mark.parametrize("name", ["billing_number", "channel", "network", "billing_period", "attempt_no"])
def test_what_the_layout_does_not_require_may_be_missing(name: str) -> None:
    assert _reasons(**{name: None}) is None


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        ({"amount": "1,500"}, "amount:unreadable"),
        ({"amount": "NaN"}, "amount:unreadable"),
        ({"amount": "0.50"}, "amount:not_whole"),
        ({"amount": "0"}, "amount:not_positive"),
        ({"amount": "-5"}, "amount:not_positive"),
        ({"amount": "40000001"}, "amount:too_long"),
        ({"amount": "50000001"}, "amount:over_limit;amount:too_long"),
        ({"amount": "9" * 18}, "amount:too_large"),
        ({"amount": "9" * 40}, "amount:too_large"),
        ({"currency": "USD"}, "currency:not_allowed"),
        ({"currency": "idr"}, "currency:not_allowed"),
        ({"due_date": "22/11/2026"}, "due_date:unreadable"),
        ({"due_date": "2026-02-30"}, "due_date:unreadable"),
        ({"due_date": "2026-11-22 00:00:00+07"}, "due_date:unreadable"),
        ({"due_date": "2026-11-23"}, "due_date:not_due"),
        ({"charge_id": "a b"}, "charge_id:bad_characters"),
        ({"charge_id": "é"}, "charge_id:bad_characters"),
        ({"charge_id": "x" * 41}, "charge_id:too_long"),
        ({"customer_id": "C|1"}, "customer_id:delimiter"),
        ({"billing_number": "0123"}, "billing_number:padding"),
        ({"description": "ends "}, "description:padding"),
        ({"description": "a\tb"}, "description:control_character"),
        ({"description": "a\u0085b"}, "description:control_character"),
        ({"description": "a\u2028b"}, "description:control_character"),
        ({"description": "a\ufffdb"}, "description:bad_characters"),
        ({"channel": "a\x00b"}, "channel:control_character"),
        ({"channel": "a\ufffdb"}, "channel:bad_characters"),
        ({"channel": "x" * 201}, "channel:too_long"),
        ({"token": "short"}, "token:bad_shape"),
        ({"token": "x" * 65}, "token:too_long"),
        ({"token": VISA}, "token:card_number"),
        ({"customer_id": VISA}, "customer_id:card_number"),
        ({"attempt_no": "x"}, "attempt_no:unreadable"),
        ({"attempt_no": "0"}, "attempt_no:not_positive"),
        ({"attempt_no": "99999"}, "attempt_no:too_large"),
        ({"amount": "1\n"}, "amount:control_character"),
    ],
)
def test_each_rule_has_its_reason(change: dict[str, Any], reasons: str) -> None:
    assert _reasons(**change) == reasons


def test_all_reasons_are_kept_in_a_fixed_order() -> None:
    reasons = _reasons(description="a|b\tc " + "x" * 40, token=VISA + "!", amount="-1.5", currency=None, charge_id="")
    assert reasons == (
        "charge_id:missing;token:bad_characters;token:bad_shape;token:card_number;currency:missing;"
        "description:too_long;description:control_character;description:delimiter"
    )


@pytest.mark.parametrize(
    ("value", "day"),
    [
        ("2026-11-22", DAY), ("2026-11-22 00:00:00", DAY), ("2026-11-22T23:59:59.999", DAY), ("2026-11-22 08:00", DAY),
    ],
)  # fmt: skip
def test_days_are_read_with_or_without_a_time(value: str, day: date) -> None:
    assert _validate(GOOD | {"due_date": value})["due_date"][0] == day


def test_late_is_before_the_window() -> None:
    days = [DAY - timedelta(days=away) for away in (0, 30, 31, 400)]
    result = _validate(*(GOOD | {"due_date": day.isoformat()} for day in days))
    assert result["late"].tolist() == [False, False, True, True]
    assert result["reasons"].isna().all()


def test_a_charge_without_a_day_is_not_late() -> None:
    assert _validate(GOOD | {"due_date": None})["late"].tolist() == [False]


def test_attempt_numbers_are_read() -> None:
    assert _validate(*(GOOD | {"attempt_no": text} for text in ("1", "2.00", "9999")))["attempt_no"].tolist() == [
        1,
        2,
        9999,
    ]


def test_a_rejected_row_can_be_stored_and_shown() -> None:
    (row,) = _validate(
        GOOD
        | {
            "charge_id": f"c {VISA}",
            "description": "kartu 4111-1111-1111-1111\x00\r\n" + "é" * 2000,
            "customer_id": "x" * 300,
            "channel": "\x07",
            "amount": "?",
        }
    ).to_dict("records")
    assert row["token"] is pd.NA or row["token"] is None
    assert row["charge_id"] == "c 411111******1111"
    assert row["description"].startswith("kartu 4111-11**-****-1111���é")
    assert len(row["description"]) == STORED_LENGTH["description"]
    assert row["customer_id"] == "x" * 200
    assert row["channel"] == "�"
    assert row["amount"] == 0


def test_other_columns_of_a_rejected_row_and_good_rows_stay_as_they_are() -> None:
    result = _validate(GOOD, GOOD | {"amount": "0"}, GOOD | {"billing_number": "PJ2"})
    assert result["token"].isna().tolist() == [False, True, False]
    assert result["row_no"].tolist() == [1, 2, 3]
    assert result["billing_number"].tolist() == ["PJ000000001", "PJ000000001", "PJ2"]


def test_the_merchant_s_own_numbers_may_be_excepted_but_never_tokens() -> None:
    rules = DueChargeRules(DAY, 30, 50_000_000, frozenset({"IDR"}), ".*", own_numbers=frozenset({"billing_number"}))
    result = _validate(GOOD | {"billing_number": VISA}, GOOD | {"customer_id": VISA}, rules=rules)
    assert result["reasons"].fillna("").tolist() == ["", "customer_id:card_number"]
    assert result["billing_number"][0] == VISA
    with pytest.raises(ValueError, match="never"):
        DueChargeRules(DAY, 30, 1, frozenset({"IDR"}), ".*", own_numbers=frozenset({"token"}))


@pytest.mark.parametrize("pattern", [r"[0-9a-f]{32}", r"(?!x)[0-9a-f]{32}"])
def test_a_token_matches_its_pattern_as_a_whole(pattern: str) -> None:
    rules = DueChargeRules(DAY, 30, 50_000_000, frozenset({"IDR"}), pattern)
    tokens = [TOKEN, f"{TOKEN}0", f"x{TOKEN}", TOKEN[:-1], f"{TOKEN}\n"]
    result = _validate(*(GOOD | {"token": token} for token in tokens), rules=rules)
    assert [("bad_shape" in (reasons or "")) for reasons in result["reasons"].fillna("")] == [
        False,
        True,
        True,
        True,
        True,
    ]


def test_no_rows_are_no_rows() -> None:
    result = _validate()
    assert result.empty
    assert list(result.columns) == list(DueCharges.to_schema().columns)


def test_a_frame_of_another_shape_is_refused_without_showing_it() -> None:
    with pytest.raises(ShapeError) as caught:
        validate_due_charges(frame_of(GOOD).rename(columns={"token": "secret"}), RULES)
    assert TOKEN not in str(caught.value)
    assert caught.value.__context__ is None
    broken = _validate(GOOD).assign(reasons=pd.array(["token:missing"], dtype=pd.ArrowDtype(pa.string())))
    from include.schemas.shape import checked

    with pytest.raises(ShapeError, match="a rejected row has no token") as caught:
        checked(DueCharges, broken)
    assert TOKEN not in str(caught.value)


def test_every_reason_tells_what_to_do() -> None:
    for name, code, sentence in describe(";".join(f"token:{code}" for code in REASONS)):
        assert (name, sentence) == ("token", REASONS[code])
        assert sentence.endswith(".")


def test_every_column_is_described_with_its_source() -> None:
    for model in (DueChargesRead, DueCharges):
        for name, column in model.to_schema().columns.items():
            assert "Source: " in (column.description or ""), name


def test_the_rules_come_from_the_profile_and_its_layout() -> None:
    project = Path(__file__).resolve().parents[3]
    layout = parse_layout((project / "tests/unit/schemas/small-batch.toml").read_text(), "small-batch.toml")
    profile = Profile.model_validate(
        {
            "name": "insurance",
            "title": "Insurer",
            "environment": "sandbox",
            "merchant": "INSURER",
            "billing_source": "insurer",
            "connections": {"billing": "b", "sftp": "s"},
            "limits": {"max_amount_per_charge": 2_000_000},
            "batch": {"public_keys": [{"file": "k", "valid_from": "2026-01-01", "valid_until": "2027-01-01"}]},
        },
        strict=False,
    )
    rules = DueChargeRules.of(profile, layout, DAY)
    assert rules.max_amount == 2_000_000
    assert rules.late_window_days == 30
    assert rules.largest_amounts == {"IDR": 999_999_999}
    result = _validate(GOOD, GOOD | {"description": "a;b"}, GOOD | {"amount": "2000001"}, rules=rules)
    assert result["reasons"].fillna("").tolist() == ["", "description:delimiter", "amount:over_limit"]


TEXTS = (
    st.none()
    | st.text(max_size=12)
    | st.sampled_from([VISA, "a|b", TOKEN, "2026-11-01", "1500000.00", "IDR", "x" * 60])
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fixed_dictionaries({name: st.just(GOOD[name]) | TEXTS for name in COLUMNS}), max_size=6))
def test_every_row_goes_on_and_reasons_are_complete(rows: list[dict[str, Any]]) -> None:
    result = _validate(*rows)
    assert len(result) == len(rows)
    for given_row, row in zip(rows, result.to_dict("records"), strict=True):
        reasons = set() if pd.isna(row["reasons"]) else set(row["reasons"].split(";"))
        assert ("token:missing" in reasons) == (not (given_row["token"] or "").strip())
        assert ("currency:not_allowed" in reasons) == (
            bool((given_row["currency"] or "").strip()) and row["currency"] != "IDR"
        )
        for name in COLUMNS:
            text = given_row[name] or ""
            assert (f"{name}:control_character" in reasons) == bool(
                re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)
            )
            rule = RULES.fields.get(name)
            if rule is not None:
                assert (f"{name}:delimiter" in reasons) == ("|" in text)
                assert (f"{name}:too_long" in reasons) == (len(text) > rule.max_length)
        if not reasons:
            assert row["token"] == given_row["token"]
            assert row["amount"] > 0
