"""Mutated inputs end in a clear refusal or a right result; 1,000 in `make test`, 10,000 in `make sweep`."""

import resource

import pytest

from tests.sweeps.mutations import KINDS, Post, judge
from tests.sweeps.sample import FULL

BLOCK = 250
"""Inputs of one test; the sum over all of them is what is promised above."""

OF_EACH_KIND = 2_250 if FULL else 250
THROUGH_INGEST = 1_000 if FULL else 60
MORE_MEMORY_MIB = 200
"""No input has more than half a megabyte."""


def _seeds(count: int) -> list[range]:
    return [range(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK)]


def _high_water_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize("seeds", _seeds(OF_EACH_KIND), ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_mutated(kind, seeds):
    judge(kind, seeds[0])  # imports and keys are not what is measured
    before = _high_water_mib()
    ends = []
    for seed in seeds:
        try:
            ends.append(judge(kind, seed).refused)
        except BaseException as caught:
            caught.add_note(f"Again: python -m tests.sweeps.mutations {kind} {seed}")
            raise
    assert _high_water_mib() - before < MORE_MEMORY_MIB
    refused = sum(one is not None for one in ends)
    # Both ways out are gone: a sweep of nothing but refusals, or of none, would prove little.
    assert 0 < refused < len(ends)


@pytest.mark.parametrize("seeds", _seeds(THROUGH_INGEST), ids=str)
def test_a_mutated_report_is_taken_in_whole_or_not_at_all(seeds, tmp_path):
    post = Post(tmp_path)
    for seed in seeds:
        try:
            post.take(seed)
        except BaseException as caught:
            caught.add_note(
                f"Again: SWEEP=all pytest tests/sweeps/test_mutations.py -k '{seeds}'; the input is seed {seed}"
            )
            raise
    post.close()
    assert post.refused > 0
    assert post.taken > 0
