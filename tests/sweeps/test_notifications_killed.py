"""Airflow's real API server is killed while DOKU sends, and DOKU repeats: nothing is lost, nothing is there twice."""

import asyncio

import pytest

from tests.load.house import house
from tests.load.notifications import killed, missing_and_doubled
from tests.sweeps.sample import FULL

pytestmark = pytest.mark.services


@pytest.mark.skipif(not FULL, reason="`make sweep`; a smaller one: tests/unit/plugins/test_notifications_alone.py")
def test_nothing_is_lost_when_the_api_server_is_killed(tmp_path):
    with house(tmp_path) as made:
        sent = asyncio.run(killed(made, rate=100, seconds=40))
        assert len(sent.bodies) == len(set(sent.bodies)) == 4000
        assert missing_and_doubled(made, sent) == (0, 0)
        assert len(made.stored()) == 4000
        assert sent.answers["broken"] > 0, "the kill met nobody"
