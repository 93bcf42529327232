"""The final books, worked out a second time: from the files at the server, and from what was done to charges.

Nothing here knows how the package does it. A batch file says what was asked for, a report line what DOKU says of it,
the journal what the merchant did; the rest is bookkeeping.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import Final

from tests.history import codes
from tests.history.doku import BatchFile
from tests.history.forms import Facts, Form, NotReadable, rupiah

STRONGEST: Final = ("reversed", "paid", "declined", "withdrawn", "unknown")
"""Of several things that are said of an attempt, the first of these is what it is."""

NOBODY: Final = ("", date.min)
"""Stands for what no person said."""

Sums = dict[tuple[str, str], tuple[int, int]]
"""Count and rupiah by term and detail: a declined one's code, or `reversed` of a paid one."""


@dataclass(frozen=True)
class Sent:
    """An attempt that stands in a batch file."""

    invoice: str
    charge_id: str
    number: int
    batch: str
    amount: int
    token: str
    day: date


@dataclass(frozen=True, order=True)
class Said:
    """A report line: what DOKU says of an invoice number."""

    invoice: str
    status: str
    code: str
    amount: int
    currency: str
    approval: str

    @property
    def partial(self) -> bool:
        """A part was approved."""
        return codes.meaning(self.code).partial


@dataclass(frozen=True)
class Report:
    """A report that can be taken in, and the day on which it was read."""

    name: str
    day: date
    header: Facts
    lines: tuple[Said, ...]


@dataclass(frozen=True)
class Fate:
    """What became of an attempt; the code is that of a declined one's line, or of the line that says it."""

    status: str
    code: str = ""


@dataclass(frozen=True, order=True)
class Break:
    """A break that must be there."""

    kind: str
    invoice: str
    amount: int
    resolved: bool = False


@dataclass
class Books:
    """What must have come of a history for one merchant.

    Attributes:
        sent: By invoice number.
        withdrawn: Attempts that never left, by charge and number, with their rupiah.
        others: Invoice numbers of other merchants' attempts.
        settled: What a person said of an attempt, and on which morning.
        not_taken: Batch files that DOKU refused, and the morning on which a person said so.
        reports: Those that can be taken in.
        refused: Names of reports that cannot be.
    """

    sent: dict[str, Sent]
    withdrawn: dict[tuple[str, int], int]
    others: frozenset[str]
    settled: Mapping[str, tuple[str, date]] = field(default_factory=dict)
    not_taken: Mapping[str, date] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @cached_property
    def said(self) -> dict[str, set[Said]]:
        """What the reports say of each attempt that was sent; the same words twice are once."""
        found: dict[str, set[Said]] = defaultdict(set)
        for report in self.reports:
            for line in report.lines:
                if line.invoice in self.sent:
                    found[line.invoice].add(line)
        return found

    @cached_property
    def fates(self) -> dict[str, Fate]:
        """What became of each attempt that was sent."""
        return {invoice: self._fate(one) for invoice, one in self.sent.items()}

    def _fate(self, one: Sent) -> Fate:
        """The strongest of all that is said; a person gives no code, and speaks first where they speak."""
        lines, (settled, _) = self.said.get(one.invoice, set()), self.settled.get(one.invoice, NOBODY)
        found = {line.status for line in lines} | {settled}
        if one.batch in self.not_taken:
            found.add("withdrawn")
        status = next((each for each in STRONGEST if each in found), "awaiting")
        return Fate(status, "" if status == settled else first_code(lines, status))

    @cached_property
    def by_charge(self) -> dict[str, list[tuple[int, str, str]]]:
        """Number, status and invoice number (empty: never left) of a charge's attempts, in order."""
        found: dict[str, list[tuple[int, str, str]]] = defaultdict(list)
        for invoice, one in self.sent.items():
            found[one.charge_id].append((one.number, self.fates[invoice].status, invoice))
        for charge_id, number in self.withdrawn:
            found[charge_id].append((number, "withdrawn", ""))
        return {charge_id: sorted(numbers) for charge_id, numbers in found.items()}

    # --- figures --------------------

    def of_batches(self) -> dict[str, Sums]:
        """The books of each batch file, of what left in it."""
        found: dict[str, Sums] = defaultdict(dict)
        for invoice, one in self.sent.items():
            fate_ = self.fates[invoice]
            detail = fate_.code if fate_.status == "declined" else ""
            term = fate_.status
            if term == "reversed":
                term, detail = "paid", "reversed"
            count, amount = found[one.batch].get((term, detail), (0, 0))
            found[one.batch][term, detail] = (count + 1, amount + one.amount)
        return dict(found)

    # --- breaks --------------------

    def breaks(self) -> Counter[Break]:
        """Every break that must be there."""
        lines = {line for report in self.reports for line in report.lines}
        return Counter(
            [
                *self._untied(lines), *self._of_lines(), *self._conflicts(), *self._unlisted(lines), *self._missing(),
                *self._later_attempts(), *self._twice(), *self._disagreements(),
            ]
        )  # fmt: skip

    def _untied(self, lines: Iterable[Said]) -> Iterator[Break]:
        foreign = (line for line in lines if line.invoice not in self.sent)
        for invoice, _, _, amount in {(line.invoice, line.status, line.code, line.amount) for line in foreign}:
            yield Break("other_profile" if invoice in self.others else "unexpected", invoice, amount)

    def _of_lines(self) -> Iterator[Break]:
        for invoice, lines in self.said.items():
            sent = self.sent[invoice].amount
            whole = [line for line in lines if not line.partial]
            for back, amount, currency in {(line.status == "reversed", line.amount, line.currency) for line in whole}:
                if (amount, currency) != (sent, "IDR"):
                    kind, difference = ("partial_refund", sent - amount) if back else ("amount_differs", amount - sent)
                    yield Break(kind, invoice, difference)
            for amount in {line.amount for line in lines if line.partial}:
                yield Break("partial_approval", invoice, amount - sent, self._was_uncollected_after(invoice, amount))

    def _was_uncollected_after(self, invoice: str, amount: int) -> bool:
        """Whether a person said that nothing was collected once it was read that a part was approved."""
        read_on = min(
            report.day for report in self.reports for line in report.lines
            if line.invoice == invoice and line.partial and line.amount == amount
        )  # fmt: skip
        settled, on = self.settled.get(invoice, NOBODY)
        return settled in ("declined", "withdrawn") and read_on < on

    def _conflicts(self) -> Iterator[Break]:
        for invoice, lines in self.said.items():
            deciding = [line for line in lines if line.status in ("paid", "declined")]
            all_of = {line.status for line in lines}
            if len(deciding) > 1 or {"declined", "reversed"} <= all_of:
                yield Break("conflict", invoice, self.sent[invoice].amount)

    def _disagreements(self) -> Iterator[Break]:
        """A person and the reports say different things; a payment that was taken back was one."""
        for invoice, (settled, _) in self.settled.items():
            lines = {line.status for line in self.said.get(invoice, ())} - {"unknown"}
            reported = next((each for each in STRONGEST if each in lines), settled)
            if (reported == "reversed" and settled != "paid") or reported not in (settled, "reversed"):
                yield Break("witnesses_disagree", invoice, self.sent[invoice].amount)

    def _unlisted(self, lines: Iterable[Said]) -> Iterator[Break]:
        shown = {line.code for line in lines if line.invoice not in self.others}
        for code in shown:
            if not codes.meaning(code).listed:
                yield Break("unlisted_code", "", 0)

    def _missing(self) -> Iterator[Break]:
        """The reports on a batch are all there by their own word, and an attempt is in none of them."""
        parts: dict[tuple[str, int], dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        for report in self.reports:
            if report.header["parts"]:
                here = parts[report.header["batch_name"], int(report.header["parts"])][int(report.header["part"])]
                here.update(line.invoice for line in report.lines)
        for (batch, count), found in parts.items():
            if len(found) < count:
                continue
            answered = set().union(*found.values())
            for invoice, one in self.sent.items():
                if one.batch == batch and invoice not in answered:
                    yield Break("missing_line", invoice, one.amount, self.fates[invoice].status != "awaiting")

    def _later_attempts(self) -> Iterator[Break]:
        """An attempt was paid after all, and there is a later one that had not been withdrawn when that was read."""
        for attempts in self.by_charge.values():
            number, paid = next(
                ((number, invoice) for number, status, invoice in attempts if status in ("paid", "reversed")), (0, "")
            )
            for later, status, invoice in attempts if paid else ():
                if later > number and invoice and self._paid_on(paid) < self._withdrawn_on(invoice):
                    over = status in ("declined", "withdrawn", "paid", "reversed")
                    yield Break("paid_while_in_flight", invoice, self.sent[invoice].amount, over)

    def _paid_on(self, invoice: str) -> date:
        """The day on which it was first read, or said, that an attempt was paid."""
        status, said_on = self.settled.get(invoice, NOBODY)
        read_on = (
            report.day for report in self.reports for line in report.lines
            if line.invoice == invoice and line.status in ("paid", "reversed")
        )  # fmt: skip
        return min(read_on, default=date.max) if status != "paid" else min(said_on, *read_on)

    def _withdrawn_on(self, invoice: str) -> date:
        """The morning on which a person said that an attempt was never charged."""
        status, said_on = self.settled.get(invoice, NOBODY)
        return self.not_taken.get(self.sent[invoice].batch, said_on if status == "withdrawn" else date.max)

    def _twice(self) -> Iterator[Break]:
        for attempts in self.by_charge.values():
            paid = [(invoice, status) for _, status, invoice in attempts if status in ("paid", "reversed")]
            if len(paid) > 1:
                kept = sum(status == "paid" for _, status in paid)
                too_much = sum(self.sent[invoice].amount for invoice, _ in paid[1:])
                yield Break("collected_twice", paid[-1][0], too_much, kept < 2)


def first_code(lines: Iterable[Said], status: str) -> str:
    """The code that stands for all lines of a status: the first by its words, whichever came first."""
    return min(((line.code, line.approval, line.amount) for line in lines if line.status == status), default=("",))[0]


def sent_by(files: Iterable[BatchFile]) -> dict[str, Sent]:
    """The attempts of some batch files. AssertionError when an invoice number stands in them twice."""
    found: dict[str, Sent] = {}
    for file in files:
        for line in file.lines:
            invoice = line["invoice_number"]
            assert invoice not in found, f"{invoice} was sent twice: {found[invoice].batch} and {file.name}"
            found[invoice] = Sent(
                invoice, line["description"], int(invoice[-2:]), file.name, rupiah(line["amount"]), line["token"],
                date.fromisoformat(line["execute_date"]),
            )  # fmt: skip
    return found


def read(contents: Mapping[str, bytes], read_on: Mapping[str, date], form: Form, books: Books) -> None:
    """Read the reports into the books: in whole, or not at all. One of which nothing is the merchant's is not taken."""
    for name, content in contents.items():
        try:
            header, lines = form.read(content)
        except (NotReadable, ValueError, KeyError):
            books.refused.append(name)
            continue
        said = tuple(_said(line) for line in lines)
        if any(line.invoice in books.sent for line in said):
            books.reports.append(Report(name, read_on[name], header, said))
        else:
            books.refused.append(name)


def never_left(sent: Iterable[Sent], amounts: Mapping[str, int]) -> dict[tuple[str, int], int]:
    """Attempts that were claimed and never left: numbers that lack before a later one; with their rupiah."""
    numbers: dict[str, set[int]] = defaultdict(set)
    for one in sent:
        numbers[one.charge_id].add(one.number)
    return {
        (charge_id, number): amounts[charge_id]
        for charge_id, found in numbers.items()
        for number in set(range(1, max(found))) - found
    }


def _said(line: Facts) -> Said:
    code = codes.meaning(line["response_code"])
    status = "reversed" if line["status"] in codes.TAKEN_BACK else code.status
    return Said(
        line["invoice_number"], status, code.code, rupiah(line["amount"]), line["currency"], line["approval_code"]
    )
