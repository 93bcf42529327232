import hashlib
import re

import pytest

from include.domain.errors import LayoutError
from include.schemas.layout import load_layout, parse_layout
from tests.unit.doku.samples import LAYOUTS, SHIPPED, shipped

BATCH = (LAYOUTS / "assumed-batch.toml").read_text("utf-8")
FIXED = (LAYOUTS / "fixed-width-batch.toml").read_text("utf-8")
REPORT = (LAYOUTS / "assumed-report.toml").read_text("utf-8")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_layouts_are_taken_and_marked_as_assumed(name: str) -> None:
    layout = shipped(name)
    assert layout.assumed
    assert layout.description
    text = (LAYOUTS / f"{name}.toml").read_text("utf-8")
    assert layout.text == text
    assert layout.digest == hashlib.sha256(text.encode()).hexdigest()
    assert parse_layout(layout.text, "the ledger") == layout


def test_the_rules_of_the_assumed_batch() -> None:
    rules = shipped("assumed-batch").rules()
    token = rules["token"]
    assert (token.max_length, token.required, token.forbidden) == (128, True, frozenset("|"))
    assert re.fullmatch(f"{token.allowed}+", "TOK_a1::b-2.c")
    assert not re.fullmatch(f"{token.allowed}+", "a|b")
    assert not rules["billing_number"].required
    assert rules["amount"].type == "amount"
    assert not rules["description"].not_last
    assert "merchant" not in rules
    assert shipped("assumed-batch").largest_amount("IDR") == 10**12 - 1


def test_the_rules_of_a_fixed_layout_keep_values_apart_from_padding() -> None:
    rules = shipped("fixed-width-batch").rules()
    assert rules["description"].not_last == " "
    assert rules["description"].not_first == ""
    assert rules["description"].forbidden == frozenset()


def test_a_field_in_two_columns_must_suit_both() -> None:
    text = BATCH.replace(
        '{ name = "record_type", value = "D" }',
        '{ name = "again", source = "attempt.customer_id", length = 9, charset = "upper-alphanumeric", required = false }',  # noqa: E501
    )
    rule = parse_layout(text, "x.toml").rules()["customer_id"]
    assert (rule.max_length, rule.required, rule.allowed) == (9, True, "[0-9A-Z]")


def test_the_name_must_be_the_files_own(tmp_path) -> None:
    (tmp_path / "other.toml").write_text(BATCH)
    with pytest.raises(LayoutError, match=r"other\.toml: name: is 'assumed-batch'"):
        load_layout(tmp_path / "other.toml")
    with pytest.raises(LayoutError, match="no such file"):
        load_layout(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("text", "old", "new", "key", "reason"),
    [
        (BATCH, 'kind = "batch"', 'kind = "bill"', "kind", "'batch', 'report' or 'register'"),
        (BATCH, "assumed = true", "assumed = true\nfoo = 1", "foo", "unknown key"),
        (BATCH, "assumed = true", 'text = "x"', "text", "unknown key"),
        (BATCH, "[file]", "[file", "", "not valid TOML"),
        (BATCH, 'encoding = "ascii"', 'encoding = "ebcdic"', "file.encoding", "ascii"),
        (BATCH, 'line_end = "\\r\\n"', 'line_end = "\\r"', "file.line_end", ""),
        (BATCH, 'delimiter = "|"', "", "file.delimiter", "needs a delimiter"),
        (BATCH, 'delimiter = "|"', 'delimiter = "||"', "file.delimiter", "1 character"),
        (BATCH, 'delimiter = "|"', 'delimiter = "x"', "file.delimiter", "no letter"),
        (BATCH, 'delimiter = "|"', 'delimiter = " "', "file.delimiter", "no letter"),
        (BATCH, 'delimiter = "|"', 'delimiter = "é"', "file.delimiter", "no letter"),
        (BATCH, 'delimiter = "|"', 'delimiter = "\\n"', "file.delimiter", "no letter"),
        (BATCH, 'delimiter = "|"', 'delimiter = "."', "header.columns.total", "writes the delimiter"),
        (BATCH, 'format = "delimited"', 'format = "fixed"', "file.delimiter", "no delimiter"),
        (BATCH, 'type = "amount", format = "0.00", length = 15', 'type = "money"', "detail.columns.6.type", ""),
        (BATCH, 'format = "0.00", length = 15', 'format = "0.0.0"', "detail.columns.amount", "amount format"),
        (BATCH, 'format = "0.00", length = 15', 'format = "0.00", length = 3', "detail.columns.amount", "too short"),
        (BATCH, 'source = "attempt.amount", type = "amount"', 'source = "attempt.amount", type = "text"',
         "detail.columns.amount", "does not suit"),
        (BATCH, 'source = "attempt.token"', 'source = "attempt.tokn"', "detail.columns.token", "not known here"),
        (BATCH, 'source = "attempt.token"', 'source = "line.token"', "detail.columns.token", "not known here"),
        (BATCH, 'source = "attempt.token"', 'source = "file.count"', "detail.columns.token", "not known here"),
        (BATCH, 'source = "attempt.token", length', 'source = "attempt.token", value = "x", length',
         "detail.columns.token", "not both"),
        (BATCH, 'source = "attempt.token", length', "length", "detail.columns.token", "either value"),
        (BATCH, 'source = "attempt.token"', 'source = "attempt.charge_id"', "header or detail", "attempt.token"),
        (BATCH, 'source = "attempt.token", length', 'source = "attempt.token", required = false, length',
         "detail.columns", "attempt.token"),
        (BATCH, 'name = "token"', 'name = "amount"', "detail.columns.amount", "two columns"),
        (BATCH, 'name = "token"', 'name = "Token"', "detail.columns.5.name", ""),
        (BATCH, 'charset = "token"', 'charset = "tokens"', "detail.columns.token", "none of"),
        (BATCH, 'charset = "token"', 'charset = "regex:[|]"', "detail.columns.token", "nothing but the delimiter"),
        (BATCH, 'charset = "token"', 'format = "0"', "detail.columns.token", "format is for"),
        (BATCH, 'charset = "token"', "start = 4", "detail.columns.token", "fixed-width"),
        (BATCH, 'charset = "token"', 'padding = { side = "left", character = "|" }', "detail.columns.token", "delimiter"),  # noqa: E501
        (BATCH, 'length = 128, charset = "token"', 'padding = { side = "left", character = " " }',
         "detail.columns.token", "needs a length"),
        (BATCH, "length = 128", "length = 0", "detail.columns.5.length", "greater than or equal to 1"),
        (BATCH, "length = 128", "length = 100000", "detail.columns.5.length", "less than or equal"),
        (BATCH, 'format = "yyyyMMdd", doku', 'format = "yyMMdd", doku', "detail.columns.execute_date", "date format"),
        (BATCH, 'value = "D"', 'value = "D|"', "detail.columns.record_type", "delimiter"),
        (BATCH, 'value = "D"', 'value = "D\\t"', "detail.columns.record_type", "printed"),
        (BATCH, 'value = "D"', 'value = "D", type = "text"', "detail.columns.record_type", "constant has no type"),
        (BATCH, 'source = "file.count", type = "integer"', 'source = "file.count", required = false',
         "header.columns.count", "always there"),
        (BATCH, "[detail]", "[details]", "detail", "missing"),
        (REPORT, 'source = "line.response_code"', 'source = "line.network"', "detail.columns", "line.response_code"),
        (REPORT, 'source = "line.bank"', 'source = "attempt.bank"', "detail.columns.bank", "not known here"),
        (BATCH, 'length = 30, charset = "alphanumeric"', "length = 19", "detail.columns.invoice_number", "have 20"),
        (BATCH, 'charset = "alphanumeric"', 'charset = "alpha"', "detail.columns.invoice_number", "lacks"),
        (BATCH, 'length = 30, charset = "alphanumeric"', 'length = 30, padding = { side = "right", character = "0" }',
         "detail.columns.invoice_number", "part of an invoice number"),
        (FIXED, 'encoding = "ascii"', 'encoding = "utf-8"', "file.encoding", "no fixed width"),
        (FIXED, "length = 3, start = 28", "start = 28", "detail.columns.currency", "needs a length"),
        (FIXED, "start = 28", "start = 27", "detail.columns.currency", "overlaps"),
        (FIXED, "start = 28", "start = 29", "detail.columns.currency", "gap"),
        (FIXED, 'value = "DTL", start = 1', 'value = "", start = 1', "detail.columns.record_type", "needs a length"),
        (FIXED, 'value = "DTL", start = 1', 'value = "DTL", length = 2', "detail.columns.record_type", "more than"),
        (FIXED, 'type = "integer", length = 10, start = 311', 'length = 10, required = false',
         "detail.columns.line_no", "padded with 0"),
        (FIXED, 'format = "0v00", length = 14', 'format = "#,##0", length = 14', "detail.columns.amount", "groups"),
        (FIXED, 'format = "0v00", length = 14', 'padding = { side = "right", character = "0" }, length = 14',
         "detail.columns.amount", "zeros on the left"),
        (FIXED, 'format = "dd/MM/yyyy", length = 10, start = 4,', 'format = "dd/MM/yyyy", length = 9, start = 4,',
         "detail.columns.execute_date", "too short"),
    ],
)  # fmt: skip
def test_a_layout_that_makes_no_sense_is_refused(text: str, old: str, new: str, key: str, reason: str) -> None:
    assert text.count(old), "the test's own sample has changed"
    with pytest.raises(LayoutError) as caught:
        parse_layout(text.replace(old, new, 1), "profiles/layouts/own.toml")
    refused = caught.value
    assert refused.file == "profiles/layouts/own.toml"
    assert refused.key.startswith(key) or key in refused.key or (key == "header or detail" and "columns" in refused.key)
    assert reason in refused.reason
    assert str(refused).startswith("profiles/layouts/own.toml: ")


def test_a_layout_with_columns_of_fields_only_a_report_has_may_ignore_them() -> None:
    text = REPORT.replace('source = "line.bank"', 'source = "ignored"')
    assert "bank" not in parse_layout(text, "x.toml").rules()
