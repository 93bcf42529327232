"""
# Housekeeping: nothing is kept longer than needed

One DAG for all profiles, once a day. What is over is removed when the time that the profile gives it (`[housekeeping]`) has gone by:
kept envelopes and reports, files that registered bills in bulk, tokens of attempts and bills, tokens that were lost, and raw
notifications. Digests, fingerprints, amounts and outcomes stay for good, so `verify`, `explain` and the caps of the card networks go on
as before.

**What is open is never touched**: a batch whose attempts are not all decided and told, or about which a break waits for a person,
keeps its files and tokens however old it is. A file that registered bills stays while one of them waits for DOKU's answer to it.

**Kept files that nothing in the ledger refers to** go seven days after they were kept: a task was killed before it told the ledger,
or a batch was sealed anew. Those that may be proof of what was sent or heard stay, and the log says why: above all when the ledger
was restored from a backup.

**It removes nothing by itself** until the profile says `housekeeping.remove = true`; before that a scheduled run only says in its log
what it would remove. By hand: trigger it; it is a dry run unless *Dry run* is switched off. What was removed, and for whom, stands
in the sealed trail.

**Tasks**

1. `profiles` names the profiles that there are.
2. `tidy` (for each profile) removes, or says what it would remove.

**When something fails**, the task says in one sentence what is wrong and what to do. It may be run again at any time.
"""  # noqa: D212, D415 - the DAG's page in the UI

from airflow.sdk import DAG, CronTriggerTimetable, Param

from plugins.dag_parts import DEFAULT_ARGS, TAG
from plugins.operators.list_profiles import ListProfilesOperator
from plugins.operators.tidy import TidyOperator

with DAG(
    dag_id="doku_housekeeping",
    dag_display_name="Housekeeping",
    description="Removes what is over and need not be kept",
    schedule=CronTriggerTimetable("30 19 * * *", timezone="UTC"),  # 02:30 in Jakarta
    catchup=False,
    max_active_runs=1,
    default_args=DEFAULT_ARGS,
    params={
        "dry_run": Param(True, type="boolean", title="Dry run", description="By hand: only say what would be removed")
    },
    tags=[TAG, "housekeeping"],
    doc_md=__doc__,
) as dag:
    profiles = ListProfilesOperator(task_id="profiles")
    TidyOperator.partial(task_id="tidy").expand(profile=profiles.output)
