"""Verifying the register: each bill made anew of its events, each registration file read from its kept copy."""

import hashlib
from collections.abc import Iterator

from include.domain.bill_life import Happened, standing
from include.domain.errors import ArtefactError
from include.domain.fingerprints import token_fingerprint
from include.domain.states import BillState, RegistrationFileState
from include.flows.context import FlowContext
from include.ledger.audit import removed_by_housekeeping
from include.ledger.bills import Bill, bills_in, columns_of_standing, events_of
from include.ledger.registration_files import files_in

_PAGE = 1000


def findings_of_register(context: FlowContext) -> Iterator[str]:
    """What of the register is not what it should be, a sentence each."""
    if not context.profile.has_recurring:
        return
    after = ""
    while True:
        with context.ledger.read() as connection:
            page = bills_in(connection, context.profile.name, list(BillState), after=after, limit=_PAGE)
            for one in page:
                yield from _of_bill(context, one, events_of(connection, one.key))
        if len(page) < _PAGE:
            break
        after = page[-1].billing_number
    yield from _of_files(context)


def _of_bill(context: FlowContext, one: Bill, events: list[Happened]) -> Iterator[str]:
    try:
        found = columns_of_standing(standing(events))
    except ValueError:
        yield f"bill {one.billing_number}: nothing says that it was ever wanted"
        return
    # What DOKU refused of a bill that goes on stands in its reason alone, and in no event.
    differ = [name for name, value in found.items() if name != "reason" and getattr(one, name) != value]
    if differ:
        yield f"bill {one.billing_number}: {', '.join(differ)} are not what happened to it makes of them"
    if one.token and token_fingerprint(context.ledger.fingerprint_key, one.token) != one.token_fingerprint:
        yield f"bill {one.billing_number}: its token is not the one that DOKU told of"


def _of_files(context: FlowContext) -> Iterator[str]:
    with context.ledger.read() as connection:
        files = files_in(connection, context.profile.name, list(RegistrationFileState))
        removed, _ = removed_by_housekeeping(connection, context.profile.name)
    for one in files:
        if removed.get(one.artefact) == one.envelope_digest:
            continue
        digest = hashlib.sha256()
        try:
            for chunk in context.artefacts.read(one.artefact):
                digest.update(chunk)
        except ArtefactError as caught:
            yield f"registration file {one.file_name}: {caught.message}"
            continue
        if digest.hexdigest() != one.envelope_digest:
            yield f"registration file {one.file_name}: its kept copy was altered"
