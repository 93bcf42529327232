"""Taking in reports: in whole or not at all, once by their content (promise 5); one class for each line (promise 6)."""

import itertools
import os

import pytest

from include.domain.errors import ArtefactError, KeyFileError
from include.flows.books import books_of_day
from include.flows.ingest import ingest_fetched, ingest_report
from include.flows.reconcile import conclude_batches, has_pending_work, write_back
from tests.flows_harness import BUSINESS_DATE, charge, report_text

_OF_REPORTS = ("report_file", "report_sighting")


@pytest.fixture
def sent(merchant):
    """A merchant with five charges of 100,000 at DOKU; `merchant.numbers` has their invoice numbers."""
    return _sent(merchant)


@pytest.fixture
def sent_on_each(merchant_on_each):
    return _sent(merchant_on_each)


def _sent(merchant):
    merchant.list_charges(*(charge(f"C{number}", 100_000) for number in range(1, 6)))
    _, (merchant.batch_id,) = merchant.submit()
    merchant.numbers = merchant.invoices()
    return merchant


def _line(merchant, charge_id: str, code: str = "0000", amount: int = 100_000):
    return merchant.numbers[charge_id], amount, code


def _take_in(merchant, *lines, name: str = "RPT_1.TXT", **header):
    merchant.report(*lines, name=name, **header)
    merchant.fetch()
    (ingested,) = ingest_fetched(merchant.context)
    return ingested


def _outcomes(merchant) -> dict[str, str]:
    """Charge -> its strongest outcome."""
    query = """SELECT a.charge_id, o.status FROM outcome o JOIN attempt a USING (invoice_number)
               WHERE NOT EXISTS (SELECT 1 FROM outcome s WHERE s.invoice_number = o.invoice_number
                                 AND s.strength > o.strength)"""
    return {row["charge_id"]: row["status"] for row in merchant.sql(query)}


def _breaks(merchant) -> list[tuple[str, int]]:
    return [(row["kind"], row["amount"]) for row in merchant.sql("SELECT kind, amount FROM recon_break ORDER BY 1, 2")]


# --- classes of lines ---


def test_each_line_ends_in_one_class(sent_on_each):
    merchant = sent_on_each
    found = _take_in(
        merchant,
        _line(merchant, "C1"),
        _line(merchant, "C2", "0051"),
        _line(merchant, "C3", "5536"),
        _line(merchant, "C4", amount=90_000),
        _line(merchant, "C1"),
        _line(merchant, "C2", "0000"),
        ("NOBODYSINVOICE000001", 100_000, "0000"),
    )
    assert found.classes == {"answer": 4, "amount_differs": 1, "repeat": 1, "unexpected": 1}
    assert _outcomes(merchant) == {"C1": "paid", "C2": "paid", "C3": "unknown", "C4": "paid"}
    assert _breaks(merchant) == [("amount_differs", -10_000), ("conflict", 100_000), ("unexpected", 100_000)]
    lines = merchant.sql("SELECT line_no, line_class FROM report_line ORDER BY line_no")
    assert [row["line_no"] for row in lines] == [2, 3, 4, 5, 6, 7, 8]

    write_back(merchant.context)
    told = {charge_id: one["status"] for (charge_id, _), one in merchant.told().items()}
    assert told == {"C1": "paid", "C2": "paid", "C3": "unknown", "C4": "paid", "C5": "in_flight"}


@pytest.mark.parametrize(("codes", "success"), [(["0000", "0011"], 1), (["0000", "0051"], 2), (["0000", "0004"], 2)])
def test_a_report_whose_count_of_paid_lines_is_not_that_of_its_codes_is_refused(sent, codes, success):
    """One wrong bit makes 0011 (approved) of 0051 and 0004 of 0000; an envelope does not show it, the header does."""
    lines = [_line(sent, f"C{number}", code) for number, code in enumerate(codes, 1)]
    found = _take_in(sent, *lines, success=success, failed=2 - success)
    assert "successful" in found.refused_reason
    assert _outcomes(sent) == {}


@pytest.mark.parametrize("success", [1, 2])
def test_a_line_that_decides_nothing_may_count_as_paid_or_not(sent, success):
    found = _take_in(sent, _line(sent, "C1"), _line(sent, "C2", "0010"), success=success, failed=2 - success)
    assert found.refused_reason is None


def test_a_break_shows_both_sides(sent):
    _take_in(sent, _line(sent, "C1", "0000"), _line(sent, "C1", "0051"), _line(sent, "C2", amount=1))
    details = {row["kind"]: row["details"] for row in sent.sql("SELECT kind, details FROM recon_break")}
    assert "declined 0051" in details["conflict"]
    assert "paid 0000" in details["conflict"]
    assert "sent 100000 IDR" in details["amount_differs"]
    assert "reported 1 " in details["amount_differs"]


@pytest.mark.parametrize("code", ["9999", "ZZZZ", "0010", "5536"])
def test_a_code_that_nobody_listed_or_that_decides_nothing_is_not_success(sent, code):
    _take_in(sent, _line(sent, "C1", code))
    assert _outcomes(sent) == {"C1": "unknown"}
    write_back(sent.context)
    _, batch_ids = sent.submit()
    assert batch_ids == []


def test_another_currency_is_a_difference(merchant):
    _sent(merchant)
    text = report_text(_line(merchant, "C1")).replace(b"|IDR|", b"|USD|")
    merchant.server.put("/outbound/RPT_1.TXT", text)
    merchant.fetch()
    (found,) = ingest_fetched(merchant.context)
    assert found.refused_reason or found.classes == {"amount_differs": 1}


@pytest.mark.parametrize(
    ("codes", "classes", "kinds"),
    [
        (["0000", "0051", "0051"], {"answer": 2, "repeat": 1}, ["conflict"]),
        (["0000", "0051", "0000", "0051"], {"answer": 2, "repeat": 2}, ["conflict"]),
        (["0000", "0051", "0005"], {"answer": 3}, ["conflict"]),
        (["0000", "5536", "5536"], {"answer": 2, "repeat": 1}, []),
        (["0010", "0000", "0051"], {"answer": 3}, ["conflict", "partial_approval"]),
        (["0010", "0000", "0010"], {"answer": 2, "repeat": 1}, ["partial_approval"]),
        (["9999", "0000", "ZZZZ"], {"answer": 3}, ["unlisted_code", "unlisted_code"]),
    ],
)
def test_lines_of_one_attempt_in_one_report(sent_on_each, codes, classes, kinds):
    merchant = sent_on_each
    found = _take_in(merchant, *(_line(merchant, "C1", code) for code in codes), success=codes.count("0000"))
    assert found.classes == classes
    assert [kind for kind, _ in _breaks(merchant)] == kinds
    assert _outcomes(merchant) == {"C1": "paid"}


def test_an_identical_line_of_a_second_report_is_nothing(sent):
    _take_in(sent, _line(sent, "C1"), _line(sent, "C2", "0051"))
    before = (_outcomes(sent), _breaks(sent))
    found = _take_in(sent, _line(sent, "C1"), _line(sent, "C2", "0051"), _line(sent, "C3"), name="RPT_2.TXT")
    assert found.classes == {"repeat": 2, "answer": 1}
    assert (_outcomes(sent), _breaks(sent)) == ({**before[0], "C3": "paid"}, [])


def test_a_conflicting_line_of_a_second_report_is_a_break_and_paid_stands(sent):
    _take_in(sent, _line(sent, "C1"), _line(sent, "C2", "0051"))
    found = _take_in(sent, _line(sent, "C1", "0051"), _line(sent, "C2", "0000"), name="RPT_2.TXT")
    assert found.classes == {"answer": 2}
    assert _outcomes(sent) == {"C1": "paid", "C2": "paid"}
    assert [kind for kind, _ in _breaks(sent)] == ["conflict", "conflict"]


def test_a_later_answer_settles_what_was_unknown(sent):
    _take_in(sent, _line(sent, "C1", "5536"), _line(sent, "C2", "5536"))
    found = _take_in(sent, _line(sent, "C1", "0000"), _line(sent, "C2", "0051"), name="RPT_2.TXT")
    assert found.classes == {"answer": 2}
    assert _outcomes(sent) == {"C1": "paid", "C2": "declined"}
    assert _breaks(sent) == []


def test_an_unknown_after_an_answer_changes_nothing(sent):
    _take_in(sent, _line(sent, "C1", "0000"))
    _take_in(sent, _line(sent, "C1", "5536"), name="RPT_2.TXT")
    assert _outcomes(sent) == {"C1": "paid"}
    assert _breaks(sent) == []


def test_a_line_for_a_batch_that_never_left_is_unexpected(sent):
    sent.list_charges(charge("LATER"))
    sent.seal()
    sent.numbers = sent.invoices()
    found = _take_in(sent, _line(sent, "LATER", amount=150_000), _line(sent, "C1"))
    assert found.classes == {"unexpected": 1, "answer": 1}
    assert "LATER" not in _outcomes(sent)


def test_lines_of_another_profile_are_breaks_and_give_no_outcome(sent):
    other = sent.context_for(_other_profile(sent))
    sent.context, mine = other, sent.context
    sent.list_charges(charge("THEIRS"))
    _, (theirs,) = sent.submit()
    sent.context = mine
    sent.numbers = sent.invoices()
    found = _take_in(sent, _line(sent, "C1"), _line(sent, "THEIRS", amount=150_000))
    assert found.classes == {"answer": 1, "other_profile": 1}
    assert _outcomes(sent) == {"C1": "paid"}
    assert sent.batch(theirs)["profile"] == "second"
    assert _breaks(sent) == [("other_profile", 150_000)]


def _other_profile(merchant):
    from include.schemas.profile import load_profile

    changes = {"batch": {"file_name": "TKN_S_{business_date:yyyyMMdd}_{sequence:04}.TXT"}}
    return load_profile(merchant.write_profile("second", changes))


# --- order of reports ---


def _answers(merchant):
    """Three reports that overlap and contradict each other."""
    return {
        "RPT_A.TXT": [_line(merchant, "C1", "0000"), _line(merchant, "C2", "5536"), _line(merchant, "C3", "0051")],
        "RPT_B.TXT": [_line(merchant, "C1", "0051"), _line(merchant, "C2", "0005"), _line(merchant, "C4", "9999")],
        "RPT_C.TXT": [_line(merchant, "C3", "5536"), _line(merchant, "C4", "0000"), _line(merchant, "C1", "0000")],
    }


@pytest.mark.parametrize("order", list(itertools.permutations(["RPT_A.TXT", "RPT_B.TXT", "RPT_C.TXT"])))
def test_the_order_of_reports_makes_no_difference_to_the_outcomes(make_merchant, order):
    merchant = _sent(make_merchant())
    for name in order:
        _take_in(merchant, *_answers(merchant)[name], name=name)
    write_back(merchant.context)
    assert _outcomes(merchant) == {"C1": "paid", "C2": "declined", "C3": "declined", "C4": "paid"}
    told = {charge_id: one["status"] for (charge_id, _), one in merchant.told().items()}
    assert told == {"C1": "paid", "C2": "declined", "C3": "declined", "C4": "paid", "C5": "in_flight"}


def test_reports_of_one_run_make_no_difference_to_reports_of_several(make_merchant):
    together, apart = _sent(make_merchant()), _sent(make_merchant())
    for name, lines in _answers(together).items():
        together.report(*lines, name=name)
    together.reconcile()
    for name, lines in _answers(apart).items():
        apart.report(*lines, name=name)
        apart.reconcile()
    assert _outcomes(together) == _outcomes(apart)
    without = ("updated_at", "decided_at", "ledger_id", "approval_code", "response_code", "response_message")
    assert [{k: v for k, v in one.items() if k not in without} for one in together.told().values()] == [
        {k: v for k, v in one.items() if k not in without} for one in apart.told().values()
    ]


# --- whole or not at all ---


def _good(merchant) -> bytes:
    return report_text(*(_line(merchant, f"C{number}") for number in range(1, 6)))


_SPOILED = {
    "cut in a line": lambda text: text[:-20],
    "the last line missing": lambda text: text[: text.rstrip().rfind(b"\r\n") + 2],
    "the last line end missing": lambda text: text[:-2],
    "a line too many": lambda text: text + text.splitlines(keepends=True)[-1],
    "no header": lambda text: b"".join(text.splitlines(keepends=True)[1:]),
    "wrong count": lambda text: text.replace(b"|20261120|5|", b"|20261120|6|"),
    "wrong total": lambda text: text.replace(b"500000.00", b"500001.00"),
    "an amount altered": lambda text: text.replace(b"|100000.00|IDR", b"|100001.00|IDR", 1),
    "an amount that is none": lambda text: text.replace(b"|100000.00|IDR", b"|1o0000.00|IDR", 1),
    "a column missing": lambda text: text.replace(b"|IDR|", b"|", 1),
    "a NUL": lambda text: text.replace(b"|IDR|", b"|I\0R|", 1),
    "nothing": lambda text: b"",
    "something else": lambda text: b"<html>404</html>\n",
}


@pytest.mark.parametrize("spoiled", _SPOILED.values(), ids=_SPOILED.keys())
def test_a_report_that_is_not_whole_leaves_nothing_but_its_refusal(sent_on_each, spoiled):
    merchant = sent_on_each
    content = spoiled(_good(merchant))
    before = merchant.dump(*_OF_REPORTS)
    merchant.server.put("/outbound/RPT_1.TXT", content)
    merchant.fetch()
    (found,) = ingest_fetched(merchant.context)
    assert found.refused_reason
    assert "RPT_1.TXT" in found.refused_reason
    after = merchant.dump(*_OF_REPORTS)
    (kept,) = set(after.pop("kept files")) - set(before.pop("kept files"))
    assert "RPT_1.TXT" in kept
    for table in (before, after):
        table.pop("files in outbound")
    assert after == before
    (row,) = merchant.sql("SELECT state, refused_reason FROM report_file")
    assert row == {"state": "refused", "refused_reason": found.refused_reason}

    # Asked again, nothing more happens; the whole file under the same name is taken in.
    assert ingest_fetched(merchant.context) == []
    merchant.fetch()
    assert ingest_fetched(merchant.context) == []
    merchant.server.put("/outbound/RPT_1.TXT", _good(merchant))
    os.utime(merchant.remote_root / "outbound" / "RPT_1.TXT", (1, 1))
    merchant.fetch()
    (found,) = ingest_fetched(merchant.context)
    assert found.classes == {"answer": 5}


def test_a_report_of_somebody_else_is_refused_as_a_whole(sent):
    found = _take_in(sent, ("A" * 20, 1, "0000"), ("B" * 20, 2, "0051"))
    assert "none of its 2 lines" in found.refused_reason
    assert sent.sql("SELECT * FROM recon_break") == []
    assert sent.sql("SELECT * FROM report_line") == []


def test_a_refused_report_does_not_stop_the_others(sent):
    sent.server.put("/outbound/RPT_0.TXT", b"nonsense")
    sent.report(_line(sent, "C1"), name="RPT_1.TXT")
    first, second = sent.reconcile()
    assert first.refused_reason
    assert second.classes == {"answer": 1}
    assert sent.told()["C1", 1]["status"] == "paid"


def test_a_report_larger_than_the_profile_allows_is_refused_unread(sent):
    sent.changed({"report": {"max_bytes": 10}})
    assert "max_bytes" in _take_in(sent, _line(sent, "C1")).refused_reason


def test_a_card_number_in_a_report_is_nowhere_in_the_ledger(sent):
    text = report_text(_line(sent, "C1")).replace(b"A12345|||", b"A12345|4111111111111111||")
    sent.server.put("/outbound/RPT_1.TXT", text)
    sent.fetch()
    (found,) = ingest_fetched(sent.context)
    assert "4111111111111111" not in str(found)
    assert "4111111111111111" not in str(sent.dump("files in outbound"))


# --- sealed reports ---


@pytest.fixture
def sealed_report(sent):
    """A report as DOKU's simulator seals it."""
    with sent.doku() as doku:
        doku.process_once()
    (name,) = sent.server.files("/outbound")
    return sent, name, sent.server.files("/outbound")[name]


def test_a_sealed_report_is_opened(sealed_report):
    merchant, _, _ = sealed_report
    merchant.fetch()
    (found,) = ingest_fetched(merchant.context)
    assert found.classes == {"answer": 5}


def test_every_cut_and_every_flipped_bit_is_refused(sealed_report):
    merchant, name, content = sealed_report
    before = merchant.dump(*_OF_REPORTS)
    places = sorted({0, 3, 4, 40, len(content) // 2, len(content) - 30, len(content) - 1})
    damaged = [content[:place] for place in places if place]
    damaged += [content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :] for place in places]
    for number, one in enumerate(damaged):
        merchant.server.put(f"/outbound/{name}", b"")
        merchant.server.put(f"/outbound/RPT_DAMAGED_{number}.TXT", one)
        merchant.fetch()
        found = [report for report in ingest_fetched(merchant.context) if "DAMAGED" in report.file_name]
        assert found
        assert all(report.refused_reason for report in found), number
    after = merchant.dump(*_OF_REPORTS)
    for table in (before, after):
        for files in ("files in outbound", "kept files"):
            table.pop(files)
    assert after == before


def test_a_report_sealed_for_another_key_is_refused(sealed_report, doku_keys):
    merchant, _, _ = sealed_report
    other = (doku_keys / "other_private.pem").read_bytes()
    (merchant.root / "profiles" / "keys" / "merchant_private.pem").write_bytes(other)
    merchant.fetch()
    (found,) = ingest_fetched(merchant.context)
    assert found.refused_reason
    assert merchant.sql("SELECT * FROM outcome") == []


def test_without_a_key_file_the_report_waits(sealed_report):
    merchant, _, _ = sealed_report
    (merchant.root / "profiles" / "keys" / "merchant_private.pem").unlink()
    merchant.fetch()
    with pytest.raises(KeyFileError, match=r"merchant_private\.pem"):
        ingest_fetched(merchant.context)
    assert [row["state"] for row in merchant.sql("SELECT state FROM report_file")] == ["fetched"]
    assert has_pending_work(merchant.context)


@pytest.mark.parametrize("sealed", ["yes", "no"])
def test_a_profile_may_say_whether_reports_are_sealed(sealed_report, sealed):
    merchant, _, _ = sealed_report
    merchant.changed({"report": {"sealed": sealed}})
    merchant.fetch()
    (found,) = ingest_fetched(merchant.context)
    assert bool(found.refused_reason) == (sealed == "no")


# --- once by its content ---


def test_the_same_content_under_another_name_is_nothing(sent):
    _take_in(sent, _line(sent, "C1"))
    kept = sorted(path.name for path in sent.artefacts.rglob("RPT*"))
    before = sent.dump(*_OF_REPORTS, "files in outbound")
    sent.report(_line(sent, "C1"), name="RPT_AGAIN.TXT")
    first, second = sent.sql("SELECT report_id FROM report_file"), sent.fetch()
    assert second == [first[0]["report_id"]]
    assert ingest_fetched(sent.context) == []
    after = sent.dump(*_OF_REPORTS, "files in outbound")
    assert after == before
    assert sorted(path.name for path in sent.artefacts.rglob("RPT*")) == kept
    assert sent.fetch() == []  # the listing alone recognises both names now


def test_ingesting_twice_changes_nothing(sent):
    found = _take_in(sent, _line(sent, "C1"), _line(sent, "C2", "0051"))
    before = sent.dump()
    again = ingest_report(sent.context, found.report_id)
    assert (again.classes, again.refused_reason) == ({}, None)
    assert sent.dump() == before


@pytest.mark.parametrize("change", ["altered", "cut", "spoiled", "gone"])
def test_a_kept_report_that_was_altered_is_not_a_report_that_doku_spoiled(sent, change, monkeypatch):
    monkeypatch.setattr("include.flows.artefacts.CHUNK_BYTES", 16)  # a large report comes in many chunks
    sent.report(_line(sent, "C1"))
    sent.fetch()
    (path,) = sent.artefacts.rglob("RPT_1.TXT*")
    whole = path.read_bytes()
    changes = {"altered": whole.replace(b"0000", b"0051"), "cut": whole[:-7], "spoiled": b"x\r\n" * 40, "gone": b""}
    path.write_bytes(changes[change])
    if change == "gone":
        path.unlink()
    with pytest.raises(ArtefactError):
        ingest_fetched(sent.context)
    assert [row["state"] for row in sent.sql("SELECT state FROM report_file")] == ["fetched"]
    assert sent.sql("SELECT * FROM outcome") == []
    path.write_bytes(whole)
    (found,) = ingest_fetched(sent.context)
    assert found.classes == {"answer": 1}


# --- concluding and writing back ---


def test_a_batch_is_concluded_when_its_last_attempt_is_answered(sent):
    for number in range(1, 5):
        _take_in(sent, _line(sent, f"C{number}"), name=f"RPT_{number}.TXT")
    run = sent.run()
    assert conclude_batches(sent.context, run.run_id).waiting == ("TKN_MCH0001_20261120_0001.TXT",)
    _take_in(sent, _line(sent, "C5", "0051"), name="RPT_5.TXT")
    assert conclude_batches(sent.context, run.run_id).reconciled == ("TKN_MCH0001_20261120_0001.TXT",)
    assert conclude_batches(sent.context, run.run_id) == type(conclude_batches(sent.context, run.run_id))((), ())
    books = books_of_day(sent.context, BUSINESS_DATE)
    assert books["ties"]
    assert (books["paid"]["count"], books["declined"]["by_code"]) == (4, {"0051": {"count": 1, "amount": 100_000}})


def test_an_unknown_attempt_of_a_concluded_batch_may_still_be_answered(sent):
    lines = [_line(sent, f"C{number}", "5536") for number in range(1, 6)]
    sent.report(*lines)
    sent.reconcile()
    assert sent.batch(sent.batch_id)["state"] == "reconciled"
    sent.report(_line(sent, "C1", "0000"), name="RPT_2.TXT")
    sent.reconcile()
    assert sent.told()["C1", 1]["status"] == "paid"
    books = books_of_day(sent.context, BUSINESS_DATE)
    assert books["ties"]
    assert (books["paid"]["count"], books["unknown"]["count"]) == (1, 4)


def test_writing_back_again_changes_nothing(sent):
    sent.report(_line(sent, "C1"), _line(sent, "C2", "0051"))
    sent.reconcile()
    before = sent.told()
    sent.later(minutes=7)
    assert not has_pending_work(sent.context)
    write_back(sent.context)
    assert sent.told() == before


def test_a_broken_write_back_is_made_up_for(sent, monkeypatch):
    from include.flows import reconcile as module

    sent.report(_line(sent, "C1"))
    sent.fetch()
    ingest_fetched(sent.context)
    noted = module.note_written_back
    monkeypatch.setattr(module, "note_written_back", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_back(sent.context)
    assert has_pending_work(sent.context)
    monkeypatch.setattr(module, "note_written_back", noted)
    write_back(sent.context)
    assert not has_pending_work(sent.context)
    assert sent.told()["C1", 1]["status"] == "paid"
