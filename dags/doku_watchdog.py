"""
# Watchdog: silence is noticed

One DAG for all profiles. Every quarter of an hour it looks whether something that should have happened has not: a run that did
not start while charges are due, a batch that has not left, a file that DOKU has not taken, a report that did not come or came in
part, outcomes that the merchant was not told, a server that does not answer, keys that end, breaks and quarantine that nobody
settles. It judges from the ledger and the billing database, never from Airflow's own tables.

**It tells people** through the connections that the profile names (`[watch]`): e-mail over SMTP, a webhook, Slack. One alert for
each matter, once for each level (late, urgent, critical), and once when it is over; not one for each look. Each says the fact, the
exact safe action and the runbook. Without a connection named it only keeps and logs them.

**It sends nothing to DOKU.** The one thing that it mends is a delivery that was unknown: when the server shows the file, it is
delivered.

**It cannot notice that Airflow itself stands still.** Let the same check run outside, by cron or systemd, with a dead-man's
service behind it; each of the two notices when the other has fallen silent:

    python -m include.cli watch --ping URL

**Tasks**

1. `profiles` names the profiles that there are now, broken ones included.
2. `watch` (for each profile) looks and tells. A matter that was told leaves it green; it fails when it could not look or tell.

**When something fails**, the task says in one sentence what is wrong and what to do. The next look, a quarter of an hour later, tries
again what could not be told.
"""  # noqa: D212, D415 - the DAG's page in the UI

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from plugins.dag_parts import DEFAULT_ARGS, TAG
from plugins.operators.list_profiles import ListProfilesOperator
from plugins.operators.watch import WatchOperator

with DAG(
    dag_id="doku_watchdog",
    dag_display_name="Watchdog",
    description="Notices what did not happen, and tells people",
    schedule=CronTriggerTimetable("*/15 * * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    # The next look comes by itself, and a look that hangs must not stand in its way.
    default_args={**DEFAULT_ARGS, "retries": 0, "execution_timeout": timedelta(minutes=10)},
    tags=[TAG, "watchdog"],
    doc_md=__doc__,
) as dag:
    profiles = ListProfilesOperator(task_id="profiles")
    WatchOperator.partial(task_id="watch").expand(profile=profiles.output)
