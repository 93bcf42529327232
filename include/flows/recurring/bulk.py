"""Registering bills in bulk: the bills that wait become a file, rendered by the layout, sealed and kept.

One file holds bills of one currency. The bills are read again in the transaction that keeps the file: one that the
merchant changed meanwhile stays for the next file, and a file with it is never made.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from include.doku.bill_requests import facts_of
from include.domain.bill_life import BillEventKind
from include.domain.errors import ConfigError, FileRefused
from include.domain.file_names import FileNameTemplate
from include.domain.states import BillState, RegistrationFileState
from include.flows.artefacts import Kept
from include.flows.context import FlowContext
from include.flows.recurring.calls import keep
from include.ledger.bill_tables import bill
from include.ledger.bills import REGISTER, Bill, bills_in, lock_bills
from include.ledger.layouts import keep_layout
from include.ledger.registration_files import in_a_file, keep_file, next_sequence
from include.ledger.runs import Run
from include.schemas.bulk_settings import BulkSettings
from include.schemas.layout import Layout

if TYPE_CHECKING:
    import pandas as pd

_BY_FILE: Final = bill.c.registration == "bulk"
_TEXTS: Final = (
    "billing_number", "customer_id", "customer_name", "email", "phone", "currency", "flat", "execute_type",
    "execute_on", "execute_months", "description",
)  # fmt: skip


def waiting_for_a_file(context: FlowContext, limit: int, currency: str | None = None) -> list[Bill]:
    """Bills that are to be registered in bulk and are in no file that is under way, by number."""
    more = () if currency is None else (bill.c.currency == currency,)
    with context.ledger.read() as connection:
        return bills_in(
            connection, context.profile.name, [BillState.WANTED], _BY_FILE, ~in_a_file(), *more, limit=limit
        )


def make_files(context: FlowContext, run: Run) -> list[int]:
    """Make files of the bills that wait, until none does; the files' ids.

    A bill that does not fit the layout is refused with the line and the column; the others go on.

    Raises:
        ConfigError: Bills wait, and the profile has no `[recurring.bulk]`, or its layout cannot be used.
        KeyFileError, ArtefactError: The file cannot be sealed or kept.
    """
    made: list[int] = []
    if not waiting_for_a_file(context, 1):
        return made
    settings = context.profile.recurring.bulk
    if settings is None:
        reason = (
            "missing, and the merchant's view has bills that are to be registered in bulk; add it, or register by link"
        )
        raise ConfigError(str(context.profile.file), "recurring.bulk", reason)
    layout = context.registration_layout(settings.layout)
    for currency in context.profile.limits.currencies:
        while bills := waiting_for_a_file(context, settings.max_rows, currency):
            file_id = _make(context, run, settings, layout, currency, bills)
            if file_id is None:
                break  # somebody else is at it: the next run looks again
            made += [file_id] if file_id else []
    return made


def _make(
    context: FlowContext, run: Run, settings: BulkSettings, layout: Layout, currency: str, bills: Sequence[Bill]
) -> int | None:
    """The id of the file; 0: none of the bills fits the layout; None: another copy of the task was first."""
    with context.ledger.read() as connection:
        sequence = next_sequence(connection, run.profile, run.business_date)
    name = FileNameTemplate(settings.file_name).render(
        {"merchant": context.profile.merchant, "business_date": run.business_date, "sequence": sequence}
    )
    bills = _those_that_fit(context, run, layout, name, sequence, currency, bills)
    if not bills:
        return 0
    plain = _render(context, run, layout, name, sequence, currency, bills)
    context.step("bulk: before the file is kept")
    kept = _keep(context, run, settings, name, plain)
    context.step("bulk: file kept")
    values = {
        "profile": run.profile, "remote_folder": remote_folder(context, settings), "file_name": name,
        "business_date": run.business_date, "sequence": sequence, "layout_digest": layout.digest,
        "currency": currency, "line_count": len(bills), "total_amount": sum(one.amount or 0 for one in bills),
        "state": RegistrationFileState.SEALED, "artefact": kept.artefact,
        "plaintext_digest": hashlib.sha256(plain).hexdigest(), "envelope_digest": kept.digest,
        "envelope_size": kept.size, "made_at": context.clock(), "made_by": run.run_id,
    }  # fmt: skip
    with context.ledger.write() as connection:
        lock_bills(connection, context.profile.billing_source)
        mine = (_BY_FILE, ~in_a_file(), bill.c.currency == currency)
        numbers = {one.billing_number: one.terms_digest for one in bills}
        now = bills_in(
            connection,
            run.profile,
            [BillState.WANTED],
            *mine,
            bill.c.billing_number.in_(list(numbers)),
            limit=len(bills),
        )
        same = {one.billing_number: one.terms_digest for one in now} == numbers
        first = same and next_sequence(connection, run.profile, run.business_date) == sequence
        if first:
            keep_layout(
                connection,
                digest=layout.digest,
                name=layout.name,
                kind=layout.kind,
                text=layout.text,
                at=context.clock(),
            )
            file_id = keep_file(connection, values, bills)
    context.step("bulk: file recorded")
    if not first:
        context.artefacts.discard(kept.artefact)
        return None
    return file_id


def remote_folder(context: FlowContext, settings: BulkSettings) -> str:
    """Where the files go, as one key: a name is unique in it across profiles."""
    return f"{context.profile.connections.sftp}:{settings.folder.rstrip('/') or '/'}"


def _keep(context: FlowContext, run: Run, settings: BulkSettings, name: str, plain: bytes) -> Kept:
    from include.doku.envelope import seal

    folder = f"registrations/{run.profile}/{run.business_date.isoformat()}"
    if not settings.sealed:
        return context.artefacts.keep(folder, name, [plain])
    key = context.public_key(context.today, settings.public_keys)
    return context.artefacts.keep(folder, name, seal([plain], key, settings.envelope))


def _those_that_fit(
    context: FlowContext, run: Run, layout: Layout, name: str, sequence: int, currency: str, bills: Sequence[Bill]
) -> list[Bill]:
    """The bills that the layout can write; the others are refused, each with what is wrong."""
    fitting = list(bills)
    before = 1 if layout.header else 0
    while fitting:
        try:
            _render(context, run, layout, name, sequence, currency, fitting)
        except FileRefused as refusal:
            if refusal.line is None or not 0 < refusal.line - before <= len(fitting):
                raise
            one = fitting.pop(refusal.line - before - 1)
            words = f"It does not fit layout {layout.name}: {refusal.column} {refusal.reason}"
            keep(context, one, BillEventKind.REFUSED, {"words": words}, said_by=REGISTER)
        else:
            break
    return fitting


def _render(
    context: FlowContext, run: Run, layout: Layout, name: str, sequence: int, currency: str, bills: Sequence[Bill]
) -> bytes:
    """The plaintext: a pure function of the bills, the layout and the file's own facts."""
    from include.doku.layouts.facts import FileFacts
    from include.doku.layouts.render import render_file

    facts = FileFacts(
        name=name,
        merchant=context.profile.merchant,
        business_date=run.business_date,
        execute_date=run.business_date,
        sequence=sequence,
        currency=currency,
        count=len(bills),
        total=sum(one.amount or 0 for one in bills),
    )
    return b"".join(render_file(layout, facts, _frames(bills)))


def _frames(bills: Sequence[Bill]) -> "Iterator[pd.DataFrame]":
    import pandas as pd
    import pyarrow as pa

    facts = [facts_of(one.terms, "") for one in bills]
    columns: dict[str, Any] = {name: pa.array([one[name] for one in facts], pa.string()) for name in _TEXTS}
    columns["line_no"] = pa.array(range(1, len(bills) + 1), pa.int64())
    columns["amount"] = pa.array([one.amount for one in bills], pa.int64())
    columns["starts_on"] = pa.array([one.starts_on for one in bills], pa.date32())
    columns["ends_on"] = pa.array([one.ends_on for one in bills], pa.date32())
    yield pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
