"""The books of several batches, counted side by side."""

from collections.abc import Sequence

from include.flows.at_once import each_at_once
from include.flows.context import FlowContext
from include.ledger.batches import Batch
from include.ledger.books import Line, batch_lines


def books_of_each(context: FlowContext, batches: Sequence[Batch]) -> dict[int, list[Line]]:
    """What became of the attempts of each batch, by its id. Outcomes are only appended: none is taken back later."""

    def count(batch: Batch) -> list[Line]:
        with context.ledger.read() as connection:
            return batch_lines(connection, batch.batch_id)

    counted = each_at_once(context.ledger, batches, count)
    return {batch.batch_id: lines for batch, lines in zip(batches, counted, strict=True)}
