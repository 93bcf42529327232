import re
from contextlib import suppress
from datetime import date

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from include.domain.errors import DokuError
from include.domain.file_names import FileNameError, FileNameTemplate, stem_of

DAY = date(2026, 1, 5)
BATCH = FileNameTemplate("TKN_{merchant}_{business_date:yyyyMMdd}_{sequence:04}.TXT")
REPORT = FileNameTemplate("RPT_{batch_stem}.TXT")


def test_a_batch_files_name() -> None:
    facts = {"merchant": "MCH-0001", "business_date": DAY, "sequence": 7}
    assert BATCH.render({**facts, "execute_date": DAY}) == "TKN_MCH-0001_20260105_0007.TXT"
    assert BATCH.parse("TKN_MCH-0001_20260105_0007.TXT") == facts
    assert BATCH.fields == {"merchant", "business_date", "sequence"}


def test_a_reports_name() -> None:
    name = "TKN_MCH-0001_20260105_0007.TXT"
    assert REPORT.render({"batch_name": name}) == "RPT_TKN_MCH-0001_20260105_0007.TXT"
    assert REPORT.parse("RPT_TKN_MCH-0001_20260105_0007.TXT") == {"batch_stem": stem_of(name)}
    parts = FileNameTemplate("{batch_stem}_{part}of{parts}.TXT")
    assert parts.parse("TKN_M_1_2of3.TXT") == {"batch_stem": "TKN_M_1", "part": 2, "parts": 3}
    assert FileNameTemplate("R-{batch_name}").parse("R-TKN_1.TXT") == {"batch_name": "TKN_1.TXT"}


@pytest.mark.parametrize(
    "name",
    [
        "",
        "TKN_MCH-0001_20260105_0007.txt",
        "TKN_MCH-0001_20260105_007.TXT",
        "TKN_MCH-0001_20260105_00007.TXT",
        "TKN_MCH-0001_20260230_0007.TXT",
        "TKN_MCH_0001_20260105_0007.TXT",
        "TKN__20260105_0007.TXT",
        "TKN_MCH-0001_20260105_0007.TXT\n",
        "TKN_MCH-0001_20260105_0007.TXT.part",
        "../TKN_MCH-0001_20260105_0007.TXT",
        "TKN_MCH-0001_20260105_\u0660\u0660\u0660\u0667.TXT",
        "TKN_" + "M" * 200 + "_20260105_0007.TXT",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    assert BATCH.parse(name) is None


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("", "empty"),
        ("{merchant}{sequence}", "two ways"),
        ("{batch_stem}-{merchant}.TXT", "two ways"),
        ("{merchant}-{batch_stem}_{part:02}", "two ways"),
        ("{sequence}{part}", "two ways"),
        ("{merchant}_{merchant}", "twice"),
        ("{customer}", "no placeholder"),
        ("{merchant:04}", "only numbers"),
        ("{sequence:4}", "only numbers"),
        ("{sequence:00}", "only numbers"),
        ("{sequence:}", "only numbers"),
        ("{business_date:yyyy/MM/dd}", "unfit"),
        ("{business_date:yyMMdd}", "date format"),
        ("{business_date:yyyyMM}", "lacks dd"),
        ("{business_date:yyyyMMddHH}", "without a time"),
        ("TKN {merchant}", "cannot be read"),
        ("in/{merchant}", "cannot be read"),
        ("TKN_{merchant", "cannot be read"),
        ("TKN_}", "cannot be read"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(template: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        FileNameTemplate(template)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"merchant": "a/b"}, "cannot stand"),
        ({"merchant": ""}, "empty"),
        ({"merchant": "a_b"}, "cannot stand"),
        ({"merchant": "M" * 99}, "100"),
        ({"sequence": 10_000}, "4 digits"),
        ({"sequence": -1}, "whole number"),
        ({"sequence": "1"}, "whole number"),
        ({"business_date": "20260105"}, "date"),
        ({"business_date": None}, "date"),
    ],
)
def test_values_that_do_not_fit_are_refused(change: dict, reason: str) -> None:
    with pytest.raises(FileNameError, match=reason) as caught:
        BATCH.render({"merchant": "MCH-0001", "business_date": DAY, "sequence": 7, **change})
    assert isinstance(caught.value, DokuError)
    with pytest.raises(FileNameError, match="needs sequence"):
        BATCH.render({"merchant": "M", "business_date": DAY})
    with pytest.raises(FileNameError, match="dot"):
        FileNameTemplate("{batch_stem}.TXT").render({"batch_stem": ".hidden"})


_FIELDS = {
    "{merchant}": ("merchant", st.text("Az09-", min_size=1, max_size=6)),
    "{business_date:yyyyMMdd}": ("business_date", st.dates(date(1, 1, 1))),
    "{execute_date:dd-MM-yyyy}": ("execute_date", st.dates(date(1, 1, 1))),
    "{sequence}": ("sequence", st.integers(0, 10**6)),
    "{sequence:04}": ("sequence", st.integers(0, 9999)),
    "{part}": ("part", st.integers(0, 99)),
    "{part:02}": ("part", st.integers(0, 99)),
    "{parts:01}": ("parts", st.integers(0, 9)),
    "{batch_stem}": ("batch_stem", st.text("Az09_.-+", min_size=1, max_size=8)),
    "{batch_name}": ("batch_name", st.text("Az09_.-+", min_size=1, max_size=8)),
}


@given(
    st.lists(st.one_of(st.sampled_from(list(_FIELDS)), st.text("Az9_.-", min_size=1, max_size=2)), max_size=6),
    st.data(),
)
@settings(max_examples=500, deadline=None)
def test_every_template_that_is_taken_reads_back_what_it_writes(pieces: list[str], data: st.DataObject) -> None:
    try:
        template = FileNameTemplate("".join(pieces))
    except ValueError:
        assume(False)
    facts = {name: data.draw(values) for name, values in (_FIELDS[piece] for piece in pieces if piece in _FIELDS)}
    try:
        name = template.render(facts)
    except FileNameError:
        return
    assert template.parse(name) == facts


@given(st.text("TKN_MCH-0123456789.X+", max_size=40))
@settings(max_examples=500)
def test_a_name_is_either_not_ours_or_written_again_as_it_is(name: str) -> None:
    for template in (BATCH, REPORT, FileNameTemplate("{merchant}_{sequence}.{part}")):
        facts = template.parse(name)
        assert facts is None or template.render(facts) == name


@given(st.text(max_size=30))
def test_any_text_is_a_template_or_refused(text: str) -> None:
    with suppress(ValueError):
        FileNameTemplate(text)
