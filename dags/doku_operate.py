"""
# Operate: what people do by hand

One DAG for each profile, started by hand only. Each run is one operation: it shows what the operation would do, and does it if
`dry_run` is switched off. Everything here can be done on the command line too, by the same code under the same names.

| parameter | meaning |
|---|---|
| `operation` | what to do: see below |
| `why` | the reason in words; it is kept for good, with the name of who triggered the run |
| `dry_run` | on by default: show the effect and do nothing |
| the others | what the operation needs to know; leave the rest empty |

**Tasks**

1. `show` rehearses the operation in a transaction that is undone: its log says what it would do, event by event, and how the books
   of a batch would change. It fails where the operation would be refused.
2. `carry_out` does it, if it would still do what was shown. It is skipped in a dry run. Cleared, it does nothing a second time.

**Refused** is what would break a promise: settling what DOKU may still charge, closing a charge with a live attempt, sending again
what may be at DOKU, taking back what was witnessed. Where the profile asks for four eyes (`decisions.four_eyes`), `settle`,
`close`, `cancel`, `never_arrived`, `file_refused`, `cancel_bill`, `bill_ended` and `registration_never_arrived` only propose;
another person runs `confirm`. A run that nobody in particular triggered is refused.

**When something fails**, the task says in one sentence what is wrong and what to do. Nothing is half done.

"""  # noqa: D212, D415 - the DAG's page in the UI

from airflow.sdk import DAG

from include.domain.operations import OPERATIONS
from include.schemas.profile import Profile
from plugins.asked import params
from plugins.dag_parts import DEFAULT_ARGS, profiles, tags
from plugins.operators.carry_out import CarryOutOperator
from plugins.operators.show_operation import ShowOperationOperator


def operations_table() -> str:
    """The operations, for the DAG's page."""
    rows = [
        f"| `{one.name}` | {', '.join(f'`{field.name}`' for field in one.fields)} | {one.words} |"
        for one in OPERATIONS.values()
    ]
    return "\n".join(["| operation | needs | does |", "|---|---|---|", *rows, ""])


def operate_dag(profile: Profile) -> DAG:
    """The operate DAG of a profile."""
    with DAG(
        dag_id=f"doku_operate__{profile.name}",
        dag_display_name=f"Operate: {profile.title}",
        description="What people do by hand, shown before it is done",
        schedule=None,
        catchup=False,
        max_active_runs=1,
        default_args=DEFAULT_ARGS,
        params=params(),
        tags=[*tags(profile), "operate"],
        doc_md=f"{__doc__}{operations_table()}",
    ) as dag:
        show = ShowOperationOperator(task_id="show", profile=profile.name)
        carry_out = CarryOutOperator(task_id="carry_out", profile=profile.name, shown=show.output)  # type: ignore[arg-type]
        show >> carry_out
    return dag


for _profile in profiles():
    operate_dag(_profile)
