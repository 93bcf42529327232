"""Something is broken: one clear sentence in the task's log, and a ledger that ties."""

import pytest

from tests.airflow.safety.house import House, submit_of
from tests.airflow.safety.refusals import BROKEN, mend

pytestmark = [pytest.mark.airflow, pytest.mark.services]


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_it_is_said_in_one_sentence_and_the_ledger_ties(house: House, name: str):
    broken, dag_id, run_id = BROKEN[name], submit_of(name), house.started[name]
    house.wait_for(dag_id, run_id, broken.task, "failed", "up_for_retry")
    said = house.said(dag_id, run_id, broken.task)
    sentences = [line for line in said.splitlines() if all(part in line for part in broken.says)]
    assert len(sentences) == 1, said
    assert "Traceback" not in said
    assert house.at_the_server(name) == {}
    mend(house, name)
    attempts = house.rows(name, "select count(*) as count from attempt")[0]["count"]
    assert bool(attempts) == broken.claimed
    house.all_ties(name)


def test_a_broken_profile_is_a_dag_of_its_own(house: House):
    client = house.client()
    dag_id = "doku_profile_error__misspelt"
    assert dag_id in client.dag_ids()
    client.unpause(dag_id)
    run_id = client.trigger(dag_id)
    house.finish(dag_id, run_id, "failed")
    said = house.said(dag_id, run_id, "profile_error")
    assert "misspelt.toml" in said
    assert "limits.max_row_per_batch" in said
    assert client.import_errors() == []
