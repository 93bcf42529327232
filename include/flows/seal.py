"""Submit, second half: render a batch from the ledger and seal it into the artefact store."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from include.doku.envelope import seal
from include.doku.layouts.facts import FileFacts
from include.doku.layouts.render import render_file
from include.domain.states import BatchState
from include.flows.context import FlowContext
from include.flows.look_again import is_stale, look_again
from include.ledger import tables
from include.ledger.batches import Batch, find_batch, line_frames
from include.ledger.events import Note, enter
from include.ledger.layouts import layout_text
from include.schemas.layout import parse_layout


@dataclass(frozen=True)
class Sealed:
    """A batch file that is ready to be delivered; digests are SHA-256 in hex, sizes bytes."""

    batch_id: int
    file_name: str
    count: int
    total: int
    plaintext_digest: str
    envelope_digest: str


def render_batch(context: FlowContext, batch: Batch) -> Iterator[bytes]:
    """The plaintext of a batch, always the same bytes: a pure function of its attempts and of its own layout.

    Raises:
        FileRefused: An attempt does not fit the layout; names line and column.
    """
    with context.ledger.read() as connection:
        name, text = layout_text(connection, batch.layout_digest)
    facts = FileFacts(
        name=batch.file_name,
        merchant=batch.merchant,
        business_date=batch.business_date,
        execute_date=batch.execute_date,
        sequence=batch.sequence,
        currency=batch.currency,
        count=batch.line_count - batch.withdrawn_count,
        total=batch.total_amount - batch.withdrawn_amount,
    )
    yield from render_file(parse_layout(text, name), facts, line_frames(context.ledger, batch.batch_id))


def render_and_seal(context: FlowContext, batch_id: int, run_id: int) -> Sealed:
    """Seal a batch once: a second call finds it sealed and changes nothing.

    Raises:
        KeyFileError: No public key of DOKU can be used.
        FileRefused: An attempt does not fit the layout.
        ArtefactError: The store refused.
    """
    with context.ledger.read() as connection:
        batch = find_batch(connection, batch_id)
    if batch.state is BatchState.CLAIMED and is_stale(context, batch):
        batch = look_again(context, batch, run_id)
    if batch.state is BatchState.CLAIMED:
        batch = _seal(context, batch, run_id)
    return Sealed(
        batch_id=batch_id,
        file_name=batch.file_name,
        count=batch.line_count - batch.withdrawn_count,
        total=batch.total_amount - batch.withdrawn_amount,
        plaintext_digest=batch.plaintext_digest or "",
        envelope_digest=batch.envelope_digest or "",
    )


def _seal(context: FlowContext, batch: Batch, run_id: int) -> Batch:
    key = context.public_key(batch.execute_date)
    counted = _Counted(render_batch(context, batch))
    sealed = seal(counted, key, context.profile.batch.envelope)
    context.step("seal: before the envelope is kept")
    folder = f"sealed/{batch.profile}/{batch.business_date.isoformat()}"
    kept = context.artefacts.keep(folder, batch.file_name, sealed)
    context.step("seal: envelope kept")
    columns = {
        "plaintext_digest": counted.digest.hexdigest(),
        "plaintext_size": counted.size,
        "envelope_digest": kept.digest,
        "envelope_size": kept.size,
        "key_fingerprint": key.fingerprint,
        "artefact": kept.artefact,
    }
    with context.ledger.write() as connection:
        note = Note(context.clock(), "render_and_seal", run_id, columns)
        unsealed = tables.batch.c.state == BatchState.CLAIMED
        first = enter(connection, batch.batch_id, BatchState.SEALED, note, unsealed, **columns)
        current = find_batch(connection, batch.batch_id)
    context.step("seal: committed")
    if not first:  # another copy of this task sealed it meanwhile; its envelope is the one that counts
        context.artefacts.discard(kept.artefact)
    return current


class _Counted:
    """Passes bytes on and keeps their digest and size."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.digest = hashlib.sha256()
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.digest.update(chunk)
            self.size += len(chunk)
            yield chunk
