"""Random mixes of people, faults and clock: the promises hold; one command plays a seed that failed again."""

import pytest

from tests.sweeps.mixes import play
from tests.sweeps.sample import seeds


@pytest.mark.parametrize("number", seeds(sample=1, full=60))
def test_mix(number):
    try:
        play(number, shrink=False)
    except BaseException as caught:
        caught.add_note(f"Again, with the fewest steps that fail: make fault SEED={number}")
        raise
