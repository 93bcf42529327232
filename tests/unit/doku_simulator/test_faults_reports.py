"""Faults of what DOKU does with a batch and of its reports: what comes, and which money moved."""

import time

import pytest

from tests.doku_simulator import Fault
from tests.doku_simulator.envelope import BadEnvelopeError, open_sealed
from tests.doku_simulator.layout import BadFileError, load_layout, read_file
from tests.unit.doku_simulator.conftest import Merchant, Start

COUNT = 40


def run(merchant: Merchant, *faults: Fault | str, name: str = "TKN1.TXT") -> list[str]:
    """One batch with these faults; the names in the outbound folder, as far as they come by themselves."""
    merchant.simulator.behave(faults=faults)
    merchant.drop(name, COUNT)
    merchant.simulator.process_once()
    return merchant.reports()


def invoices(merchant: Merchant, *names: str) -> list[str]:
    return [line[1] for name in names for line in merchant.report(name)[1:]]


def expected() -> list[str]:
    return [invoice for invoice, _ in Merchant.rows(COUNT)]


def checked(merchant: Merchant, name: str) -> None:
    """Read a report as strictly as a batch file: layout, count and total."""
    plain = open_sealed(
        (merchant.simulator.outbound / name).read_bytes(),
        merchant.simulator.keys.private("merchant"),
        merchant.simulator.config.envelope,
    )
    read_file(load_layout(merchant.simulator.config.report_layout), plain)


@pytest.fixture
def merchant(start: Start):
    with start(rejection_name="{batch_stem}.ERR") as merchant:
        yield merchant


def test_file_rejected(merchant: Merchant) -> None:
    assert run(merchant, Fault("file_rejected", params={"reason": "BAD HEADER"})) == ["TKN1.ERR"]
    assert "BAD HEADER" in (merchant.simulator.outbound / "TKN1.ERR").read_text()
    assert merchant.simulator.charged == []
    # The same invoice numbers may come again in another file: they were never looked at.
    run(merchant, name="TKN2.TXT")
    assert "5542" not in {line[7] for line in merchant.report("RPT_TKN2.TXT")[1:]}


def test_line_rejected(merchant: Merchant) -> None:
    run(merchant, Fault("line_rejected", params={"count": 3}))
    rejected = [line for line in merchant.report("RPT_TKN1.TXT")[1:] if line[6] == "REJECTED"]
    assert [line[7] for line in rejected] == ["5505"] * 3
    assert not {line[1] for line in rejected} & {record["invoice_number"] for record in merchant.simulator.charged}
    checked(merchant, "RPT_TKN1.TXT")


def test_answers_unknown(merchant: Merchant) -> None:
    run(merchant, Fault("answers_unknown", params={"count": COUNT}))
    assert {line[7] for line in merchant.report("RPT_TKN1.TXT")[1:]} == {"5536"}
    charged = {record["response_code"] for record in merchant.simulator.charged}
    assert charged == {"5536"}
    assert 0 < len(merchant.simulator.charged) < COUNT


@pytest.mark.parametrize(("name", "events"), [("file_ignored", ["ignored"]), ("report_never", ["processed"])])
def test_silence(merchant: Merchant, name: str, events: list[str]) -> None:
    assert run(merchant, name) == []
    assert merchant.simulator.reports_waiting == []
    assert [record["event"] for record in merchant.simulator.files] == events
    assert bool(merchant.simulator.charged) == (name == "report_never")
    assert list(merchant.simulator.inbound.iterdir()) == []


def test_report_late(merchant: Merchant) -> None:
    assert run(merchant, Fault("report_late", params={"days": 3})) == []
    assert merchant.simulator.release_reports() == ["RPT_TKN1.TXT"]
    checked(merchant, "RPT_TKN1.TXT")


def test_half_then_the_rest(merchant: Merchant) -> None:
    first = run(merchant, "report_half_then_rest")
    assert first == ["RPT_TKN1_P1.TXT"]
    assert invoices(merchant, *first) == expected()[: COUNT // 2]
    merchant.simulator.release_reports()
    assert invoices(merchant, *merchant.reports()) == expected()


@pytest.mark.parametrize(
    "fault",
    [
        Fault("report_truncated"),
        Fault("report_truncated", params={"where": "plain", "bytes": 30}),
        Fault("report_bit_flipped"),
        Fault("report_empty"),
        Fault("report_trailing_garbage"),
        Fault("report_wrong_totals"),
        Fault("report_wrong_key"),
    ],
    ids=lambda fault: fault.name + "".join(f"-{value}" for value in fault.params.values()),
)
def test_a_broken_report_and_the_right_one_later(merchant: Merchant, fault: Fault) -> None:
    fault = Fault(fault.name, seed=3, params={**fault.params, "repair_after_seconds": 60})
    assert run(merchant, fault) == ["RPT_TKN1.TXT"]
    with pytest.raises((BadEnvelopeError, BadFileError)):
        checked(merchant, "RPT_TKN1.TXT")
    merchant.simulator.release_reports()
    checked(merchant, "RPT_TKN1_R1.TXT")
    assert invoices(merchant, "RPT_TKN1_R1.TXT") == expected()


def test_a_flipped_bit_before_sealing(start: Start, tmp_path) -> None:
    def plain(folder: str, *faults: Fault) -> bytes:
        with start(tmp_path / folder, report_sealed=False) as merchant:
            run(merchant, *faults)
            return (merchant.simulator.outbound / "RPT_TKN1.TXT").read_bytes()

    whole = plain("whole")
    damaged = plain("damaged", Fault("report_bit_flipped", params={"where": "plain"}))
    differing = [(one, other) for one, other in zip(whole, damaged, strict=True) if one != other]
    assert len(differing) == 1
    assert (differing[0][0] ^ differing[0][1]).bit_count() == 1


def test_report_duplicated(merchant: Merchant) -> None:
    names = run(merchant, "report_duplicated")
    assert names == ["RPT_TKN1.TXT", "RPT_TKN1_COPY.TXT"]
    assert len({(merchant.simulator.outbound / name).read_bytes() for name in names}) == 1


def test_report_repeated(merchant: Merchant) -> None:
    names = run(merchant, "report_repeated")
    assert names == ["RPT_TKN1.TXT", "RPT_TKN1_AGAIN.TXT"]
    first, second = (merchant.report(name)[1:] for name in names)
    assert first != second
    assert sorted(first) == sorted(second)


@pytest.mark.parametrize("sealed_for", ["us", "other"])
def test_report_foreign(merchant: Merchant, sealed_for: str) -> None:
    names = run(merchant, Fault("report_foreign", params={"sealed_for": sealed_for}))
    (foreign,) = set(names) - {"RPT_TKN1.TXT"}
    if sealed_for == "us":
        assert not set(invoices(merchant, foreign)) & set(expected())
        checked(merchant, foreign)
    else:
        with pytest.raises(BadEnvelopeError):
            checked(merchant, foreign)
    assert invoices(merchant, "RPT_TKN1.TXT") == expected()


@pytest.mark.parametrize(
    ("name", "more"),
    [("lines_duplicated", 2), ("lines_conflicting", 2), ("lines_missing", -2), ("lines_unexpected", 2)],
)
def test_lines_more_or_fewer(merchant: Merchant, name: str, more: int) -> None:
    run(merchant, Fault(name, seed=5, params={"count": 2}))
    checked(merchant, "RPT_TKN1.TXT")
    lines = merchant.report("RPT_TKN1.TXT")[1:]
    assert len(lines) == COUNT + more
    ours = [line for line in lines if line[1] in expected()]
    distinct = {line[1] for line in ours}
    assert len(distinct) == COUNT + min(more, 0)
    identical = len({tuple(line) for line in ours})
    assert identical == {"lines_conflicting": COUNT + 2}.get(name, len(distinct))
    assert len(lines) - len(ours) == (2 if name == "lines_unexpected" else 0)


@pytest.mark.parametrize(
    ("name", "column"), [("lines_amount_changed", 4), ("lines_code_unlisted", 7), ("lines_reordered", None)]
)
def test_lines_changed(merchant: Merchant, name: str, column: int | None) -> None:
    run(merchant, Fault(name, params={} if column is None else {"count": 2}))
    changed = merchant.report("RPT_TKN1.TXT")[1:]
    checked(merchant, "RPT_TKN1.TXT")
    answers = {record["invoice_number"]: record for record in merchant.simulator.processed}
    if column is None:
        assert [line[1] for line in changed] != expected()
        assert sorted(line[1] for line in changed) == expected()
        return
    truth = {4: lambda record: f"{record['reported']}.00", 7: lambda record: record["response_code"]}[column]
    assert sum(line[column] != truth(answers[line[1]]) for line in changed) == 2


def test_a_report_grows_where_all_see_it(start: Start) -> None:
    with start(auto=True, process_after=0.0, poll=0.02, clock=time.time) as merchant:
        growing = Fault("report_growing", params={"steps": 4, "seconds": 0.6})
        merchant.simulator.behave(faults=[growing, "outbound_litter"])
        merchant.drop("TKN1.TXT", COUNT)
        sizes = set()
        target = merchant.simulator.outbound / "RPT_TKN1.TXT"
        end = time.monotonic() + 60
        while merchant.simulator.reports_waiting or not target.exists():
            assert time.monotonic() < end
            if target.exists():
                sizes.add(target.stat().st_size)
            time.sleep(0.02)
        assert len(sizes) >= 3
        checked(merchant, "RPT_TKN1.TXT")
        assert merchant.reports() == [
            "RPT_TKN1.TXT",
            "RPT_TKN1.TXT.filepart",
            "RPT_TKN1_EMPTY.TXT",
            "RPT_TKN1_FOLDER.TXT",
        ]


def test_a_wrong_clock_shows_in_reports(merchant: Merchant) -> None:
    run(merchant, Fault("clock_skew", params={"seconds": -86400}))
    stamp = merchant.report("RPT_TKN1.TXT")[1][12]
    age = time.time() - (merchant.simulator.outbound / "RPT_TKN1.TXT").stat().st_mtime
    assert 86_300 < age < 86_500
    merchant.simulator.behave()
    run(merchant, name="TKN2.TXT")
    assert int(merchant.report("RPT_TKN2.TXT")[1][12][:8]) > int(stamp[:8])


def test_the_same_seed_breaks_the_same_lines(start: Start, tmp_path) -> None:
    def missing(folder: str, seed: int) -> set[str]:
        with start(tmp_path / folder) as merchant:
            run(merchant, Fault("lines_missing", seed=seed, params={"count": 5}))
            return set(expected()) - set(invoices(merchant, "RPT_TKN1.TXT"))

    assert missing("one", 1) == missing("two", 1) != missing("three", 2)
