"""Finding and fetching reports: only what has stopped growing, once, and nothing deleted that was not taken in."""

import os

import pytest

from include.domain.errors import RemoteError, RemoteRefused
from include.flows.fetch import fetch_reports, look_for_reports
from include.ledger.reports import CLOSE_SECONDS
from tests.flows_harness import charge, lost, refused


@pytest.fixture
def sent(merchant):
    """A merchant with two charges at DOKU."""
    merchant.list_charges(charge("C1", 100_000), charge("C2", 100_000))
    merchant.submit()
    merchant.numbers = merchant.invoices()
    return merchant


def _names(found) -> list[str]:
    return [seen.file_name for seen in found]


def test_only_names_of_reports_are_listed(sent):
    for name in ("RPT_1.TXT", "rpt_2.txt", "NOTES.TXT", ".RPT_3.TXT", "RPT_4.TXT.part"):
        sent.server.put(f"/outbound/{name}", b"x")
    assert _names(look_for_reports(sent.context).listed) == ["RPT_1.TXT"]
    assert look_for_reports(sent.context).open_batches == 1


def test_a_report_is_taken_when_it_has_stopped_growing(sent):
    sent.server.put("/outbound/RPT_1.TXT", b"x")
    sent.server.put("/outbound/RPT_EMPTY.TXT", b"")
    first = look_for_reports(sent.context)
    sent.server.put("/outbound/RPT_1.TXT", b"xx")
    second = look_for_reports(sent.context)
    third = look_for_reports(sent.context)
    assert second.stable_since(first) == ()
    assert _names(third.stable_since(second)) == ["RPT_1.TXT"]


def test_a_report_that_was_touched_is_not_stable(sent):
    sent.server.put("/outbound/RPT_1.TXT", b"x")
    first = look_for_reports(sent.context)
    os.utime(sent.remote_root / "outbound" / "RPT_1.TXT", (1, 1))
    assert look_for_reports(sent.context).stable_since(first) == ()


def test_what_was_fetched_is_recognised_in_the_listing(sent):
    sent.report((sent.numbers["C1"], 100_000, "0000"))
    assert len(sent.fetch()) == 1
    assert look_for_reports(sent.context).listed == ()
    os.utime(sent.remote_root / "outbound" / "RPT_1.TXT", (1, 1))
    assert _names(look_for_reports(sent.context).listed) == ["RPT_1.TXT"]


def test_nothing_is_asked_for_nothing(sent):
    sessions = sent.server.sessions
    assert fetch_reports(sent.context, []) == []
    assert sent.server.sessions == sessions


def test_a_report_that_is_gone_is_passed_over(sent):
    sent.report((sent.numbers["C1"], 100_000, "0000"))
    assert len(fetch_reports(sent.context, ["RPT_0.TXT", "RPT_1.TXT"])) == 1


def test_a_report_that_changes_while_it_is_fetched_is_left_for_the_next_time(sent):
    name = sent.report((sent.numbers["C1"], 100_000, "0000"))
    sent.server.plan("read", after=lambda: sent.server.put(f"/outbound/{name}", b"longer than it was before" * 20))
    assert fetch_reports(sent.context, [name]) == []
    assert sent.sql("SELECT * FROM report_file") == []
    assert list(sent.artefacts.rglob("RPT*")) == []


@pytest.mark.parametrize("trouble", [lost(), refused()])
def test_a_broken_download_leaves_no_record(sent, trouble):
    name = sent.report((sent.numbers["C1"], 100_000, "0000"))
    sent.server.plan("read", before=trouble)
    with pytest.raises((RemoteError, RemoteRefused)):
        fetch_reports(sent.context, [name])
    assert sent.sql("SELECT * FROM report_file") == []
    assert list(sent.artefacts.rglob("RPT*")) == []
    assert len(fetch_reports(sent.context, [name])) == 1


def test_nothing_is_deleted_at_the_server(sent):
    sent.report((sent.numbers["C1"], 100_000, "0000"))
    sent.reconcile()
    assert set(sent.server.files("/outbound")) == {"RPT_1.TXT"}
    assert sent.server.asked("remove") == []


def test_a_profile_may_have_them_deleted_once_they_are_written_back(sent):
    sent.changed({"report": {"delete_after": True}})
    sent.report((sent.numbers["C1"], 100_000, "0000"))
    sent.server.put("/outbound/RPT_BROKEN.TXT", b"nonsense")
    sent.reconcile()
    assert set(sent.server.files("/outbound")) == {"RPT_BROKEN.TXT"}
    assert sent.told()["C1", 1]["status"] == "paid"


def test_a_new_report_under_an_old_name_is_not_deleted_unread(sent):
    from include.flows.ingest import ingest_fetched
    from include.flows.reconcile import write_back

    sent.changed({"report": {"delete_after": True}})
    name = sent.report((sent.numbers["C1"], 100_000, "0000"))
    sent.fetch()
    ingest_fetched(sent.context)
    sent.report((sent.numbers["C1"], 100_000, "0000"), (sent.numbers["C2"], 100_000, "0000"), name=name)
    write_back(sent.context)
    assert set(sent.server.files("/outbound")) == {name}
    sent.reconcile()
    assert sent.told()["C2", 1]["status"] == "paid"
    assert sent.server.files("/outbound") == {}


@pytest.mark.parametrize("trouble", [lost(), refused()])
def test_a_report_that_could_not_be_deleted_is_deleted_by_a_later_run(sent, trouble):
    sent.changed({"report": {"delete_after": True}})
    name = sent.report((sent.numbers["C1"], 100_000, "0000"))
    sent.server.plan("remove", before=trouble)
    with pytest.raises((RemoteError, RemoteRefused)):
        sent.reconcile()
    assert set(sent.server.files("/outbound")) == {name}
    assert sent.told()["C1", 1]["status"] == "paid"
    sent.reconcile()
    assert sent.server.files("/outbound") == {}


def test_a_corrected_report_of_the_same_size_and_second_is_not_deleted_unread(sent):
    sent.changed({"report": {"delete_after": True}})
    name = sent.report((sent.numbers["C1"], 100_000, "0000"))
    _in_second(sent, name, 1_000_000)
    sent.server.plan("remove", before=lost())
    with pytest.raises(RemoteError):
        sent.reconcile()
    sent.report((sent.numbers["C2"], 100_000, "0000"), name=name)
    _in_second(sent, name, 1_000_000)
    sent.reconcile()
    assert set(sent.server.files("/outbound")) == {name}


def _in_second(sent, name, second):
    os.utime(sent.remote_root / "outbound" / name, (second, second))


def test_a_corrected_report_of_the_same_name_size_and_second_is_read_too(sent):
    """Fetched in the very second in which it was written: it may be another one by now."""
    second = int(sent.now.timestamp())
    name = sent.report((sent.numbers["C1"], 100_000, "0051"))
    _in_second(sent, name, second)
    sent.reconcile()
    sent.report((sent.numbers["C2"], 100_000, "0000"), name=name)
    _in_second(sent, name, second)
    sent.later(minutes=15)
    assert _names(look_for_reports(sent.context).listed) == [name]
    sent.reconcile()
    assert {key[0]: one["status"] for key, one in sent.told().items()} == {"C1": "declined", "C2": "paid"}
    assert look_for_reports(sent.context).listed == ()
    assert len(sent.sql("SELECT * FROM report_file")) == 2


def test_a_report_that_was_fetched_in_its_own_second_is_fetched_once_more_and_no_more(sent):
    name = sent.report((sent.numbers["C1"], 100_000, "0000"))
    _in_second(sent, name, int(sent.now.timestamp()) - CLOSE_SECONDS)
    sent.reconcile()
    before = sent.dump("report_sighting", "run", "run_balance")
    sent.later(minutes=15)
    sent.reconcile()
    assert sent.dump("report_sighting", "run", "run_balance") == before
    assert look_for_reports(sent.context).listed == ()


def test_a_report_that_was_fetched_well_after_its_own_second_is_known(sent):
    name = sent.report((sent.numbers["C1"], 100_000, "0000"))
    _in_second(sent, name, int(sent.now.timestamp()) - CLOSE_SECONDS - 1)
    sent.fetch()
    assert look_for_reports(sent.context).listed == ()


def test_a_server_without_the_folder_says_so(sent):
    sent.changed({"report": {"folder": "/reports"}})
    with pytest.raises(RemoteRefused, match="/reports"):
        look_for_reports(sent.context)
