"""The life of a batch: which state may follow which, and that no way leads from visible back to sent again."""

from include.domain.states import BATCH_TRANSITIONS, BEFORE_LEAVING, STRENGTH, BatchState, OutcomeStatus


def _reachable(start: BatchState | None, without: frozenset[BatchState] = frozenset()) -> set[BatchState]:
    found: set[BatchState] = set()
    waiting = [start]
    while waiting:
        for state in BATCH_TRANSITIONS[waiting.pop()] - without:
            if state not in found:
                found.add(state)
                waiting.append(state)
    return found


def test_every_state_is_known_and_reachable():
    assert set(BATCH_TRANSITIONS) == {None, *BatchState}
    assert _reachable(None) == set(BatchState)


def test_reconciled_and_withdrawn_are_ends():
    assert BATCH_TRANSITIONS[BatchState.RECONCILED] == frozenset()
    assert BATCH_TRANSITIONS[BatchState.WITHDRAWN] == frozenset()


def test_nothing_becomes_visible_without_the_promise():
    """Only by way of `renaming` does a batch leave."""
    before = _reachable(None, without=frozenset({BatchState.RENAMING}))
    assert before == {*BEFORE_LEAVING, BatchState.WITHDRAWN}


def test_what_was_delivered_is_never_sent_again():
    assert _reachable(BatchState.DELIVERED) <= {BatchState.RECONCILED, BatchState.WITHDRAWN}


def test_an_unknown_delivery_is_not_simply_tried_again():
    """Back to `sealed` only where it is known that nothing became visible; never straight to another upload."""
    assert not {BatchState.DELIVERING, BatchState.RENAMING} & BATCH_TRANSITIONS[BatchState.UNKNOWN]


def test_every_outcome_has_a_strength_of_its_own():
    assert set(STRENGTH) == set(OutcomeStatus)
    assert len(set(STRENGTH.values())) == len(STRENGTH)


def test_the_order_of_strengths():
    """What proves that money moved outweighs what proves that it did not; knowing outweighs not knowing."""
    order = sorted(STRENGTH, key=STRENGTH.__getitem__)
    assert order == ["unknown", "withdrawn", "declined", "paid", "reversed"]
