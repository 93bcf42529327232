"""
# Reconcile: DOKU's reports become outcomes

One DAG for each profile. It fetches DOKU's reports, takes each in whole or not at all, gives every attempt its outcome,
writes the outcomes to the merchant's `doku_charge_outcomes`, and proves that the books tie.

**Runs** on the profile's schedule (`schedule.reconcile`), soon after a delivery (a hint from submit), soon after DOKU has told
that a report is there (a hint too; `notifications.enabled`), and by hand. It works on all open batches of the profile, whatever
their date. "Nothing yet" is a normal end: the rest of the run is skipped and the run
is green.

**Tasks**

1. `wait_for_reports` looks at DOKU's folder; if a batch is open it waits, without holding a worker, until new files have
   stopped growing, at most `schedule.report_wait_minutes`.
2. `fetch` keeps the files, once by their content. Nothing is deleted at DOKU's server unless the profile says so.
3. `ingest` opens, reads and matches each report in one transaction: every line ends in exactly one class.
   With `http.ask_status`, `ask_status` beside the next tasks asks DOKU about attempts that stay unknown; it decides nothing
   against a report, nothing waits for it, and the next run goes on with what it decided.
4. `reconcile` concludes the batches whose every attempt is answered.
5. `plan_next_attempts` decides what becomes of each charge that was declined: tried again on a planned day, held until something
   changes, or closed; by `retry_rules.toml`, `[retry]` of the profile and the calendar.
6. `write_back` tells the merchant, with the day of the next attempt.
7. `close_books` proves `sent = paid + declined + withdrawn + unknown + awaiting` for each batch, and fails if a report was refused.
8. `summarise` keeps a page and a CSV file for people of each business date that changed; *DOKU* in the menu shows them.

**When something fails**, the task says in one sentence what is wrong and what to do. Every task may be cleared at any time. A
refused report changes nothing; ask DOKU for it again, and a file with other content is taken in by the next run.
"""  # noqa: D212, D415 - the DAG's page in the UI

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable

from include.schemas.profile import Profile
from plugins.dag_parts import DEFAULT_ARGS, delivered, profiles, report_told, tags
from plugins.operators.ask_status import AskStatusOperator
from plugins.operators.close_books import CloseBooksOperator
from plugins.operators.fetch_reports import FetchReportsOperator
from plugins.operators.ingest_reports import IngestReportsOperator
from plugins.operators.plan_next_attempts import PlanNextAttemptsOperator
from plugins.operators.reconcile import ReconcileOperator
from plugins.operators.summarise import SummariseOperator
from plugins.operators.write_back import WriteBackOperator
from plugins.sensors.reports_ready import ReportsReadySensor


def reconcile_dag(profile: Profile) -> DAG:
    """The reconcile DAG of a profile."""
    cron = profile.schedule.reconcile
    woken = delivered(profile) | report_told(profile) if profile.notifications.enabled else delivered(profile)
    timetable = CronTriggerTimetable(cron, timezone=profile.timezone) if cron else None
    with DAG(
        dag_id=f"doku_reconcile__{profile.name}",
        dag_display_name=f"Reconcile: {profile.title}",
        description="DOKU's reports become outcomes",
        schedule=AssetOrTimeSchedule(timetable=timetable, assets=woken) if timetable else woken,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=[*tags(profile), "reconcile"],
        doc_md=__doc__,
    ) as dag:
        wait = ReportsReadySensor(task_id="wait_for_reports", profile=profile.name)
        fetch = FetchReportsOperator(task_id="fetch", profile=profile.name, file_names=wait.output)  # type: ignore[arg-type]
        ingest = IngestReportsOperator(task_id="ingest", profile=profile.name)
        reconcile = ReconcileOperator(task_id="reconcile", profile=profile.name)
        plan_next = PlanNextAttemptsOperator(task_id="plan_next_attempts", profile=profile.name)
        write_back = WriteBackOperator(task_id="write_back", profile=profile.name)
        close = CloseBooksOperator(task_id="close_books", profile=profile.name, ingested=ingest.output)  # type: ignore[arg-type]
        summarise = SummariseOperator(task_id="summarise", profile=profile.name)
        if profile.http.ask_status:
            ingest >> AskStatusOperator(task_id="ask_status", profile=profile.name)
        wait >> fetch >> ingest >> reconcile >> plan_next >> write_back >> [close, summarise]
    return dag


for _profile in profiles():
    if _profile.sends_batches:
        reconcile_dag(_profile)
