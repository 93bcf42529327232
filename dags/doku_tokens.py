"""
# Tokens: what DOKU charges is kept current

One DAG for each profile that has `[tokens]`. It asks DOKU for the tokens of each customer in the merchant's view
`doku_token_customers`, notes which are new and which are gone, chooses one for each customer by the profile's rule, and
writes them to the merchant's table `doku_tokens`.

**Runs** on the profile's schedule (`schedule.tokens`, in its timezone), before the charges of the day are read, and by hand.

**Tasks**

1. `list_customers` reads the view, each customer once.
2. `ask` puts one question for each customer, `tokens.at_once` at a time. A question without an answer concludes nothing. Tried
   again, it goes on with those who have no answer yet; `tokens.stop_after` failures in a row end it.
3. `settle` takes as lost what an answer does not hold any more. If an unusual share of the customers would lose all they had
   (`tokens.max_lost_share`) it stops and asks a person. Then the rule (`tokens.choose`) picks the one to charge; where it
   leaves several, none.
4. `tell` writes what has changed to `doku_tokens`.

**A lost token stops attempts.** Charges that show it are held (`token_lost`) until the view shows a newer one.

**When something fails**, the task says in one sentence what is wrong and what to do. Every task may be cleared at any time.
"""  # noqa: D212, D415 - the DAG's page in the UI

from airflow.sdk import DAG, CronTriggerTimetable

from include.schemas.profile import Profile
from plugins.dag_parts import DEFAULT_ARGS, profiles, tags
from plugins.operators.ask_for_tokens import AskForTokensOperator
from plugins.operators.list_token_customers import ListTokenCustomersOperator
from plugins.operators.settle_tokens import SettleTokensOperator
from plugins.operators.tell_tokens import TellTokensOperator


def tokens_dag(profile: Profile) -> DAG:
    """The tokens DAG of a profile."""
    cron = profile.schedule.tokens
    with DAG(
        dag_id=f"doku_tokens__{profile.name}",
        dag_display_name=f"Tokens: {profile.title}",
        description="What DOKU charges is kept current",
        schedule=CronTriggerTimetable(cron, timezone=profile.timezone) if cron else None,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        tags=[*tags(profile), "tokens"],
        doc_md=__doc__,
    ) as dag:
        list_customers = ListTokenCustomersOperator(task_id="list_customers", profile=profile.name)
        ask = AskForTokensOperator(task_id="ask", profile=profile.name)
        settle = SettleTokensOperator(task_id="settle", profile=profile.name)
        tell = TellTokensOperator(task_id="tell", profile=profile.name)
        list_customers >> ask >> settle >> tell
    return dag


for _profile in profiles():
    if _profile.has_tokens:
        tokens_dag(_profile)
