"""Mutated inputs: reports, envelopes, layouts and profiles, altered by seed, and what must become of each.

A mutated input is refused with a `DokuError` that says something, or taken for what it says and nothing else. Nothing
else is allowed: no other exception, no endless loop, no memory that grows with what a length field claims.
"""

import hashlib
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from include.doku.envelope import looks_sealed, open_envelope, seal
from include.doku.keys import load_private_key, load_public_key
from include.doku.layouts.read import FileReader
from include.domain.calendar import decide_execute_date
from include.domain.errors import DokuError
from include.domain.file_names import FileNameTemplate
from include.flows.fetch import fetch_reports
from include.flows.ingest import ingest_fetched
from include.flows.reconcile import write_back
from include.flows.verify import findings
from include.schemas.due_charges import DueChargeRules
from include.schemas.envelope import EnvelopeSpec
from include.schemas.layout import Layout, parse_layout
from include.schemas.profile import SHIPPED_CONFIG, Profile
from tests.flows_harness import BUSINESS_DATE, MORNING, Merchant, charge, report_text
from tests.sweeps import ground
from tests.unit.doku import samples

CPU_SECONDS: Final = 5.0
"""More than this for one input of a few kilobytes is an endless loop."""

LONGEST_WORDS: Final = 1_500
"""A refusal is a sentence or two, not a dump."""

_LINES: Final = 12


class TooSlow(BaseException):
    """An input took too long; not an Exception, so that nothing in between swallows it."""


@dataclass(frozen=True)
class Verdict:
    """What became of one input: the refusal's words, or None if it was taken."""

    refused: str | None


@contextmanager
def _time_limit() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow(f"more than {CPU_SECONDS} seconds of work for one input")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def judge(kind: str, seed: int) -> Verdict:
    """Try one mutated input.

    Raises:
        AssertionError: It was taken for something that it does not say, or its refusal says nothing.
        TooSlow: It took more than `CPU_SECONDS`.
        Exception: Anything that is no DokuError: a bug.
    """
    rng = random.Random(f"{kind}|{seed}")
    with _time_limit():
        try:
            _KINDS[kind](rng)
        except DokuError as refusal:
            words = refusal.message
            assert len(words) > 20, f"says nothing: {words!r}"
            assert " " in words.strip(), f"says nothing: {words!r}"
            assert len(words) < LONGEST_WORDS, f"says too much: {words[:200]!r}..."
            return Verdict(words)
    return Verdict(None)


# --- bytes --------------------

_ODD_BYTES: Final = (
    b"\0",
    b"\n",
    b"\r",
    b"\r\n",
    b"|",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\x1a",
    b" ",
    b"-",
    b"0",
    b"=",
    b"\t",
)
_ODD_NUMBERS: Final = (
    b"", b"-1", b"9" * 19, b"9" * 40, b"1e9", b"0x10", b"1.5", b"1,000.00", b"\xd9\xa3", b"NaN", b"+5", b"00000000001",
    b"18446744073709551616", b"0000-00-00", b"99991231", b"20260230",
)  # fmt: skip


def _flip_bit(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at] ^= 1 << rng.randrange(8)


def _odd_byte(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    data[at : at + rng.randrange(2)] = rng.choice(_ODD_BYTES)


def _cut_out(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 16, 64, 500))]


def _truncate(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _copy_within(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    piece = data[start : start + rng.choice((1, 16, 48, 300))]
    at = rng.randrange(len(data) + 1)
    data[at:at] = piece


def _append(data: bytearray, rng: random.Random) -> None:
    data += rng.choice((b"\r\n", b"x", b"\0" * 16, rng.randbytes(37), bytes(data), b"=" * 5))


def _long_run(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice((b"A", b"0", b" ", b"\n", b"|", b"9")) * rng.choice((100, 5_000, 200_000))


def _number(data: bytearray, rng: random.Random) -> None:
    """Replace a run of digits."""
    digits = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if not digits:
        return
    start = end = rng.choice(digits)
    while end < len(data) and 48 <= data[end] <= 57:
        end += 1
    data[start:end] = rng.choice(_ODD_NUMBERS)


def _lines(data: bytearray, rng: random.Random) -> None:
    """Take away, repeat or move a line."""
    lines = bytes(data).splitlines(keepends=True)
    if not lines:
        return
    line = lines.pop(rng.randrange(len(lines)))
    for _ in range(rng.choice((0, 1, 2))):
        lines.insert(rng.randrange(len(lines) + 1), line)
    data[:] = b"".join(lines)


def _line_ends(data: bytearray, rng: random.Random) -> None:
    data[:] = bytes(data).replace(b"\r\n", rng.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"")))


_BYTE_MUTATIONS: Final = (
    _flip_bit, _flip_bit, _odd_byte, _odd_byte, _cut_out, _truncate, _copy_within, _append, _long_run, _number, _number,
    _lines, _lines, _line_ends,
)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """The same bytes with one to three mutations."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if changed:
            rng.choice(_BYTE_MUTATIONS)(changed, rng)
    return bytes(changed)


def _chunks(data: bytes, rng: random.Random) -> Iterator[bytes]:
    size = rng.choice((1, 7, 48, 4096, 1 << 20))
    if size == 1 and len(data) > 5_000:
        size = 4096
    return (data[start : start + size] for start in range(0, len(data), size))


# --- reports and batch files --------------------


@cache
def _file(name: str) -> tuple[Layout, bytes]:
    layout = samples.shipped(name)
    return layout, samples.rendered(layout, samples.rows(_LINES))


def _read(layout: Layout, chunks: Iterator[bytes], rows: int) -> tuple[FileReader, Any]:
    import pandas as pd

    reader = FileReader(layout, samples.facts(samples.rows(1)).name)
    return reader, pd.concat(list(reader.frames(chunks, rows)), ignore_index=True)


def _report(rng: random.Random) -> None:
    """A file that is taken is taken for every byte that it has: written again, it is itself."""
    layout, data = _file(rng.choice(samples.SHIPPED))
    changed = mutated(data, rng)
    reader, frame = _read(layout, _chunks(changed, rng), rng.choice((1, 3, 50_000)))
    again = samples.written_again(layout, reader, frame)
    assert again == changed, f"{layout.name}: read as something else than it says"


# --- envelopes --------------------

_SPECS: Final = (
    {}, {"key_encoding": "hex", "data_encoding": "hex"}, {"aes_mode": "cbc", "cbc_iv": "prefixed"},
    {"rsa_padding": "oaep-sha256"}, {"rsa_padding": "pkcs1v15"}, {"key_encoding": "raw", "data_encoding": "raw"},
    {"prefix_counts": "raw"},
)  # fmt: skip


@cache
def _sealed(number: int) -> tuple[EnvelopeSpec, bytes]:
    key = load_public_key((ground.keys() / "merchant_public.pem").read_bytes(), "merchant_public.pem")
    spec = EnvelopeSpec.model_validate(_SPECS[number])
    _, plain = _file("assumed-report")
    return spec, b"".join(seal([plain], key, spec))


@cache
def _private_key() -> Any:
    return load_private_key((ground.keys() / "merchant_private.pem").read_bytes(), "merchant_private.pem")


def _envelope(rng: random.Random) -> None:
    """What opens and reads as a report has the lines that were sealed, every one."""
    spec, sealed = _sealed(rng.randrange(len(_SPECS)))
    changed = mutated(sealed, rng)
    looks_sealed(changed[:8192], spec)
    plain = b"".join(open_envelope(_chunks(changed, rng), _private_key(), spec))
    assert len(plain) <= len(changed) + 64
    layout, data = _file("assumed-report")
    _, frame = _read(layout, iter([plain]), 50_000)
    _, expected = _read(layout, iter([data]), 50_000)
    assert frame.equals(expected), "an altered envelope was read as another report"


# --- layouts and profiles --------------------

_ODD_VALUES: Final = (
    "0", "-1", "99999999999999999999", "1.5", "true", "[]", "{}", '""', '"x"', '"|"', '"\\n"', '"\\u0000"', '"regex:["',
    '"regex:(a+)+$"', '"regex:[A-Z"', '"regex:.*"', "2026-02-30", "2026-01-01", '"yyyyMMddyyyy"', '"#.##0,00"', '"🙂"',
    '"fixed"', '"delimited"', '"amount"', '"text"', '"utf-16"', '"{x}"', '"{{}}"', '"{merchant}"', '"../../etc/passwd"',
    '"{sequence:999999999}"', '"{sequence:0999999999}"', '"Asia/Nowhere"', '"/etc/localtime"', "inf", "nan", "25:00:00",
)  # fmt: skip


def _toml_value(lines: list[str], rng: random.Random) -> None:
    """Another value for a key."""
    with_values = [number for number, line in enumerate(lines) if "=" in line]
    if not with_values:
        return
    number = rng.choice(with_values)
    pieces = lines[number].split(" = ")
    at = rng.randrange(1, len(pieces)) if len(pieces) > 1 else 0
    rest = pieces[at].lstrip('"').partition(",")
    pieces[at] = rng.choice(_ODD_VALUES) + (rest[1] + rest[2] if rng.random() < 0.7 else "")
    lines[number] = " = ".join(pieces)


def _toml_key(lines: list[str], rng: random.Random) -> None:
    """Another name for a key."""
    number = rng.randrange(len(lines))
    lines[number] = lines[number].replace(rng.choice(("name", "source", "length", "type", "format", "file")), "nmae", 1)


def _toml_swap(lines: list[str], rng: random.Random) -> None:
    first, second = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]


def _toml_drop(lines: list[str], rng: random.Random) -> None:
    del lines[rng.randrange(len(lines))]


def _toml_repeat(lines: list[str], rng: random.Random) -> None:
    lines.insert(rng.randrange(len(lines)), rng.choice(lines))


def _toml_words(lines: list[str], rng: random.Random) -> None:
    """Change letters, as a slip of the finger does."""
    number = rng.randrange(len(lines))
    line = list(lines[number])
    if line:
        line[rng.randrange(len(line))] = rng.choice('abz019"{}[]=|.,#\\\t 🙂\0')
    lines[number] = "".join(line)


_TOML_MUTATIONS: Final[tuple[Callable[[list[str], random.Random], None], ...]] = (
    _toml_value, _toml_value, _toml_value, _toml_key, _toml_swap, _toml_drop, _toml_repeat, _toml_words,
)  # fmt: skip


def mutated_toml(text: str, rng: random.Random) -> str:
    """The same document with one to three mutations."""
    lines = text.splitlines()
    for _ in range(rng.choice((1, 1, 2, 3))):
        if lines:
            rng.choice(_TOML_MUTATIONS)(lines, rng)
    return "\n".join(lines) + "\n"


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _layout(rng: random.Random) -> None:
    """A layout that is taken writes files that it can read."""
    name = rng.choice(samples.SHIPPED)
    text = mutated_toml(_text(SHIPPED_CONFIG / "layouts" / f"{name}.toml"), rng)
    layout = parse_layout(text, f"{name}.toml")
    layout.rules()
    rows = samples.rows(3)
    written = samples.rendered(layout, rows)
    reader, frame = _read(layout, iter([written]), 2)
    assert reader.count == len(rows)
    assert samples.written_again(layout, reader, frame) == written, "a layout does not read what it writes"


def _profile(rng: random.Random) -> None:
    """A profile that is taken can be worked with."""
    text = mutated_toml(_text(SHIPPED_CONFIG / "profiles" / "insurance.toml"), rng)
    profile = Profile.from_toml(text, "insurance.toml")
    batch = profile.batch
    execute = decide_execute_date(BUSINESS_DATE, MORNING, batch.cutoff, profile.zone)
    template = FileNameTemplate(batch.file_name)
    facts = {"merchant": profile.merchant, "business_date": BUSINESS_DATE, "execute_date": execute, "sequence": 7}
    assert template.parse(template.render(facts)) is not None  # type: ignore[arg-type]
    layout_file = profile.layout_path(batch.layout)
    if layout_file.exists():
        DueChargeRules.of(profile, parse_layout(_text(layout_file), layout_file.name), BUSINESS_DATE)
    batch.temporary_name.format(digest="0" * 16)


_KINDS: Final[dict[str, Callable[[random.Random], None]]] = {
    "report": _report,
    "envelope": _envelope,
    "layout": _layout,
    "profile": _profile,
}

KINDS: Final = tuple(_KINDS)


# --- through ingest_report --------------------


class Post:
    """A merchant with charges at DOKU, to whom mutated reports come one after another."""

    def __init__(self, root: Path) -> None:
        self.merchant = Merchant(root=root, ledger_settings=ground.new_ledger(root), keys=ground.keys())
        self.merchant.list_charges(*(charge(f"C{number:02}", 100_000 + number) for number in range(_LINES)))
        self.merchant.submit()
        self.report = report_text(
            *(
                (invoice, 100_000 + number, "0000" if number % 3 else "0051")
                for number, invoice in enumerate(self.merchant.invoices().values())
            )
        )
        key = load_public_key((ground.keys() / "merchant_public.pem").read_bytes(), "merchant_public.pem")
        self.sealed = b"".join(seal([self.report], key, self.merchant.profile.report.envelope))
        self.taken = self.refused = 0

    def take(self, seed: int) -> None:
        """Put one mutated report into DOKU's folder and take it in.

        Raises:
            AssertionError: A part of a refused report was kept, or a part of a taken one was not; or it was neither.
        """
        rng = random.Random(f"ingest|{seed}")
        data = mutated(rng.choice((self.report, self.report, self.sealed)), rng)
        before = self._kept()
        with _time_limit():
            self.merchant.server.put("/outbound/RPT_1.TXT", data)
            known = {row["content_digest"] for row in self.merchant.sql("SELECT content_digest FROM report_file")}
            report_ids = fetch_reports(self.merchant.context, ["RPT_1.TXT"])
            ingested = ingest_fetched(self.merchant.context)
        if hashlib.sha256(data).hexdigest() in known:
            assert ingested == []
            return
        (one,) = ingested
        assert [one.report_id] == report_ids
        if one.refused_reason is not None:
            self.refused += 1
            assert len(one.refused_reason) < LONGEST_WORDS
            assert self._kept() == before, f"a part of a refused report was kept ({one.refused_reason})"
            return
        self.taken += 1
        (row,) = self.merchant.sql("SELECT * FROM report_file WHERE report_id = :id", id=one.report_id)
        (lines,) = self.merchant.sql(
            "SELECT count(*) AS n, sum(amount) AS total FROM report_line WHERE report_id = :id", id=one.report_id
        )
        assert sum(one.classes.values()) == lines["n"] == row["line_count"]
        assert lines["total"] == row["total_amount"]
        self._outcomes_are_what_some_line_says()

    def close(self) -> None:
        """Tell the merchant, and verify everything.

        Raises:
            AssertionError: `verify` finds something.
        """
        try:
            write_back(self.merchant.context)
            assert list(findings(self.merchant.context)) == []
        finally:
            self.merchant.ledger.engine.dispose()
            self.merchant.billing.dispose()

    def _kept(self) -> list[tuple[str, int]]:
        tables = ("report_line", "outcome", "recon_break", "event")
        return [(name, self.merchant.sql(f"SELECT count(*) AS n FROM {name}")[0]["n"]) for name in tables]

    def _outcomes_are_what_some_line_says(self) -> None:
        """Nobody is paid by a report that does not say so."""
        rows = self.merchant.sql(
            "SELECT o.invoice_number FROM outcome o WHERE NOT EXISTS (SELECT 1 FROM report_line l "
            "WHERE l.status = o.status AND l.invoice_number = o.invoice_number AND l.report_id = o.report_id "
            "AND l.line_no = o.report_line_no)"
        )
        assert rows == []


if __name__ == "__main__":
    import sys

    sys.stdout.write(f"{judge(sys.argv[1], int(sys.argv[2]))}\n")
