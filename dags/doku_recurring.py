"""
# Recurring: bills that DOKU charges on its own schedule

One DAG for each profile that has `[recurring]`. It keeps the register of bills, takes in what DOKU tells of them, and proves that
what should have been charged and what was charged tie.

**Runs** on the profile's schedule (`recurring.schedule`, in its timezone), soon after DOKU has told something (a hint;
`notifications.enabled`), and by hand.

| parameter | meaning |
|---|---|
| `dry_run` | read the view and take in notifications, and ask DOKU for nothing: what would be asked for is counted in the log |

**Tasks**

1. `take_in` takes the notifications that wait in the inbox, in the order in which they came: registrations, changes of card,
   payments. Each is one transaction, and counts once however often it came.
2. `register` reads the merchant's view `doku_bills`, asks DOKU for checkout links, sends files that register bills in bulk, tells
   DOKU of changed terms and of bills that are not wanted any more, and writes what each bill is to `doku_bill_status`.
3. `expect` sets which charges DOKU should make up to today, sends amounts of bills that vary where the profile says so, and
   compares the amounts that DOKU was answered with the merchant's view.
4. `ask_status` asks DOKU for charges that did not come (`recurring.ask_by`), and shows what is still missing as a break.
5. `write_back` tells the merchant's `doku_charge_outcomes` what became of each of DOKU's transactions.
6. `close_books` proves `expected = paid + declined + unknown + awaiting` for each day and currency, and stores the books.

The register and the charges do not wait for each other: a view of bills that cannot be read stops no payment.

**Rows of the view that cannot be used** change nothing of a bill: `python -m include.cli bills --profile NAME` and the page *Bills*
show them with what is wrong. **A notification that failed** is kept and waits for a person.

**When something fails**, the task says in one sentence what is wrong and what to do. Every task may be cleared at any time, any
number of times: nothing is asked for or counted twice.
"""  # noqa: D212, D415 - the DAG's page in the UI

from typing import Any

from airflow.sdk import DAG, AssetOrTimeSchedule, CronTriggerTimetable, Param

from include.schemas.profile import Profile
from plugins.dag_parts import DEFAULT_ARGS, notified, profiles, tags
from plugins.operators.ask_for_charges import AskForChargesOperator
from plugins.operators.close_charges import CloseChargesOperator
from plugins.operators.expect_charges import ExpectChargesOperator
from plugins.operators.register_bills import RegisterBillsOperator
from plugins.operators.take_in import TakeInOperator
from plugins.operators.tell_charges import TellChargesOperator

PARAMS = {"dry_run": Param(False, type="boolean", title="Dry run", description="Ask DOKU for nothing")}


def schedule_of(profile: Profile) -> Any:
    """The profile's cron, and the hint that DOKU has told something."""
    cron = profile.recurring.schedule
    timetable = CronTriggerTimetable(cron, timezone=profile.timezone) if cron else None
    if not profile.notifications.enabled:
        return timetable
    woken = [notified(profile)]
    return AssetOrTimeSchedule(timetable=timetable, assets=woken) if timetable else woken


def recurring_dag(profile: Profile) -> DAG:
    """The recurring DAG of a profile."""
    with DAG(
        dag_id=f"doku_recurring__{profile.name}",
        dag_display_name=f"Recurring: {profile.title}",
        description="Bills that DOKU charges on its own schedule",
        schedule=schedule_of(profile),
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params=PARAMS,
        tags=[*tags(profile), "recurring"],
        doc_md=__doc__,
    ) as dag:
        take_in = TakeInOperator(task_id="take_in", profile=profile.name)
        register = RegisterBillsOperator(task_id="register", profile=profile.name)
        expect = ExpectChargesOperator(task_id="expect", profile=profile.name)
        ask_status = AskForChargesOperator(task_id="ask_status", profile=profile.name)
        write_back = TellChargesOperator(task_id="write_back", profile=profile.name)
        close = CloseChargesOperator(task_id="close_books", profile=profile.name)
        take_in >> register
        take_in >> expect >> ask_status >> write_back >> close
    return dag


for _profile in profiles():
    if _profile.has_recurring:
        recurring_dag(_profile)
