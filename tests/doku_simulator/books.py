"""DOKU's truth: which file was taken, which line was answered, which money moved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.doku_simulator.journal import Journal

ENDED = frozenset({"processed", "rejected", "ignored"})


@dataclass(frozen=True, slots=True)
class Submission:
    """One file as it was handed in: its name and the digest of its bytes as delivered."""

    name: str
    digest: str

    @property
    def key(self) -> str:
        return f"{self.name}@{self.digest[:24]}"


class Books:
    """Three journals in the simulator's folder.

    `charged.jsonl`: one line per charge that succeeded; nothing else moved money. `processed.jsonl`: one line per line
    answered, with its answer. `files.jsonl`: what happened to files.

    A charge is written before its answer. A crash between the two leaves a charge without an answer; the file is then
    taken up again, and the line gets its answer from the charge.
    """

    def __init__(self, folder: Path, *, sync: bool = True) -> None:
        self.charged = Journal(folder / "charged.jsonl", sync=sync)
        self.processed = Journal(folder / "processed.jsonl", sync=sync)
        self.files = Journal(folder / "files.jsonl", sync=sync)
        self.owner: dict[str, tuple[str, int]] = {}
        self._ended: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._answers: dict[tuple[str, int], dict[str, Any]] = {}
        self._charges: dict[tuple[str, int], dict[str, Any]] = {}
        self._load()

    def _load(self) -> None:
        for record in self.files.records():
            self._remember_file(record)
        for record in self.charged.records():
            position = (record["submission"], record["line_no"])
            self.owner[record["invoice_number"]] = position
            if record["submission"] not in self._ended:
                self._charges[position] = record
        for record in self.processed.records():
            position = (record["submission"], record["line_no"])
            if not record["duplicate"]:
                self.owner.setdefault(record["invoice_number"], position)
            if record["submission"] not in self._ended:
                self._answers[position] = record

    def _remember_file(self, record: dict[str, Any]) -> None:
        submission = Submission(record["name"], record["digest"])
        if record["event"] in ENDED:
            self._ended[submission.key] = record["event"]
            self._names.setdefault(submission.name, submission.digest)

    def file_event(self, event: str, submission: Submission, moment: str, **facts: Any) -> None:
        record = {"at": moment, "event": event, "name": submission.name, "digest": submission.digest, **facts}
        self.files.append([record])
        self._remember_file(record)
        if event in ENDED:
            self._answers.clear()
            self._charges.clear()

    def ended(self, submission: Submission) -> str | None:
        """How this very file ended before, if it did."""
        return self._ended.get(submission.key)

    def knows(self, name: str) -> bool:
        """Whether a file of this name ended before, in whichever way."""
        return name in self._names

    def name_used(self, submission: Submission) -> bool:
        """Whether other bytes came under this name before."""
        return self._names.get(submission.name, submission.digest) != submission.digest

    def known_answer(self, submission: Submission, line_no: int) -> dict[str, Any] | None:
        """The answer that this line of an unfinished file already got before a crash."""
        return self._answers.get((submission.key, line_no)) or self._charges.get((submission.key, line_no))

    def settle(self, answers: list[dict[str, Any]]) -> None:
        """Write charges first, then answers; what a crash left behind is not written twice."""
        charged, answered = [], []
        for answer in answers:
            position = (answer["submission"], answer["line_no"])
            if answer["charged"] and position not in self._charges:
                charged.append(answer)
            if position not in self._answers:
                answered.append(answer)
        if charged:
            self.charged.append(charged)
        if answered:
            self.processed.append(answered)

    def close(self) -> None:
        for journal in (self.charged, self.processed, self.files):
            journal.close()
