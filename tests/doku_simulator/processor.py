"""DOKU's batch processing: take a file, open it, read it, charge its lines, report. Restartable at any point."""

import hashlib
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tests.doku_simulator import bank
from tests.doku_simulator.bank import Bank, Decision
from tests.doku_simulator.behaviour import Behaviour, Director, Fault
from tests.doku_simulator.books import Books, Submission
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.envelope import BadEnvelopeError, open_sealed
from tests.doku_simulator.intake import Intake
from tests.doku_simulator.keys import KeyRing
from tests.doku_simulator.layout import BadFileError, BadLayoutError, BatchFile, Value, load_layout, read_file
from tests.doku_simulator.merging import Merging
from tests.doku_simulator.outbox import Outbox
from tests.doku_simulator.reports import FindFault, ReportWriter

CHUNK: Final = 5_000
_NEEDED: Final = {"attempt.invoice_number", "attempt.token", "attempt.amount"}


@dataclass(frozen=True)
class FileResult:
    """What became of one file.

    Attributes:
        event: processed, rejected, ignored, or again (this very file was processed before; nothing was done).
        reports: Names of the report files that are planned, in order.
    """

    name: str
    digest: str
    event: str
    count: int = 0
    total: int = 0
    charged_count: int = 0
    charged_total: int = 0
    by_code: dict[str, int] = field(default_factory=dict)
    reports: tuple[str, ...] = ()
    reason: str = ""


class Processor:
    """Everything behind the folders; one per state folder.

    Args:
        is_dead: Whether a token can no longer be charged.
        on_published: Called with the name of a report once it lies in the outbound folder.
    """

    def __init__(
        self,
        config: SimulatorConfig,
        keys: KeyRing,
        books: Books,
        director: Director,
        intake: Intake,
        *,
        is_dead: Callable[[str], bool] = lambda token: False,
        on_published: Callable[[str], None] = lambda name: None,
    ) -> None:
        self._is_dead, self._on_published = is_dead, on_published
        self._config, self._books = config, books
        self._director, self._intake = director, intake
        self._lock = threading.RLock()
        self._private_key = keys.private("doku")
        self._batch_layout = load_layout(config.batch_layout)
        if missing := sorted(_NEEDED - self._batch_layout.sources()):
            raise BadLayoutError(f"{config.batch_layout}: no column carries {missing[0]}")
        self._outbox = Outbox(config.root / "state" / "pending", config.local(config.outbound))
        self._merging = Merging(config.root / "state" / "merge.json")
        self._writer = ReportWriter(
            layout=load_layout(config.report_layout),
            report_name=config.report_name,
            code_width=config.code_width,
            part_suffix=config.part_suffix,
            sealed=config.report_sealed,
            form=config.report_envelope or config.envelope,
            merchant_key=keys.public("merchant", config.merchant_public_key),
            other_key=keys.public("other"),
        )

    def process(self, settle_seconds: float) -> list[FileResult]:
        """Finish what a crash interrupted, take and process what is ready, put out the reports that are due."""
        with self._lock:
            for path in self._intake.ready(settle_seconds):
                if self._intake.take(path):
                    self._step("taken")
            results = [self._process_spooled(path) for path in self._intake.spooled()]
            self.publish(self._config.clock())
            return results

    def publish(self, until: float) -> list[str]:
        """Put out the planned reports whose time is up to `until`; the names."""
        with self._lock:
            names = []
            # Our own server shifts the times that it shows.
            shift = 0.0 if self._config.sftp else self._director.behaviour.skew
            for item in self._outbox.waiting():
                if item.publish_at <= until:
                    self._outbox.publish(item, shift)
                    self._step("published")
                    self._on_published(item.name)
                    names.append(item.name)
            return names

    def waiting(self) -> list[str]:
        """Names of reports that are still to come."""
        return [item.name for item in self._outbox.waiting()]

    def _process_spooled(self, path: Path) -> FileResult:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        submission = Submission(self._intake.name_of(path), digest)
        if self._books.ended(submission):
            # Delivered once more, or a crash between the books and the archive.
            result = FileResult(submission.name, digest, "again")
            self._event("again", submission)
        else:
            result = self._process_new(path, submission)
        self._step("recorded")
        self._archive(path, submission.name)
        self._step("archived")
        return result

    def _process_new(self, path: Path, submission: Submission) -> FileResult:
        behaviour = self._director.behaviour
        find = self._finder(submission.name)
        if find("file_ignored"):
            self._event("ignored", submission, reason="fault file_ignored")
            return FileResult(submission.name, submission.digest, "ignored")
        try:
            if self._books.name_used(submission):
                raise BadFileError(0, "", "another file came under this name before")
            if rejected := find("file_rejected"):
                raise BadFileError(0, "", str(rejected.param("reason")))
            batch = self._open(path)
        except (BadEnvelopeError, BadFileError) as error:
            return self._reject(submission, str(error))
        answers, tokens = self._answer(submission, batch, behaviour, find)
        return self._finish(submission, answers, tokens, behaviour, find)

    def _finder(self, batch_name: str) -> FindFault:
        found: dict[str, Fault | None] = {}

        def find(name: str) -> Fault | None:
            if name not in found:
                found[name] = self._director.take(name, batch_name, once_per_subject=True)
            return found[name]

        return find

    def _open(self, path: Path) -> BatchFile:
        data = path.read_bytes()
        if self._config.batch_sealed:
            data = open_sealed(data, self._private_key, self._config.envelope)
        batch = read_file(self._batch_layout, data)
        self._step("opened")
        return batch

    def _reject(self, submission: Submission, reason: str) -> FileResult:
        self.note(submission.name, reason)
        self._event("rejected", submission, reason=reason)
        return FileResult(submission.name, submission.digest, "rejected", reason=reason)

    def note(self, file_name: str, reason: str) -> None:
        """Say in the outbound folder that a file was rejected, where that is configured."""
        if self._config.rejection_name:
            name = self._config.rejection_name.format(batch_stem=PurePosixPath(file_name).stem, batch_name=file_name)
            self._outbox.note(name, f"REJECTED|{file_name}|{reason}\r\n")

    def _answer(
        self, submission: Submission, batch: BatchFile, behaviour: Behaviour, find: FindFault
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Charge the lines in order, chunk by chunk; lines answered before a crash keep their answer."""
        issuer = issuer_of(self._config, behaviour)
        forced = _forced_lines(submission.name, len(batch.details), find)
        token_at = batch.fields.index("attempt.token")
        tokens = [str(row[token_at] or "") for row in batch.details]
        answers: list[dict[str, Any]] = []
        for start in range(0, len(batch.details), CHUNK):
            moment = self._moment()
            chunk = []
            for index in range(start, min(start + CHUNK, len(batch.details))):
                line_no = batch.first_line + index
                known = self._books.known_answer(submission, line_no)
                chunk.append(known or self._answer_line(submission, batch, index, issuer, forced.get(index), moment))
            self._step("charging")
            self._books.settle(chunk)
            self._step("charged")
            answers += chunk
        return answers, tokens

    def _answer_line(
        self, submission: Submission, batch: BatchFile, index: int, issuer: Bank, forced: str | None, moment: str
    ) -> dict[str, Any]:
        facts: dict[str, Value] = {**batch.header, **batch.trailer}
        facts.update(zip(batch.fields, batch.details[index], strict=True))
        invoice, amount = str(facts["attempt.invoice_number"]), facts["attempt.amount"]
        assert isinstance(amount, int)
        line_no = batch.first_line + index
        token = str(facts.pop("attempt.token") or "")
        position = (submission.key, line_no)
        decision = issuer.decide(invoice, token, amount)
        duplicate = self._books.owner.setdefault(invoice, position) != position
        code = bank.DUPLICATE if duplicate else forced or self._code(token, decision)
        if code != decision.code:
            charged = amount if code in bank.UNKNOWN and decision.charged else 0
            decision = Decision(code, charged, amount, "", decision.masked_card, decision.bank, decision.network)
        status = "REJECTED" if forced == bank.LINE_REJECTED else "SUCCESS" if decision.success else "FAILED"
        return {
            "submission": submission.key,
            "file": submission.name,
            "line_no": line_no,
            **{name.partition(".")[2]: _plain(value) for name, value in facts.items() if name.startswith("attempt.")},
            "currency": _plain(facts.get("attempt.currency") or facts.get("batch.currency"))
            or self._config.default_currency,
            "response_code": decision.code,
            "status": status,
            "charged": decision.charged,
            "reported": decision.reported,
            "approval_code": decision.approval_code,
            "masked_card": decision.masked_card,
            "bank": decision.bank,
            "network": decision.network,
            "duplicate": duplicate,
            "charged_at": moment,
        }

    def _code(self, token: str, decision: Decision) -> str:
        return bank.TOKEN_DEAD if self._is_dead(token) else decision.code

    def _finish(
        self,
        submission: Submission,
        answers: list[dict[str, Any]],
        tokens: list[str],
        behaviour: Behaviour,
        find: FindFault,
    ) -> FileResult:
        moment = self._config.clock()
        reported, reported_tokens = self._to_report(submission, answers, tokens, behaviour.merge)
        files = []
        if reported is not None:
            files = self._writer.plan(submission.name, reported, reported_tokens, behaviour, find, moment)
        self._outbox.plan(submission.key, files, moment)
        if files and find("outbound_litter"):
            self._outbox.litter(files[0].name)
        self._step("planned")
        charged = [answer["charged"] for answer in answers if answer["charged"]]
        result = FileResult(
            name=submission.name,
            digest=submission.digest,
            event="processed",
            count=len(answers),
            total=sum(answer["amount"] for answer in answers),
            charged_count=len(charged),
            charged_total=sum(charged),
            by_code=dict(sorted(Counter(answer["response_code"] for answer in answers).items())),
            reports=tuple(file.name for file in files),
        )
        facts = asdict(result)
        for key in ("name", "digest", "event", "reason"):
            del facts[key]
        self._event("processed", submission, **facts)
        return result

    def _to_report(
        self, submission: Submission, answers: list[dict[str, Any]], tokens: list[str], merge: int
    ) -> tuple[list[dict[str, Any]] | None, list[str]]:
        """The lines of the report that is due now, or None while it waits; tokens of earlier batches are not kept."""
        if merge == 1 and not self._merging.open:
            return answers, tokens
        keys = self._merging.close_with(submission.key, merge)
        if keys is None:
            return None, []
        earlier = [record for record in self._books.processed.records() if record["submission"] in set(keys[:-1])]
        return [*earlier, *answers], [*[""] * len(earlier), *tokens]

    def _archive(self, path: Path, name: str) -> None:
        if self._config.archive is None:
            path.unlink()
            return
        target = self._config.local(self._config.archive) / name
        number = 1
        while target.exists():
            number += 1
            target = target.with_name(f"{name}.{number}")
        shutil.move(path, target)

    def _event(self, event: str, submission: Submission, **facts: Any) -> None:
        self._books.file_event(event, submission, self._moment(), **facts)

    def _moment(self) -> str:
        return datetime.fromtimestamp(self._config.clock(), UTC).isoformat(timespec="seconds")

    def _step(self, name: str) -> None:
        if self._config.on_step:
            self._config.on_step(name)


def issuer_of(config: SimulatorConfig, behaviour: Behaviour) -> Bank:
    """The bank of the moment."""
    return Bank(
        seed=config.seed,
        mix=behaviour.mix or config.mix,
        endings=config.endings,
        unknown_charged_share=config.unknown_charged_share,
    )


def _forced_lines(batch_name: str, count: int, find: FindFault) -> dict[int, str]:
    forced: dict[int, str] = {}
    for name, code in (("answers_unknown", "5536"), ("line_rejected", bank.LINE_REJECTED)):
        if fault := find(name):
            wanted = min(int(fault.param("count")), count)
            forced.update(dict.fromkeys(fault.rng(batch_name).sample(range(count), wanted), code))
    return forced


def _plain(value: Value) -> str | int | None:
    return value if value is None or isinstance(value, str | int) else value.isoformat()
