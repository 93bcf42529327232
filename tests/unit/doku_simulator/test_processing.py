"""Charging and reporting: the same for the same seed, once for each invoice number, whatever crashes."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.doku_simulator import Behaviour, Simulator
from tests.unit.doku_simulator.conftest import MakeConfig, Merchant, Start


def test_a_batch_is_charged_and_reported(start: Start) -> None:
    with start() as merchant:
        merchant.drop("TKN1.TXT", 500)
        (result,) = merchant.simulator.process_once()
        assert (result.event, result.count, result.reports) == ("processed", 500, ("RPT_TKN1.TXT",))
        header, *lines = merchant.report("RPT_TKN1.TXT")
        assert header[:2] == ["H", "TKN1.TXT"]
        assert int(header[3]) == len(lines) == 500
        assert float(header[4]) == sum(float(line[4]) for line in lines) == result.total
        approved = [line for line in lines if line[7] == "0000"]
        assert int(header[5]) == len(approved)
        assert 0.78 < len(approved) / 500 < 0.93
        assert all(line[9] for line in approved)
        assert not any(line[9] for line in lines if line[6] == "FAILED")
        charged = merchant.simulator.charged
        assert result.charged_total == sum(record["charged"] for record in charged)
        assert {line[1] for line in approved} <= {record["invoice_number"] for record in charged}
        assert {record["response_code"] for record in charged} <= {"0000", "5536"}
        assert not list(merchant.simulator.inbound.iterdir())
        assert [path.name for path in merchant.simulator.archive.iterdir()] == ["TKN1.TXT"]


def test_same_seed_and_lines_give_the_same_results(start: Start, tmp_path: Path) -> None:
    def run(name: str, seed: int) -> list[list[str]]:
        with start(tmp_path / name, seed=seed) as merchant:
            merchant.drop("TKN1.TXT", 200)
            merchant.simulator.process_once()
            return merchant.report("RPT_TKN1.TXT")

    assert run("one", 7) == run("two", 7)
    assert run("three", 8) != run("four", 7)


def test_an_invoice_number_is_charged_once(start: Start) -> None:
    with start() as merchant:
        merchant.drop("TKN1.TXT", [("INVA", 1_000_00), ("INVB", 200_000), ("INVA", 100_000)])
        merchant.simulator.process_once()
        assert merchant.report("RPT_TKN1.TXT")[3][7] == "5542"
        before = merchant.simulator.charged
        merchant.drop("TKN2.TXT", [("INVA", 100_000), ("INVB", 200_000)])
        merchant.simulator.process_once()
        assert [line[7] for line in merchant.report("RPT_TKN2.TXT")[1:]] == ["5542", "5542"]
        assert merchant.simulator.charged == before


def test_the_same_file_again_is_not_processed_again(start: Start) -> None:
    with start() as merchant:
        data = merchant.drop("TKN1.TXT", 5)
        merchant.simulator.process_once()
        (merchant.simulator.inbound / "TKN1.TXT").write_bytes(data)
        (again,) = merchant.simulator.process_once()
        assert again.event == "again"
        assert len(merchant.simulator.processed) == 5
        merchant.drop("TKN1.TXT", 6, start=100)
        (other,) = merchant.simulator.process_once()
        assert (other.event, "came under this name" in other.reason) == ("rejected", True)


def test_endings_choose_the_answer(start: Start) -> None:
    amounts = {158_100: "0000", 158_151: "0051", 158_136: "5536", 158_199: "00ZZ", 158_105: "0005"}
    with start() as merchant:
        merchant.drop("TKN1.TXT", [(f"INV{amount}", amount) for amount in amounts])
        merchant.simulator.process_once()
        assert [line[7] for line in merchant.report("RPT_TKN1.TXT")[1:]] == list(amounts.values())


def test_nothing_and_less_is_an_invalid_amount(start: Start) -> None:
    with start() as merchant:
        merchant.drop("TKN1.TXT", [("INVA", 0)])
        merchant.simulator.process_once()
        assert merchant.report("RPT_TKN1.TXT")[1][7] == "0013"
        assert merchant.simulator.charged == []


@pytest.mark.parametrize("broken", [b"", b"0344", b"no envelope at all" * 30])
def test_a_file_that_cannot_be_opened_is_rejected(start: Start, broken: bytes) -> None:
    with start(rejection_name="{batch_stem}.ERR") as merchant:
        (merchant.simulator.inbound / "TKN1.TXT").write_bytes(broken)
        (result,) = merchant.simulator.process_once()
        assert result.event == "rejected"
        assert merchant.reports() == ["TKN1.ERR"]
        assert (merchant.simulator.outbound / "TKN1.ERR").read_text().startswith("REJECTED|TKN1.TXT|")
        assert merchant.simulator.files[-1]["reason"] == result.reason


def test_other_names_are_left_alone(start: Start) -> None:
    with start() as merchant:
        for name in ("tkn1.txt", ".TKN1.TXT.part", "TKN1.TXT.part", "X.TXT"):
            (merchant.simulator.inbound / name).write_bytes(b"x")
        assert merchant.simulator.process_once() == []
        assert len(list(merchant.simulator.inbound.iterdir())) == 4


def test_late_split_and_truncated(start: Start, tmp_path: Path) -> None:
    with start() as merchant:
        merchant.simulator.behave(Behaviour(late_seconds=60, split=3))
        merchant.drop("TKN1.TXT", 10)
        merchant.simulator.process_once()
        assert merchant.reports() == []
        assert merchant.simulator.reports_waiting == [f"RPT_TKN1_P{part}.TXT" for part in (1, 2, 3)]
        assert merchant.simulator.release_reports() == merchant.reports()
        parts = [merchant.report(name)[1:] for name in merchant.reports()]
        assert [len(part) for part in parts] == [4, 3, 3]
        assert len({line[1] for part in parts for line in part}) == 10
    with start(tmp_path / "cut") as merchant:
        merchant.drop("TKN1.TXT", 10)
        merchant.simulator.process_once()
        whole = (merchant.simulator.outbound / "RPT_TKN1.TXT").stat().st_size
        merchant.simulator.behave(Behaviour(truncate_bytes=7))
        merchant.drop("TKN2.TXT", 10, start=10)
        merchant.simulator.process_once()
        assert (merchant.simulator.outbound / "RPT_TKN2.TXT").stat().st_size == whole - 7


def test_reports_wait_over_a_restart(make_config: MakeConfig) -> None:
    with Simulator(make_config()) as first:
        first.behave(Behaviour(late_seconds=1))
        Merchant(first).drop("TKN1.TXT", 3)
        first.process_once()
    with Simulator(make_config(clock=lambda: 1_795_000_002.0)) as second:
        second.process_once()
        assert Merchant(second).reports() == ["RPT_TKN1.TXT"]


class Crash(BaseException):
    """Stands for a power failure: nothing after it runs."""


def test_a_crash_at_any_step_charges_nothing_twice(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.doku_simulator.processor.CHUNK", 4)
    steps: list[str] = []
    with Simulator(make_config(tmp_path / "whole", on_step=steps.append)) as whole:
        Merchant(whole).drop("TKN1.TXT", 10)
        whole.process_once()
        expected, lines = whole.charged, Merchant(whole).report("RPT_TKN1.TXT")
    for number in range(len(steps)):
        left = [number]

        def crash(step: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Crash(step)

        root = tmp_path / f"crash{number}"
        broken = Simulator(make_config(root, on_step=crash))
        broken.start()
        Merchant(broken).drop("TKN1.TXT", 10)
        with pytest.raises(Crash):
            broken.process_once()
        broken.stop()
        # A line that was being written when the power went.
        for journal in ("charged.jsonl", "processed.jsonl"):
            with (root / journal).open("a") as torn:
                torn.write('{"torn":')
        with Simulator(make_config(root)) as after:
            after.process_once()
            _same(after.charged, expected)
            assert Merchant(after).report("RPT_TKN1.TXT") == lines
            assert len(after.processed) == 10
            assert [record["event"] for record in after.files if record["event"] == "processed"] == ["processed"]


def _same(found: list[dict], expected: list[dict]) -> None:
    def key(records: list[dict]) -> list[dict]:
        return [{**record, "submission": record["submission"].partition("@")[0]} for record in records]

    assert key(found) == key(expected)


def test_a_torn_charge_file_between_charge_and_answer(make_config: MakeConfig, tmp_path: Path) -> None:
    """Charges on disk, answers lost: the lines get the answers that their charges had."""
    with Simulator(make_config(on_step=_crash_at("charged"))) as first:
        Merchant(first).drop("TKN1.TXT", 20)
        with pytest.raises(Crash):
            first.process_once()
        charged = first.charged
    (tmp_path / "doku" / "processed.jsonl").write_text("")
    with Simulator(make_config()) as second:
        second.process_once()
        assert second.charged == charged
        codes = Counter(line[7] for line in Merchant(second).report("RPT_TKN1.TXT")[1:])
        assert "5542" not in codes
        assert codes["0000"] == sum(record["response_code"] == "0000" for record in charged)


def _crash_at(wanted: str):
    def crash(step: str) -> None:
        if step == wanted:
            raise Crash(step)

    return crash


def test_a_killed_simulator_goes_on_where_it_was(make_config: MakeConfig) -> None:
    config = make_config()
    command = [sys.executable, "-m", "tests.doku_simulator", "--root", str(config.root), "--no-sftp"]
    command += ["--batch-layout", str(config.batch_layout), "--report-layout", str(config.report_layout)]
    command += ["--process-after", "0", "--poll", "0.02"]
    with Simulator(config) as simulator:
        Merchant(simulator).drop("TKN1.TXT", 20_000)
    for _ in range(2):
        running = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[3])
        assert json.loads(running.stdout.readline())["port"] == 0
        _until(lambda: (config.root / "charged.jsonl").stat().st_size > 0)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate()
    with Simulator(config) as simulator:
        simulator.process_once()
        invoices = [record["invoice_number"] for record in simulator.charged]
        assert len(invoices) == len(set(invoices))
        assert len(simulator.processed) == 20_000
        lines = Merchant(simulator).report("RPT_TKN1.TXT")[1:]
        assert len(lines) == 20_000
        assert {line[1] for line in lines if line[7] == "0000"} <= set(invoices)


def _until(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def test_two_simulators_do_not_share_a_folder(make_config: MakeConfig) -> None:
    with Simulator(make_config()), pytest.raises(RuntimeError, match="another simulator"):
        Simulator(make_config()).start()


def test_the_thread_waits_until_a_file_has_stopped_growing(start: Start) -> None:
    with start(auto=True, process_after=0.4, poll=0.05, clock=time.time) as merchant:
        data = merchant.sealed(merchant.plain("TKN1.TXT", merchant.rows(3)))
        target = merchant.simulator.inbound / "TKN1.TXT"
        with target.open("wb") as file:
            for at in range(0, len(data), 100):
                file.write(data[at : at + 100])
                file.flush()
                time.sleep(0.1)
        _until(lambda: merchant.reports() == ["RPT_TKN1.TXT"])
        assert merchant.simulator.files[0]["event"] == "processed"
        assert merchant.simulator.error is None


def test_one_report_answers_several_batches(start: Start) -> None:
    with start() as merchant:
        merchant.simulator.behave(Behaviour(merge=2))
        merchant.drop("TKN1.TXT", 3)
        merchant.simulator.process_once()
        assert merchant.reports() == []
        merchant.drop("TKN2.TXT", 4, start=10)
        merchant.simulator.process_once()
        assert merchant.reports() == ["RPT_TKN2.TXT"]
        assert len(merchant.report("RPT_TKN2.TXT")[1:]) == 7
        merchant.drop("TKN3.TXT", 2, start=20)
        merchant.simulator.process_once()
        merchant.simulator.behave()
        merchant.drop("TKN4.TXT", 1, start=30)
        merchant.simulator.process_once()
        assert len(merchant.report("RPT_TKN4.TXT")[1:]) == 3
        merchant.drop("TKN5.TXT", 1, start=40)
        merchant.simulator.process_once()
        assert len(merchant.report("RPT_TKN5.TXT")[1:]) == 1


def test_short_codes(start: Start) -> None:
    with start(code_width=2) as merchant:
        merchant.drop("TKN1.TXT", [("INVA", 158_151), ("INVB", 158_136)])
        merchant.simulator.process_once()
        assert [line[7] for line in merchant.report("RPT_TKN1.TXT")[1:]] == ["51", "5536"]


def test_folders_on_another_file_system(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside another SFTP server the folders may lie anywhere: a file is then copied, not moved."""
    rename = Path.rename

    def across(self: Path, target: Path) -> Path:
        if self.parent.name == "inbound":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    with start(sftp_root=tmp_path / "elsewhere") as merchant:
        merchant.drop("TKN1.TXT", 3)
        (result,) = merchant.simulator.process_once()
        assert result.event == "processed"
        assert (tmp_path / "elsewhere" / "outbound" / "RPT_TKN1.TXT").exists()
        assert list(merchant.simulator.inbound.iterdir()) == []


def test_whatever_comes_is_processed_or_rejected(start: Start) -> None:
    """Mutated files, sealed and plain: the processing never breaks, and never charges more than the lines say."""
    rng = random.Random(11)
    with start(batch_sealed=False, report_sealed=False) as merchant:
        for number in range(100):
            plain = bytearray(merchant.plain(f"TKN{number}.TXT", merchant.rows(4, number * 10)))
            for _ in range(rng.randint(0, 3)):
                at = rng.randrange(len(plain))
                change = rng.choice([b"", b"\x00", b"|", b"9" * 5000, b"\xff", b"\r\n", bytes([plain[at] ^ 1])])
                plain[at : at + 1] = change
            (merchant.simulator.inbound / f"TKN{number}.TXT").write_bytes(plain)
        events = Counter(result.event for result in merchant.simulator.process_once())
        assert set(events) == {"processed", "rejected"}
        assert sum(events.values()) == 100
    with start(merchant.simulator.config.root.parent / "sealed") as merchant:
        for number in range(40):
            sealed = bytearray(merchant.drop("TKN1.TXT", 4, number * 10))
            at = rng.randrange(len(sealed))
            sealed[at : at + rng.randint(0, 4)] = rng.randbytes(rng.randint(0, 4))
            (merchant.simulator.inbound / "TKN1.TXT").rename(merchant.simulator.inbound / f"TKN{number}.TXT")
            (merchant.simulator.inbound / f"TKN{number}.TXT").write_bytes(sealed)
        events = Counter(result.event for result in merchant.simulator.process_once())
        assert events["rejected"] > 33


def test_names_that_are_too_long_are_left_alone(start: Start) -> None:
    with start() as merchant:
        (merchant.simulator.inbound / f"TKN{'1' * 240}.TXT").write_bytes(b"x")
        assert merchant.simulator.process_once() == []
