"""Housekeeping's task: dry by default, and on the path class that Airflow has."""

import os

from plugins.operators.tidy import TidyOperator
from tests.stack.toml import changed


def _tidy(context, person=None, **params):
    made = context(**params)
    made["dag_run"].triggering_user_name = person
    return TidyOperator(task_id="t", profile="insurance").execute(made)


def test_a_kept_file_that_nothing_refers_to_is_shown_and_goes_when_it_is_asked_for(deployed, context, capsys):
    keep = deployed.context.artefacts.keep
    orphan = deployed.artefacts / keep("sealed/insurance/2026-11-20", "TKN.TXT", [b"x"]).artefact
    beside = deployed.artefacts / keep("sealed/insurance_2/2026-11-20", "TKN.TXT", [b"x"]).artefact
    report = deployed.artefacts / keep("reports/insurance/2026-11-20", "RPT_1.TXT", [b"x"]).artefact
    for path in (orphan, beside, report):
        os.utime(path, (deployed.now.timestamp(),) * 2)
    deployed.later(days=8)
    for found in (_tidy(context), _tidy(context, "Sari", dry_run=True)):  # by the schedule; by hand
        assert (found["removed"], found["orphans"]) == (False, 1)
    logged = "".join(capsys.readouterr())
    assert f"Would remove {orphan.relative_to(deployed.artefacts)}: kept on 2026-11-20" in logged
    assert f"Stays {report.relative_to(deployed.artefacts)}" in logged
    assert orphan.exists()
    found = _tidy(context, "Sari", dry_run=False)
    assert (found["removed"], found["orphans"]) == (True, 1)
    assert [path.exists() for path in (orphan, beside, report)] == [False, True, True]
    assert [row["actor"] for row in deployed.sql("SELECT actor FROM event")] == ["Sari"]


def test_a_scheduled_run_removes_where_the_profile_says_so(deployed, context):
    orphan = deployed.artefacts / deployed.context.artefacts.keep("sealed/insurance/2026-11-20", "T", [b"x"]).artefact
    os.utime(orphan, (deployed.now.timestamp(),) * 2)
    deployed.later(days=8)
    deployed.write_profile("insurance", changed(deployed.changes, {"housekeeping": {"remove": True}}))
    assert _tidy(context)["removed"]
    assert not orphan.exists()
