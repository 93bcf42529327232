"""The report writer: answers to report files, faithful by default and faulty as told."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from tests.doku_simulator import bank
from tests.doku_simulator.behaviour import Behaviour, Fault
from tests.doku_simulator.envelope import EnvelopeForm, seal
from tests.doku_simulator.layout import Layout, Value, write_file

WIB: Final = timezone(timedelta(hours=7))

Row = dict[str, Value]
FindFault = Callable[[str], Fault | None]


@dataclass(frozen=True)
class PlannedFile:
    """A file that will be put into the outbound folder.

    Attributes:
        delay: Seconds from now.
        steps, step_seconds: Written under its final name in so many pieces; 1: by a temporary name and a rename.
    """

    name: str
    data: bytes
    delay: float = 0.0
    steps: int = 1
    step_seconds: float = 0.0


@dataclass(frozen=True)
class ReportWriter:
    """Writes the reports of one merchant account."""

    layout: Layout
    report_name: str
    part_suffix: str
    code_width: int
    sealed: bool
    form: EnvelopeForm
    merchant_key: RSAPublicKey
    other_key: RSAPublicKey

    def plan(
        self,
        batch_name: str,
        answers: list[dict[str, Any]],
        tokens: list[str],
        behaviour: Behaviour,
        find: FindFault,
        moment: float,
    ) -> list[PlannedFile]:
        """All files that answer a batch, in the order in which they appear.

        Args:
            answers: As in `processed.jsonl`.
            tokens: Of the same lines; they are in no journal.
            find: Gives the fault of that name that is to happen to this batch, if any.
            moment: The server's time.
        """
        if find("report_never"):
            return []
        shift = behaviour.skew
        today = datetime.fromtimestamp(moment + shift, WIB).date()
        rows = [_row(answer, token, shift) for answer, token in zip(answers, tokens, strict=True)]
        rows = _faulty_rows(rows, batch_name, find)
        if self.code_width == 2:
            rows = [{**row, "line.response_code": _short(str(row["line.response_code"]))} for row in rows]
        delay = behaviour.late_seconds
        if late := find("report_late"):
            delay += float(late.param("days")) * 86400 + float(late.param("seconds"))
        parts, gap = _parts(rows, behaviour, find)
        whole = _whole_totals(rows)
        files: list[PlannedFile] = []
        for number, part in enumerate(parts, 1):
            name = self._name(batch_name, number, len(parts))
            facts = self._facts(name, batch_name, part, today, number, len(parts), whole)
            files += self._files(name, facts, part, batch_name, behaviour, find, delay + gap * (number - 1))
        files += self._companions(files, batch_name, rows, today, find, delay)
        if growing := find("report_growing"):
            steps, seconds = int(growing.param("steps")), float(growing.param("seconds"))
            files = [replace(file, steps=steps, step_seconds=seconds) for file in files]
        return files

    def _name(self, batch_name: str, part: int, parts: int, suffix: str = "") -> str:
        facts = {"batch_stem": PurePosixPath(batch_name).stem, "batch_name": batch_name, "part": part, "parts": parts}
        name = PurePosixPath(self.report_name.format(**facts))
        if parts > 1 and "{part}" not in self.report_name:
            suffix = self.part_suffix.format(**facts) + suffix
        return f"{name.stem}{suffix}{name.suffix}"

    def _facts(
        self,
        name: str,
        batch_name: str,
        rows: list[Row],
        today: date,
        part: int,
        parts: int,
        whole: tuple[int, int],
    ) -> Row:
        total = sum(int(row["line.amount"]) for row in rows)  # type: ignore[arg-type]
        good = [int(row["line.amount"]) for row in rows if row["line.status"] == "SUCCESS"]  # type: ignore[arg-type]
        return {
            "file.name": name,
            "file.batch_name": batch_name,
            "file.count": len(rows),
            "file.total": total,
            "file.success_count": len(good),
            "file.success_total": sum(good),
            "file.failed_count": len(rows) - len(good),
            "file.failed_total": total - sum(good),
            "file.batch_count": whole[0],
            "file.batch_total": whole[1],
            "file.date": today,
            "file.part": part,
            "file.parts": parts,
        }

    def _files(
        self,
        name: str,
        facts: Row,
        rows: list[Row],
        batch_name: str,
        behaviour: Behaviour,
        find: FindFault,
        delay: float,
    ) -> list[PlannedFile]:
        right = self._seal(write_file(self.layout, facts, rows, facts), self.merchant_key)
        data, repair = self._damaged(facts, rows, name, find, right)
        if behaviour.truncate_bytes:
            data = data[: -behaviour.truncate_bytes]
        files = [PlannedFile(name, data, delay)]
        if repair is not None:
            files.append(PlannedFile(_with_suffix(name, "_R1"), right, delay + repair))
        return files

    def _seal(self, plain: bytes, key: RSAPublicKey) -> bytes:
        return seal(plain, key, self.form) if self.sealed else plain

    def _damaged(
        self, facts: Row, rows: list[Row], name: str, find: FindFault, right: bytes
    ) -> tuple[bytes, float | None]:
        """The file's bytes with all damage that was ordered, and after how long the right file follows, if ever."""
        happened: list[Fault] = []

        def damage(fault_name: str, **only: str) -> Fault | None:
            fault = find(fault_name)
            if fault is None or any(fault.param(key) != value for key, value in only.items()):
                return None
            happened.append(fault)
            return fault

        if wrong := damage("report_wrong_totals"):
            rng = wrong.rng(name)
            facts = {**facts, "file.count": facts["file.count"] + rng.randint(1, 9)}  # type: ignore[operator]
            facts["file.total"] = facts["file.total"] + rng.randint(1, 999_999)  # type: ignore[operator]
        plain = write_file(self.layout, facts, rows, facts)
        plain = _damage_bytes(plain, name, damage, "plain")
        wrong_key = damage("report_wrong_key")
        data = self._seal(plain, self.other_key if wrong_key else self.merchant_key) if happened else right
        data = _damage_bytes(data, name, damage, "sealed")
        if garbage := damage("report_trailing_garbage"):
            data += garbage.rng(name).randbytes(37)
        if damage("report_empty"):
            data = b""
        repairs = [fault.param("repair_after_seconds") for fault in happened]
        times = [float(seconds) for seconds in repairs if seconds is not None]
        return data, min(times) if times else None

    def _companions(
        self, files: list[PlannedFile], batch_name: str, rows: list[Row], today: date, find: FindFault, delay: float
    ) -> list[PlannedFile]:
        """Files that lie beside the true ones."""
        more = []
        if find("report_duplicated"):
            more += [replace(file, name=_with_suffix(file.name, "_COPY")) for file in files]
        if again := find("report_repeated"):
            shuffled = again.rng(batch_name).sample(rows, len(rows))
            more.append(self._whole(batch_name, shuffled, today, "_AGAIN", delay, self.merchant_key))
        if foreign := find("report_foreign"):
            rng = foreign.rng(batch_name)
            strangers = [_stranger(rng, rows[number % len(rows)] if rows else {}) for number in range(5)]
            key = self.other_key if foreign.param("sealed_for") == "other" else self.merchant_key
            more.append(self._whole(f"TKN{rng.randrange(10**9):09d}.TXT", strangers, today, "", delay, key))
        return more

    def _whole(
        self, batch_name: str, rows: list[Row], today: date, suffix: str, delay: float, key: RSAPublicKey
    ) -> PlannedFile:
        name = self._name(batch_name, 1, 1, suffix)
        facts = self._facts(name, batch_name, rows, today, 1, 1, _whole_totals(rows))
        return PlannedFile(name, self._seal(write_file(self.layout, facts, rows, facts), key), delay)


def _short(code: str) -> str:
    return code[2:] if code.startswith("00") else code


def _whole_totals(rows: list[Row]) -> tuple[int, int]:
    return len(rows), sum(int(row["line.amount"]) for row in rows)  # type: ignore[arg-type]


def _with_suffix(name: str, suffix: str) -> str:
    path = PurePosixPath(name)
    return f"{path.stem}{suffix}{path.suffix}"


def _row(answer: Mapping[str, Any], token: str, shift: float) -> Row:
    charged_at = datetime.fromisoformat(answer["charged_at"]).astimezone(WIB) + timedelta(seconds=shift)
    return {
        "line.invoice_number": answer["invoice_number"],
        "line.billing_number": answer.get("billing_number"),
        "line.customer_id": answer.get("customer_id"),
        "line.token": token,
        "line.amount": answer["reported"],
        "line.currency": answer["currency"],
        "line.response_code": answer["response_code"],
        "line.response_message": bank.message(answer["response_code"]),
        "line.approval_code": answer["approval_code"],
        "line.masked_card": answer["masked_card"],
        "line.bank": answer["bank"],
        "line.channel": answer.get("channel"),
        "line.network": answer["network"],
        "line.advice_code": None,
        "line.charged_at": charged_at.replace(tzinfo=None),
        "line.status": answer["status"],
    }


def _parts(rows: list[Row], behaviour: Behaviour, find: FindFault) -> tuple[list[list[Row]], float]:
    count, gap = behaviour.split, behaviour.split_delay_seconds
    if half := find("report_half_then_rest"):
        count, gap = 2, float(half.param("seconds"))
    count = max(1, min(count, len(rows)))
    size, longer = divmod(len(rows), count)
    parts, start = [], 0
    for number in range(count):
        end = start + size + (number < longer)
        parts.append(rows[start:end])
        start = end
    return parts, gap


def _damage_bytes(data: bytes, name: str, damage: Callable[..., Fault | None], where: str) -> bytes:
    if (cut := damage("report_truncated", where=where)) and data:
        given = cut.params.get("bytes")
        data = data[: -min(len(data), int(given) if given else cut.rng(name).randint(1, max(1, len(data) // 2)))]
    if (flip := damage("report_bit_flipped", where=where)) and data:
        # Behind the envelope's head, where the lines are: a broken head is too easy to find.
        at = flip.rng(name).randrange(min(400, len(data) - 1), len(data))
        data = data[:at] + bytes([data[at] ^ (1 << flip.rng(name).randrange(7))]) + data[at + 1 :]
    return data


# --- faults of the lines --------------------


def _faulty_rows(rows: list[Row], batch_name: str, find: FindFault) -> list[Row]:
    for name, change in _ROW_FAULTS.items():
        if rows and (fault := find(name)):
            rng = fault.rng(batch_name)
            count = min(int(fault.params.get("count", 1)), len(rows))
            rows = change(list(rows), sorted(rng.sample(range(len(rows)), count)), rng)
    return rows


def _amount_changed(rows: list[Row], chosen: list[int], rng: random.Random) -> list[Row]:
    for index in chosen:
        rows[index] = {**rows[index], "line.amount": rows[index]["line.amount"] + rng.randint(1, 999)}  # type: ignore[operator]
    return rows


def _code_unlisted(rows: list[Row], chosen: list[int], _rng: random.Random) -> list[Row]:
    for index in chosen:
        changed = {"line.response_code": "00ZZ", "line.response_message": bank.message("00ZZ"), "line.status": "FAILED"}
        rows[index] = {**rows[index], **changed, "line.approval_code": ""}
    return rows


def _missing(rows: list[Row], chosen: list[int], _rng: random.Random) -> list[Row]:
    gone = set(chosen)
    return [row for index, row in enumerate(rows) if index not in gone]


def _duplicated(rows: list[Row], chosen: list[int], rng: random.Random) -> list[Row]:
    for copy in [rows[index] for index in chosen]:
        rows.insert(rng.randint(0, len(rows)), copy)
    return rows


def _conflicting(rows: list[Row], chosen: list[int], _rng: random.Random) -> list[Row]:
    for row in [rows[index] for index in chosen]:
        code = "0005" if row["line.status"] == "SUCCESS" else "0000"
        good = code == "0000"
        rows.append(
            {
                **row,
                "line.response_code": code,
                "line.response_message": bank.message(code),
                "line.approval_code": "424242" if good else "",
                "line.status": "SUCCESS" if good else "FAILED",
            }
        )
    return rows


def _stranger(rng: random.Random, like: Row) -> Row:
    """A line that nobody asked for, of the same shape as ours."""
    shape = str(like.get("line.invoice_number") or "INV0000000000")
    invoice = "".join(
        str(rng.randrange(10))
        if character.isdigit()
        else rng.choice("ABCDEFGHJKLMNPQRSTUVWXYZ")
        if character.isalpha()
        else character
        for character in shape
    )
    return {
        **like,
        "line.invoice_number": invoice,
        "line.amount": rng.randrange(1, 2_000) * 1_000,
        "line.currency": like.get("line.currency") or "IDR",
        "line.response_code": "0000",
        "line.response_message": bank.message("0000"),
        "line.approval_code": f"{rng.randrange(10**6):06d}",
        "line.status": "SUCCESS",
    }


def _unexpected(rows: list[Row], chosen: list[int], rng: random.Random) -> list[Row]:
    return rows + [_stranger(rng, rows[index]) for index in chosen]


def _reordered(rows: list[Row], _chosen: list[int], rng: random.Random) -> list[Row]:
    rng.shuffle(rows)
    return rows


_ROW_FAULTS: Final[Mapping[str, Callable[[list[Row], list[int], random.Random], list[Row]]]] = {
    "lines_amount_changed": _amount_changed,
    "lines_code_unlisted": _code_unlisted,
    "lines_missing": _missing,
    "lines_duplicated": _duplicated,
    "lines_conflicting": _conflicting,
    "lines_unexpected": _unexpected,
    "lines_reordered": _reordered,
}
