"""A DOKU that takes batch files, charges, and reports in every way that reports can come, by a seed."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.doku_simulator.envelope import EnvelopeForm, open_sealed, seal
from tests.doku_simulator.keys import KeyRing
from tests.history import codes
from tests.history.forms import Facts, Form, form, rupiah
from tests.history.world import Charge, World, chance, last_day

STYLES: Final = (
    "whole", "halves", "late", "copied", "incomplete", "whole", "again", "refused", "thirds", "merged", "cut", "whole",
    "sealed", "halves", "late", "not ours", "never", "rejected",
)  # fmt: skip
"""How the report on a batch file comes; each file takes the next one of a shuffled round."""

UNLISTED: Final = ("00XX", "9999", "0ZZZ", "4711")
Line = Mapping[str, Any]


@dataclass
class Post:
    """A report that is on its way.

    Attributes:
        facts: Of its header, beyond counts and totals.
        spoil: How its bytes are spoilt, if they are.
    """

    name: str
    lines: list[Line]
    facts: Mapping[str, Any] = field(default_factory=dict)
    spoil: str = ""
    sealed: bool = False


@dataclass(frozen=True)
class BatchFile:
    """A batch file that lay at the server."""

    name: str
    header: Facts
    lines: tuple[Facts, ...]


@dataclass
class Desk:
    """DOKU's folders for one merchant.

    Attributes:
        arrived: The day on which each report came to lie there, by name; of one that was replaced, the last.
        rejected: Batch files that DOKU did not take, by the day on which it says so.
        lines_of_others: Lines that belong to another merchant and slip into this one's next report.
    """

    world: World
    root: Path
    files: dict[str, BatchFile] = field(default_factory=dict)
    arrived: dict[str, date] = field(default_factory=dict)
    rejected: dict[date, list[str]] = field(default_factory=dict)
    posts: dict[date, list[Post]] = field(default_factory=dict)
    corrections: dict[date, list[Line]] = field(default_factory=dict)
    merged: list[Line] = field(default_factory=list)
    lines_of_others: list[Line] = field(default_factory=list)

    def post(self, day: date, post: Post) -> None:
        """Send a report on that day, or on the last one."""
        self.posts.setdefault(min(day, last_day()), []).append(post)


class Doku:
    """DOKU, at work once a day.

    Attributes:
        desks: By the merchant's profile.
    """

    def __init__(self, seed: int, keys: Path, desks: Mapping[str, Desk]) -> None:
        ring = KeyRing(keys)
        self._private, self._merchants = ring.private("doku"), ring.public("merchant")
        self.seed, self.desks = seed, desks
        self.batch_form, self.report_form = form("assumed-batch"), form("assumed-report")

    def work(self, day: date) -> None:
        """Take in what lies there, then write the reports of the day."""
        for name, desk in self.desks.items():
            for file in self._taken_in(desk):
                desk.files[file.name] = file
                self._answer(day, desk, file)
                if len(desk.files) % 5 == 0:
                    others = [other for other in self.desks if other != name]
                    lines = [self._paid(one) for one in file.lines[:1]]
                    for other in others:
                        self.desks[other].lines_of_others += lines
        for desk in self.desks.values():
            self._write_reports(day, desk)

    def _taken_in(self, desk: Desk) -> Iterator[BatchFile]:
        """Open every file that is new, and move every other one away."""
        for path in sorted((desk.root / "inbound").glob("TKN*.TXT")):
            if path.name in desk.files:
                continue
            plain = open_sealed(path.read_bytes(), self._private, EnvelopeForm())
            header, lines = self.batch_form.read(plain)
            file = BatchFile(path.name, header, tuple(lines))
            if len(desk.files) % 2 or self._style(desk, len(desk.files)) == "rejected":
                path.rename(desk.root / "archive" / path.name)
            yield file

    # --- what became of each attempt --------------------

    def _answer(self, day: date, desk: Desk, file: BatchFile) -> None:
        style = self._style(desk, len(desk.files) - 1)
        if style == "rejected":
            desk.rejected.setdefault(day, []).append(file.name)
            return
        lines: list[Line] = []
        for one in file.lines:
            lines += self._lines(day, desk, one)
        rng = chance(self.seed, "file", file.name)
        for _ in range(rng.choice((0, 0, 1, 2))):
            lines.insert(rng.randrange(len(lines) + 1), self._of_nobody(rng))
        lines[:0], desk.lines_of_others = desk.lines_of_others, []
        getattr(self, f"_{style.replace(' ', '_')}")(day, desk, file, lines)

    def _lines(self, day: date, desk: Desk, one: Facts) -> list[Line]:
        """The lines on one attempt that come with its report; what is said later goes to the corrections."""
        charge = desk.world.charges[one["description"]]
        rng = chance(self.seed, "line", one["invoice_number"])
        first = self._line(one, charge, self._code(rng, charge, day in desk.world.wrong_setup), rng)
        lines, odd = [first], rng.random()
        if odd < 0.015:
            lines.append(first)
        elif odd < 0.022:
            lines.append(self._line(one, charge, self._another_code(rng, first), rng))
        elif odd < 0.03:
            amount = max(500, int(first["amount"]) + rng.choice((-500, 500, 100_000)))
            lines = [{**first, "amount": amount}]
        elif odd < 0.034:  # said once more, with another approval code
            lines.append({**first, "approval_code": f"{rng.getrandbits(24):06X}"})
        for later, line in self._said_later(rng, one, charge, first):
            if day + timedelta(days=later) <= last_day():
                desk.corrections.setdefault(day + timedelta(days=later), []).append(line)
        return lines

    def _said_later(self, rng: Any, one: Facts, charge: Charge, first: Line) -> Iterator[tuple[int, Line]]:
        """Days from now, and what is said then of an attempt."""
        status, luck = codes.meaning(first["response_code"]).status, rng.random()
        if status == "unknown" and luck < 0.6:
            yield rng.randrange(1, 9), self._line(one, charge, rng.choice(("0000", "0000", "0051")), rng)
        elif status == "declined" and luck < 0.03:
            yield rng.randrange(1, 12), self._line(one, charge, "0000", rng)
        elif status == "paid" and luck < 0.004:
            yield rng.randrange(1, 12), self._line(one, charge, "0051", rng)
        elif status == "paid" and luck < 0.02:
            back = {**first, "status": rng.choice(codes.TAKEN_BACK)}
            yield rng.randrange(2, 20), back
            if luck < 0.008:
                yield rng.randrange(20, 30), back

    def _code(self, rng: Any, charge: Charge, wrong_setup: bool) -> str:
        if wrong_setup and rng.random() < 0.3:
            return rng.choice(codes.of_class("merchant_setup"))
        if rng.random() < charge.customer.luck:
            return "0011" if rng.random() < 0.02 else "0000"
        kinds = ("retry_later", "after_change", "never", "check_first", "partial", "unlisted", "short")
        kind = rng.choices(kinds, (55, 14, 10, 9, 3, 3, 6))[0]
        named = {"partial": ("0010",), "unlisted": UNLISTED, "short": ("51", "05", "54", "00", "68", "N7")}
        if kind == "retry_later" and rng.random() < 0.5:
            return "0051"
        return str(rng.choice(named.get(kind) or codes.of_class(kind)))

    def _another_code(self, rng: Any, first: Line) -> str:
        paid = codes.meaning(str(first["response_code"])).status == "paid"
        return str(rng.choice(("0005", "0051", "5536")) if paid else rng.choice(("0000", "0051", "0096")))

    def _line(self, one: Facts, charge: Charge, code: str, rng: Any) -> Line:
        amount, decided = rupiah(one["amount"]), codes.meaning(code)
        paid = decided.status == "paid"
        return {
            "invoice_number": one["invoice_number"], "customer_id": one["customer_id"],
            "billing_number": one["billing_number"], "currency": "IDR", "response_code": code,
            "amount": amount // 2 if decided.partial else amount,
            "status": "SUCCESS" if paid else "FAILED",
            "response_message": "Approved" if paid else f"Not approved ({code})",
            "approval_code": f"{rng.getrandbits(24):06X}" if paid else None,
            "masked_card": charge.customer.masked_card, "bank": charge.customer.bank,
        }  # fmt: skip

    def _paid(self, one: Facts) -> Line:
        return {
            "invoice_number": one["invoice_number"], "amount": rupiah(one["amount"]), "currency": "IDR",
            "status": "SUCCESS", "response_code": "0000", "approval_code": "0THERS",
        }  # fmt: skip

    def _of_nobody(self, rng: Any) -> Line:
        number = f"{rng.getrandbits(90):030X}"[:18]
        return {
            "invoice_number": f"{number}{rng.randrange(1, 5):02}", "amount": rng.randrange(1, 900) * 1000,
            "currency": "IDR", "status": "SUCCESS", "response_code": "0000", "approval_code": "N0B0DY",
        }  # fmt: skip

    # --- how the report comes --------------------

    def _style(self, desk: Desk, number: int) -> str:
        around = list(STYLES)
        chance(self.seed, desk.world.name, "round", number // len(STYLES)).shuffle(around)
        return around[number % len(STYLES)]

    def _whole(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        said = {"part": 1, "parts": 1} if len(desk.files) % 2 else {}
        if said:  # all lines of it are there: what was merged before comes here too
            lines, desk.merged = [*lines, *desk.merged], []
        desk.post(day, Post(_name(file), lines, {"batch_name": file.name, **said}))

    def _sealed(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        desk.post(day, Post(_name(file), lines, {"batch_name": file.name}, sealed=True))

    def _halves(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        self._parts(day, desk, file, lines, 2)

    def _thirds(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        self._parts(day, desk, file, lines, 3)

    def _parts(self, day: date, desk: Desk, file: BatchFile, lines: list[Line], parts: int) -> None:
        parts = min(parts, len(lines))
        for part in range(parts):
            some = lines[part::parts]
            facts = {"batch_name": file.name, "part": part + 1, "parts": parts}
            desk.post(day + timedelta(days=2 * part), Post(_name(file, part + 1), some, facts, sealed=part == 1))

    def _late(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        days_late = chance(self.seed, "late", file.name).randrange(1, 7)
        desk.post(day + timedelta(days=days_late), Post(_name(file), lines, {"batch_name": file.name}))

    def _copied(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        """The same bytes come again under another name."""
        for later, name in ((0, _name(file)), (1, _name(file, 9)), (3, f"RPT_COPY_OF_{file.name}")):
            desk.post(day + timedelta(days=later), Post(name, lines, {"batch_name": file.name, "date": day}))

    def _again(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        """The same lines come again in another file, in another order."""
        desk.post(day, Post(_name(file), lines, {"batch_name": file.name}))
        desk.post(day + timedelta(days=2), Post(_name(file, 2), lines[::-1], {"batch_name": file.name}))

    def _refused(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        """Its total is wrong; the right one comes under the same name."""
        desk.post(day, Post(_name(file), lines, {"batch_name": file.name}, spoil="total"))
        desk.post(day + timedelta(days=1), Post(_name(file), lines, {"batch_name": file.name}))

    def _cut(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        desk.post(day, Post(_name(file), lines, {"batch_name": file.name}, spoil="cut"))
        desk.post(day + timedelta(days=2), Post(_name(file, 2), lines, {"batch_name": file.name}))

    def _not_ours(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        """A report of somebody else's lies there too."""
        rng = chance(self.seed, "not ours", file.name)
        desk.post(day, Post(_name(file, 7), [self._of_nobody(rng) for _ in range(4)], {"batch_name": "SOMEBODYS"}))
        desk.post(day, Post(_name(file), lines, {"batch_name": file.name}, sealed=True))

    def _incomplete(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        """It says that it is complete and is not; of what lacks, half comes later."""
        numbers = sorted({one["invoice_number"] for one in file.lines})
        rng = chance(self.seed, "incomplete", file.name)
        lacking = rng.sample(numbers, max(1, len(numbers) // 20)) if len(numbers) > 1 else []
        here = [line for line in lines if line["invoice_number"] not in lacking]
        desk.post(day, Post(_name(file), here, {"batch_name": file.name, "part": 1, "parts": 1}))
        rest = [line for line in lines if line["invoice_number"] in lacking[::2]]
        if rest:
            desk.post(day + timedelta(days=4), Post(_name(file, 2), rest, {"batch_name": "THE REST"}))

    def _merged(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        """Its lines come in the report on a later file."""
        desk.merged += lines

    def _never(self, day: date, desk: Desk, file: BatchFile, lines: list[Line]) -> None:
        """Nothing is ever said of it, but for what the corrections say."""

    # --- reports as files --------------------

    def _write_reports(self, day: date, desk: Desk) -> None:
        if lines := desk.corrections.pop(day, []):
            desk.post(day, Post(f"RPT_CORRECTIONS_{day:%Y%m%d}.TXT", lines, {"batch_name": "CORRECTIONS"}))
        if day == last_day() and desk.merged:
            desk.post(day, Post("RPT_MERGED.TXT", desk.merged, {"batch_name": "MERGED"}))
            desk.merged = []
        for post in desk.posts.pop(day, []):
            path = desk.root / "outbound" / post.name
            path.write_bytes(self._bytes(day, post))
            desk.arrived[post.name] = day
            noon = datetime(day.year, day.month, day.day, 5, tzinfo=UTC).timestamp()
            os.utime(path, (noon, noon))

    def _bytes(self, day: date, post: Post) -> bytes:
        lines = post.lines
        total, paid = sum(int(one["amount"]) for one in lines), sum(_counts_as_paid(one) for one in lines)
        header = {
            "batch_name": "", "date": day, "count": len(lines), "total": total + (post.spoil == "total"),
            "success_count": paid, "failed_count": len(lines) - paid, **post.facts,
        }  # fmt: skip
        content = self.report_form.write(header, lines)
        if post.spoil == "cut":
            content = content[: len(content) * 2 // 3]
        if post.sealed:
            content = seal(content, self._merchants, EnvelopeForm(), chance(self.seed, "seal", post.name))
        return content


def read_files(root: Path, keys: Path, form_: Form) -> list[BatchFile]:
    """Every batch file that lies at the server, opened."""
    private = KeyRing(keys).private("doku")
    found = []
    for folder in ("inbound", "archive"):
        for path in sorted((root / folder).glob("TKN*.TXT")):
            header, lines = form_.read(open_sealed(path.read_bytes(), private, EnvelopeForm()))
            found.append(BatchFile(path.name, header, tuple(lines)))
    return found


def read_reports(root: Path, keys: Path) -> dict[str, bytes]:
    """The bytes of every report at the server, opened where it is sealed; by name."""
    private = KeyRing(keys).private("merchant")
    found = {}
    for path in sorted((root / "outbound").glob("RPT_*.TXT")):
        content = path.read_bytes()
        sealed = content[:4].isdigit()
        found[path.name] = open_sealed(content, private, EnvelopeForm()) if sealed else content
    return found


def _name(file: BatchFile, number: int = 0) -> str:
    return f"RPT_{file.name.removesuffix('.TXT')}{f'_{number}' if number else ''}.TXT"


def _counts_as_paid(line: Line) -> bool:
    return codes.meaning(str(line["response_code"])).status == "paid"
