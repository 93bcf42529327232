"""
# A profile that cannot be used

This DAG stands for one broken profile: its only task fails with what is wrong, where, and what to do. Mend the file; the next
time Airflow reads the DAG folder this DAG is gone and the profile's own DAGs are there. The other profiles are not affected.
"""  # noqa: D212, D415 - the DAG's page in the UI

from airflow.sdk import DAG

from plugins.dag_parts import DEFAULT_ARGS, TAG, broken_profiles
from plugins.operators.profile_error import ProfileErrorOperator


def profile_error_dag(name: str, problem: str) -> DAG:
    """The DAG that stands for a broken profile."""
    with DAG(
        dag_id=f"doku_profile_error__{name}",
        dag_display_name=f"Broken profile: {name}",
        description=problem,
        schedule=None,
        default_args={**DEFAULT_ARGS, "retries": 0},
        tags=[TAG, "profile-error"],
        doc_md=f"{__doc__}\n**{problem}**\n",
    ) as dag:
        ProfileErrorOperator(task_id="profile_error", problem=problem)
    return dag


for _name, _problem in broken_profiles():
    profile_error_dag(_name, _problem)
