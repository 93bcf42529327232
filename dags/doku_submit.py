"""
# Submit: due charges become batch files at DOKU

One DAG for each profile. It reads the charges that are due from the merchant's view, checks every row, claims the good ones
in the ledger, renders and seals batch files, and delivers them over SFTP. A row that fails a check is quarantined with all
its reasons; the others go on.

**Runs** every day at the profile's time (`schedule.submit`, in the profile's timezone), and by hand.

| parameter | meaning |
|---|---|
| `business_date` | by hand: the local day to work for; empty: the day it is triggered. A scheduled run or a backfill works for the local day of its scheduled time. |
| `dry_run` | decide and report, send nothing: what would go out is shown as held, for the reason `dry_run` |
| `send_past` | a business date that is over sends nothing unless it is named here with its exact total, as `{"2026-11-20": 1250000}` (major units); otherwise it is shown as held, for the reason `past_date` |

**Past dates.** This prints what each date would send, as `send_past` wants it. One map serves a whole backfill, in whichever
order its dates run: a charge that is due on several goes out for the first. To send after a backfill that only showed, run
it again with the map and let it reprocess the finished runs.

    python -m include.cli plan --profile NAME --from 2026-11-01 --to 2026-11-20 --json

**Tasks**

1. `extract_and_claim` reads, checks and claims, in one transaction of the ledger.
2. `render_and_seal` (for each batch) renders the file from the ledger and seals it with DOKU's public key.
3. `approve` judges the run by the profile's brakes (`[brakes]`). If one is pulled it waits for a person (Browse > Required
   Actions); no answer before the cut-off is a refusal and withdraws the batches.
4. `deliver` (for each batch) asks the ledger for that approval, writes the file under a temporary name, proves it there, and
   renames it without overwriting.
5. `record` proves that the books tie: `rows = due + settled`, `due = sent + quarantined + held + deferred + in_flight`.
6. `notify`, only with `http.notify_after_delivery`, tells DOKU of the files that are there. Nothing depends on it: what DOKU does
   not take is tried again, then skipped with the reason.

**When something fails**, the task says in one sentence what is wrong and what to do. Every task may be cleared at any time, any
number of times: nothing is claimed or sent twice. After an interruption `deliver` looks at the server before it sends; if
nobody can say whether a file arrived it fails as *unknown* and never sends again by itself.
"""  # noqa: D212, D415 - the DAG's page in the UI

from airflow.sdk import DAG, CronTriggerTimetable, Param

from include.schemas.profile import Profile
from plugins.dag_parts import DEFAULT_ARGS, delivered, profiles, tags
from plugins.operators.approve import ApproveOperator
from plugins.operators.deliver import DeliverOperator
from plugins.operators.extract_and_claim import ExtractAndClaimOperator
from plugins.operators.notify import NotifyOperator
from plugins.operators.record import RecordOperator
from plugins.operators.render_and_seal import RenderAndSealOperator

PARAMS = {
    "business_date": Param(
        None, type=["null", "string"], format="date", title="Business date", description="By hand: the day to work for"
    ),
    "dry_run": Param(False, type="boolean", title="Dry run", description="Decide and report, send nothing"),
    "send_past": Param(
        {}, type="object", title="Send past dates", description='Date and exact total, as {"2026-11-20": 1250000}'
    ),
}


def submit_dag(profile: Profile) -> DAG:
    """The submit DAG of a profile."""
    cron = profile.schedule.submit
    with DAG(
        dag_id=f"doku_submit__{profile.name}",
        dag_display_name=f"Submit: {profile.title}",
        description="Due charges become batch files at DOKU",
        schedule=CronTriggerTimetable(cron, timezone=profile.timezone) if cron else None,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=[*tags(profile), "submit"],
        doc_md=__doc__,
    ) as dag:
        claim = ExtractAndClaimOperator(task_id="extract_and_claim", profile=profile.name)
        seal = RenderAndSealOperator.partial(task_id="render_and_seal", profile=profile.name).expand(
            batch_id=claim.output
        )
        deliver = DeliverOperator.partial(
            task_id="deliver",
            profile=profile.name,
            outlets=[delivered(profile)],
            max_active_tis_per_dagrun=4,  # SFTP sessions at a time
        ).expand(batch_id=claim.output)
        # Also after a failure: the books then name the batches that have not left.
        record = RecordOperator(task_id="record", profile=profile.name, trigger_rule="all_done")
        approve = ApproveOperator(task_id="approve", profile=profile.name)
        seal >> approve >> deliver >> record
        if profile.http.notify_after_delivery:  # also after a failure: of several batches some have left
            deliver >> NotifyOperator(task_id="notify", profile=profile.name, trigger_rule="all_done")
    return dag


for _profile in profiles():
    if _profile.sends_batches:
        submit_dag(_profile)
