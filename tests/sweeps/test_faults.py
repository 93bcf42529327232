"""Every fault of the simulated DOKU's menu ends as the fault table (and so docs/faults.md) says."""

import pytest

from tests.doku_simulator.menu import MENU
from tests.sweeps.fault_table import ROWS
from tests.sweeps.faults import play
from tests.sweeps.sample import sampled, seeds

# One of each kind of ending, for `make test`; `make sweep` plays all of them, each with several seeds.
SAMPLE = {
    "connection_refused, until somebody mends it", "host_key_changed", "upload_cut", "rename_refused", "rename_cut",
    "rename_answer_lost", "taken_at_once, direct delivery", "listing_stale", "file_rejected", "report_late",
    "report_truncated, as delivered", "report_foreign, sealed for us", "lines_conflicting", "lines_missing",
}  # fmt: skip


def test_the_table_has_every_fault_of_the_menu_and_no_row_twice():
    assert {row.fault for row in ROWS} == set(MENU)
    names = [row.name for row in ROWS]
    assert len(names) == len(set(names))
    assert set(names) >= SAMPLE


@pytest.mark.parametrize("seed", seeds(sample=1, full=3))
@pytest.mark.parametrize("row", sampled(ROWS, lambda row: row.name in SAMPLE), ids=lambda row: row.name)
def test_fault(row, seed, tmp_path):
    played = play(row, seed, tmp_path)
    assert row.fault in played.fired or row.fault == "clock_skew", "the fault did not happen"
    assert played.broken == []
    seen = [(said.error, said.words, said.retried) for said in played.said]
    assert (played.batch, played.reports) == (row.batch, dict(row.reports)), seen
    reports = row.reports if row.ends_reports is None else row.ends_reports
    assert (played.ends, played.ends_reports) == (row.ends, dict(reports)), seen
    assert (played.told, played.breaks) == (dict(row.told), dict(row.breaks)), seen
    if not row.sees:
        assert seen == []
        return
    fitting = [one for one in seen if one[0] == row.sees and row.words in one[1] and row.next_words in one[1]]
    assert fitting, seen
    if row.retried:
        assert all(retried for _, _, retried in seen), seen
