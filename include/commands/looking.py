"""Commands that look and change nothing."""

import argparse
import json
import sys
from datetime import date
from pathlib import Path

from include.commands.parts import Commands, LookUp, context_of, of_profile
from include.domain.errors import DokuError
from include.schemas.profile import Profile, load_profile, profile_files


def add(commands: Commands) -> None:
    """Add the commands that look."""
    profiles = commands.add_parser("profiles", help="check every profile with its layouts")
    profiles.set_defaults(command=_profiles)
    books = of_profile(commands, "books", "print the books of a business date", _books)
    books.add_argument("--business-date", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    books.add_argument("--run-id", type=int, help="a later run of that date")
    books.add_argument("--json", action="store_true", help="as JSON")
    render = of_profile(commands, "render", "write the plaintext of a batch file to standard output", _render)
    render.add_argument("file_name", help="TKN....TXT")
    of_profile(commands, "verify", "recompute from both databases and all kept files, and name what differs", _verify)
    plan = of_profile(
        commands, "plan", "say what would be sent if it ran now, what not and why, and what stands in its way", _plan
    )
    plan.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD", help="only the charges")
    plan.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: as --from")
    plan.add_argument("--json", action="store_true", help="only the map of date to total, for the parameter send_past")
    of_profile(commands, "quarantine", "list the charges that are quarantined, with their reasons", _quarantine)
    of_profile(commands, "holds", "list the holds that are in force", _holds)
    breaks = of_profile(commands, "breaks", "list what reconciliation could not tie", _breaks)
    breaks.add_argument("--all", action="store_true", help="the resolved ones too")
    of_profile(commands, "proposals", "list the decisions that wait for a second person", _proposals)


def _profiles(options: argparse.Namespace, look_up: LookUp) -> int:  # noqa: ARG001 - one signature for all commands
    """Check every profile; each problem is a line."""
    problems = 0
    for path in profile_files():
        problem = _profile_problem(path)
        problems += problem is not None
        print(problem or f"{path.name}: good")
    return 1 if problems else 0


def _profile_problem(path: Path) -> str | None:
    from include.doku.dialects.choose import named_dialect
    from include.schemas.layout import load_layout

    try:
        profile = load_profile(path)
        for layout in _layouts_of(profile):
            load_layout(profile.layout_path(layout))
        if profile.has_recurring and profile.recurring.dialect == "json":
            named_dialect(profile, profile.recurring.fields)
        if profile.has_tokens:
            named_dialect(profile, profile.tokens.fields)
    except DokuError as caught:
        return caught.message
    return None


def _layouts_of(profile: Profile) -> list[str]:
    """The layouts that a profile names for what it does."""
    bulk = profile.recurring.bulk if profile.has_recurring else None
    of_batches = [profile.batch.layout, profile.report.layout] if profile.sends_batches else []
    return [*of_batches, *([bulk.layout] if bulk else [])]


def _books(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.books import books_of_day
    from include.flows.books_text import as_text

    with context_of(options, look_up) as context:
        books = books_of_day(context, options.business_date, options.run_id)
    print(json.dumps(books, indent=2) if options.json else as_text(books))
    return 0 if books["ties"] or books["run_id"] is None else 1


def _render(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.seal import render_batch
    from include.ledger.batches import find_batch_named

    with context_of(options, look_up) as context:
        with context.ledger.read() as connection:
            batch = find_batch_named(connection, context.profile.name, options.file_name)
        for chunk in render_batch(context, batch):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return 0


def _verify(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.verify import findings

    with context_of(options, look_up) as context:
        found = list(findings(context))
    for finding in found:
        print(finding)
    print(f"{options.profile}: {len(found)} findings." if found else f"{options.profile}: all ties.")
    return 1 if found else 0


def _plan(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.domain.money import to_major
    from include.flows.outlook import outlook
    from include.flows.plan import plans_of

    with context_of(options, look_up) as context:
        if not (options.first or options.last or options.json):
            print("\n".join(outlook(context)))
            return 0
        first = options.first or context.today
        plans = plans_of(context, first, options.last or first)
    if options.json:
        print(
            json.dumps(
                {one.business_date.isoformat(): int(to_major(one.total, one.currency)) for one in plans if one.count}
            )
        )
        return 0
    for one in plans:
        print(one.in_words())
    return 0


def _quarantine(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger.quarantine import open_matters
    from include.schemas.due_charges import describe

    with context_of(options, look_up) as context, context.ledger.read() as connection:
        matters = open_matters(connection, context.profile.billing_source)
    for matter in matters:
        print(f"{matter.charge_id}: {matter.reasons} (runs {matter.first_run_id} to {matter.last_run_id})")
    for field, code, sentence in sorted({part for matter in matters for part in describe(matter.reasons)}):
        print(f"  {field}:{code}  {sentence}")
    print(f"{len(matters)} charges are quarantined.")
    return 0


def _holds(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger.holds import active_holds

    with context_of(options, look_up) as context, context.ledger.read() as connection:
        holds = active_holds(connection, context.profile.billing_source)
    for one in holds:
        print(f"{one.placed_at:%Y-%m-%d %H:%M} UTC  {one.words}")
    print(f"{len(holds)} holds are in force.")
    return 0


def _breaks(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.domain.states import UNRESOLVED, BreakState
    from include.ledger.break_life import breaks_in

    states = list(BreakState) if options.all else UNRESOLVED
    with context_of(options, look_up) as context, context.ledger.read() as connection:
        found = breaks_in(connection, context.profile.name, states)
    for one in found:
        print(f"{one.break_id}  {one.state}  {one.kind}  {one.subject}  {one.amount:+,}: {one.details}")
        if one.explanation:
            print(f"    explained by {one.explained_by}: {one.explanation}")
        if one.closed_by:
            print(f"    resolved by {one.closed_by}: {one.closed_reason}")
    print(f"{len(found)} breaks.")
    return 0


def _proposals(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger.proposals import open_proposals

    with context_of(options, look_up) as context, context.ledger.read() as connection:
        found = open_proposals(connection, context.profile.name)
    for one in found:
        print(f"{one.proposal_id}  {one.operation} {one.subject}, by {one.proposed_by}: {one.why}")
        print(f"    it would do this: {one.effect}")
    print(f"{len(found)} proposals wait for a second person.")
    return 0
