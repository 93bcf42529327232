import io
from datetime import date

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.doku.layouts.facts import FileFacts
from include.doku.layouts.read import FileReader
from include.doku.layouts.render import render_file
from include.domain.character_sets import CharacterSet
from include.domain.errors import FileRefused
from include.schemas.layout import Layout, parse_layout
from tests.unit.doku.samples import SHIPPED, read, rendered, rows, shipped, written_again


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize(("count", "chunk", "block"), [(1, 1, 1), (7, 13, 3), (7, 1 << 20, 7), (250, 997, 100)])
def test_what_is_written_is_read(name: str, count: int, chunk: int, block: int) -> None:
    layout, frame = shipped(name), rows(count)
    data = rendered(layout, frame)
    reader, found = read(layout, data, chunk=chunk, rows=block)
    assert (reader.count, reader.total) == (count, int(frame["amount"].sum()))
    assert found["line_no"].tolist() == list(range(2, count + 2))
    for field in set(found) - {"line_no", "attempt_line_no"}:
        assert found[field].astype(object).where(found[field].notna(), None).tolist() == (
            frame[field].astype(object).where(frame[field].notna(), None).tolist()
        ), field
    assert written_again(layout, reader, found) == data


@pytest.mark.parametrize("name", SHIPPED)
def test_frames_of_any_size_give_the_same_bytes(name: str) -> None:
    layout, frame = shipped(name), rows(23)
    from tests.unit.doku.samples import facts

    pieces = [frame.iloc[0:0], frame.iloc[:1], frame.iloc[1:20], frame.iloc[20:]]
    assert b"".join(render_file(layout, facts(frame), pieces)) == rendered(layout, frame)


# --- layouts that nobody has seen before ---

_DELIMITERS = "|;,\t^~"
_DATES = ("yyyyMMdd", "dd/MM/yyyy", "yyyy-MM-dd", "ddMMyyyy", "MM.dd.yyyy")
_AMOUNTS = ("0", "0.00", "0,00", "0v00", "0.0000", "#,##0", "#.##0,00", "#,##0.00")
_ENCODINGS = {"ascii": "abcXYZ019 _-:*", "latin-1": "abcéÜÿ 01-", "utf-8": "aé漢字🏦 01-"}
_LINE_FIELDS = {"batch": "attempt", "report": "line"}


@st.composite
def layouts(draw: st.DrawFn) -> Layout:  # noqa: C901  (each form of a column is drawn on its own)
    kind = draw(st.sampled_from(["batch", "report"]))
    fixed = draw(st.booleans())
    encoding = draw(st.sampled_from(["ascii", "latin-1"] if fixed else list(_ENCODINGS)))
    delimiter = "" if fixed else draw(st.sampled_from(_DELIMITERS))
    fits = [form for form in _DATES if delimiter not in form] if delimiter else list(_DATES)
    sums = [form for form in _AMOUNTS if delimiter not in form] if delimiter else list(_AMOUNTS)

    def column(name: str, source: str, type_: str, required: bool) -> str:
        keys = [f'name = "{name}"', f'source = "{source}"', f'type = "{type_}"']
        pad = ""
        if type_ == "amount":
            form = draw(st.sampled_from(sums))
            pad = " " if "#" in form else draw(st.sampled_from("0 "))
            keys += [f'format = "{form}"', f"length = {draw(st.integers(24, 30))}"]
        elif type_ == "integer":
            keys.append(f"length = {draw(st.integers(9, 12))}")
            pad = draw(st.sampled_from("0 "))
        elif type_ == "date":
            keys.append(f'format = "{draw(st.sampled_from(fits))}"')
        elif type_ == "datetime":
            keys.append('format = "yyyyMMddHHmmss"')
        else:
            ours = "invoice" in source
            keys.append(f"length = {draw(st.integers(20 if ours else 8, 40))}")
            pad = draw(st.sampled_from(" *" if ours else " 0*"))
        if pad and (fixed or draw(st.booleans())):
            side = "left" if pad == "0" and type_ != "text" else draw(st.sampled_from(["left", "right"]))
            keys.append(f'padding = {{ side = "{side}", character = "{pad}" }}')
        elif fixed and type_ in {"date", "datetime"} and not required:
            keys.append('padding = { side = "right", character = " " }')
        if not required:
            keys.append("required = false")
        return "{ " + ", ".join(keys) + " }"

    owner = _LINE_FIELDS[kind]
    lines = [column("inv", f"{owner}.invoice_number", "text", True), column("amt", f"{owner}.amount", "amount", True)]
    if kind == "batch":
        lines += [column("tok", "attempt.token", "text", True), column("day", "attempt.execute_date", "date", True)]
        more = [
            ("due", "attempt.due_date", "date"),
            ("txt", "attempt.description", "text"),
            ("m", "batch.merchant", "text"),
        ]
    else:
        lines += [column("code", "line.response_code", "text", True)]
        more = [
            ("at", "line.charged_at", "datetime"),
            ("txt", "line.response_message", "text"),
            ("x", "ignored", "text"),
        ]
    for name, source, type_ in draw(st.lists(st.sampled_from(more), unique=True)):
        lines.append(column(name, source, type_, source == "batch.merchant"))
    if draw(st.booleans()):
        lines.append('{ name = "kind", value = "D" }')
    lines = draw(st.permutations(lines))
    sections = {"detail": lines}
    for section in ("header", "trailer"):
        if draw(st.booleans()):
            sections[section] = draw(
                st.permutations(
                    [
                        f'{{ name = "k", value = "{section[0].upper()}" }}',
                        column("n", "file.count", "integer", True),
                        column("sum", "file.total", "amount", True),
                        column("f", "file.name", "text", True).replace("length = ", "length = 4"),
                    ]
                )
            )
    end = draw(st.sampled_from([r"\n", r"\r\n"]))
    form = [
        f'format = "{"fixed" if fixed else "delimited"}"',
        f'encoding = "{encoding}"',
        f'line_end = "{end}"',
        f"final_line_end = {str(draw(st.booleans())).lower()}",
    ]
    if delimiter:
        form.append('delimiter = "\\t"' if delimiter == "\t" else f'delimiter = "{delimiter}"')
    text = f'name = "made-up"\nkind = "{kind}"\n[file]\n' + "\n".join(form) + "\n"
    for section, columns in sections.items():
        text += f"[{section}]\ncolumns = [\n" + ",\n".join(columns) + "\n]\n"
    return parse_layout(text, "made-up.toml")


def _value(draw: st.DrawFn, layout: Layout, field: str) -> object:
    rule = layout.rules().get(field)
    if rule is None:
        return None
    if rule.type == "amount":
        return draw(st.integers(0, min(layout.largest_amount("IDR"), 10**13)))
    if not rule.required and draw(st.booleans()):
        return None
    if rule.type == "date":
        return draw(st.dates(date(1, 1, 1)))
    if rule.type == "datetime":
        return draw(st.datetimes()).replace(microsecond=0)
    letters = "".join(sorted(set(_ENCODINGS[layout.file.encoding]) - rule.forbidden))
    text = draw(st.text(letters, min_size=1, max_size=rule.max_length))
    while text and text[0] in rule.not_first:
        text = text[1:]
    while text and text[-1] in rule.not_last:
        text = text[:-1]
    return text or ("x" if rule.required else None)


@st.composite
def files(draw: st.DrawFn) -> tuple[Layout, FileFacts, pd.DataFrame]:
    layout = draw(layouts())
    types = {
        "amount": pa.int64(),
        "execute_date": pa.date32(),
        "due_date": pa.date32(),
        "charged_at": pa.timestamp("s"),
    }
    count = draw(st.integers(1, 5))
    fields = layout.rules()
    table = {
        field: pa.array([_value(draw, layout, field) for _ in range(count)], types.get(field, pa.string()))
        for field in fields
    }
    frame = pa.table(table).to_pandas(types_mapper=pd.ArrowDtype)
    facts = FileFacts(
        "N.TXT", "MCH-1", date(2026, 1, 5), date(2026, 1, 6), 1, "IDR", count, sum(table["amount"].to_pylist())
    )
    return layout, facts, frame


@given(files(), st.integers(1, 50), st.integers(1, 3))
@settings(max_examples=300, deadline=None)
def test_any_layout_reads_what_it_writes(made: tuple[Layout, FileFacts, pd.DataFrame], chunk: int, block: int) -> None:
    layout, facts, frame = made
    data = b"".join(render_file(layout, facts, [frame]))
    reader = FileReader(layout, facts.name)
    stream = io.BytesIO(data)
    frames = list(reader.frames(iter(lambda: stream.read(chunk), b""), block))
    found = pd.concat(frames, ignore_index=True).drop(columns="line_no")
    assert (reader.count, reader.total) == (facts.count, facts.total)
    for field in frame:
        assert pa.array(found[field]).to_pylist() == pa.array(frame[field]).to_pylist(), field
    assert all(rule.type for rule in layout.rules().values())


@given(files(), st.data())
@settings(max_examples=300, deadline=None)
def test_an_altered_file_is_refused_or_read_as_it_is(
    made: tuple[Layout, FileFacts, pd.DataFrame], data: st.DataObject
) -> None:
    layout, facts, frame = made
    original = b"".join(render_file(layout, facts, [frame]))
    altered = data.draw(alterations(original))
    reader = FileReader(layout, facts.name)
    try:
        frames = list(reader.frames([altered], 2))
    except FileRefused:
        return
    found = pd.concat(frames, ignore_index=True)
    if not any(slot.source == "ignored" for slot in layout.slots["detail"]):
        assert written_again(layout, reader, found) == altered


@st.composite
def alterations(draw: st.DrawFn, original: bytes) -> bytes:
    """The file with bytes changed, dropped, added, doubled or cut off."""
    altered = bytearray(original)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(len(altered) - 1, 0)))
        length = draw(st.integers(1, 40))
        match draw(st.sampled_from(["set", "drop", "add", "double", "cut", "swap"])):
            case "set" if altered:
                altered[at] = draw(st.one_of(st.integers(0, 255), st.sampled_from(list(b"\r\n|0 9.,"))))
            case "drop":
                del altered[at : at + length]
            case "add":
                altered[at:at] = draw(st.binary(max_size=20))
            case "double":
                altered[at:at] = altered[at : at + length]
            case "cut":
                del altered[at:]
            case "swap":
                lines = bytes(altered).splitlines(keepends=True)
                altered = bytearray(b"".join(draw(st.permutations(lines))) if len(lines) < 20 else altered)
    return bytes(altered)


@given(st.sampled_from(SHIPPED), st.binary(max_size=600))
@settings(max_examples=150, deadline=None)
def test_noise_is_refused(name: str, noise: bytes) -> None:
    with pytest.raises(FileRefused):
        read(shipped(name), noise)


def test_a_character_set_says_the_same_in_python_and_in_pyarrow() -> None:
    import re

    import pyarrow.compute as pc

    for encoding in ("ascii", "latin-1", "utf-8"):
        for name in ("printable", "regex:[a-f0-9_.\\-]", "ansi-printable"):
            pattern = f"^{CharacterSet.parse(name, encoding).pattern}$"
            chars = [chr(code) for code in [*range(1, 0x500), 0x200B, 0x2028, 0xFEFF, 0xE000, 0x1F600] if code != 10]
            ours = [bool(re.match(pattern, char)) for char in chars]
            assert pc.match_substring_regex(pa.array(chars), pattern).to_pylist() == ours
            assert [char in CharacterSet.parse(name, encoding) for char in chars] == ours
