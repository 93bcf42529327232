"""The same flows for a person at a terminal: `python -m include.cli --help`.

Connections come from `AIRFLOW_CONN_<ID>` variables, profiles from `DOKU_PROFILES_DIR`, artefacts from `DOKU_ARTEFACTS`.
Every command ends with 0, or says in one sentence what is wrong and ends with 1 (2: wrong usage).
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeAlias

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError, DokuError
from include.flows.artefacts import ARTEFACTS_VARIABLE, StoragePath
from include.flows.context import FlowContext
from include.schemas.profile import Profile, load_profile, load_profile_named, profile_files

LookUp = Callable[[str], ConnectionSettings]
Command = Callable[[argparse.Namespace, LookUp], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - its only name


def connection_from_environment(conn_id: str) -> ConnectionSettings:
    """The connection of an `AIRFLOW_CONN_<ID>` variable. ConfigError when there is none."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = os.environ.get(variable)
    if not text:
        raise ConfigError(variable, "", "is not set; the command line takes its connections from such variables")
    return ConnectionSettings.from_env_value(conn_id, text)


def main(
    arguments: Sequence[str] | None = None,
    look_up: LookUp = connection_from_environment,
    artefacts: Callable[[str], StoragePath] | None = None,
) -> int:
    """Run one command; the exit code.

    Args:
        arguments: The command line; by default the process's own.
        look_up: Gives the connection of an id.
        artefacts: Gives the storage path of `DOKU_ARTEFACTS`; by default fsspec's.
    """
    options = _parser().parse_args(arguments)
    options.artefacts = artefacts
    try:
        return int(options.command(options, look_up) or 0)
    except DokuError as caught:
        print(caught.message, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m include.cli", description="DOKU Account Billing, the merchant's side"
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_ledger(commands)
    _add_looking(commands)
    _add_deciding(commands)
    return parser


def _add_ledger(commands: Commands) -> None:
    ledger = commands.add_parser("ledger", help="make or upgrade the ledger's schema, or see its state")
    actions = ledger.add_subparsers(required=True, metavar="action")
    upgrade = actions.add_parser("upgrade", help="bring the schema to the newest form; the only thing that does")
    upgrade.add_argument("--environment", choices=("sandbox", "production"), required=True)
    upgrade.add_argument("--connection", default="doku_ledger", help="connection id (default: doku_ledger)")
    upgrade.set_defaults(command=_ledger_upgrade)
    state = actions.add_parser("status", help="say which ledger this is and whether it is at head")
    state.add_argument("--connection", default="doku_ledger", help="connection id (default: doku_ledger)")
    state.set_defaults(command=_ledger_status)


def _add_looking(commands: Commands) -> None:
    profiles = commands.add_parser("profiles", help="check every profile with its layouts")
    profiles.set_defaults(command=_profiles)
    books = _of_profile(commands, "books", "print the books of a business date", _books)
    books.add_argument("--business-date", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    books.add_argument("--run-id", type=int, help="a later run of that date")
    books.add_argument("--json", action="store_true", help="as JSON")
    render = _of_profile(commands, "render", "write the plaintext of a batch file to standard output", _render)
    render.add_argument("file_name", help="TKN....TXT")
    _of_profile(commands, "verify", "recompute from both databases and all kept files, and name what differs", _verify)
    plan = _of_profile(commands, "plan", "say what would be sent if it ran now, for one date or several", _plan)
    plan.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: today")
    plan.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD", help="default: as --from")
    plan.add_argument("--json", action="store_true", help="only the map of date to total, for the parameter send_past")
    _of_profile(commands, "quarantine", "list the charges that are quarantined, with their reasons", _quarantine)
    _of_profile(commands, "holds", "list the holds that are in force", _holds)


def _add_deciding(commands: Commands) -> None:
    hold = _decision(commands, "hold", "hold a charge, a customer, a batch or the whole profile, from now on")
    lift = _decision(commands, "lift", "end a hold")
    for parser in (hold, lift):
        parser.add_argument("scope", choices=("charge", "customer", "batch", "profile"))
        parser.add_argument("subject", help="charge id, customer id, batch file name or profile name")
    release = _decision(commands, "release", "release a charge from quarantine; the next run checks it again")
    cancel = _decision(commands, "cancel", "close a charge: no attempt is made any more")
    for parser in (release, cancel):
        parser.add_argument("charge_id")
    for name, words in (
        ("withdraw", "withdraw a batch that has not left"),
        ("arrived", "DOKU has a file whose delivery is unknown: it is delivered"),
        ("never-arrived", "DOKU never got a file whose delivery is unknown: its attempts are withdrawn"),
        ("reopen", "read a refused report again, once a wrong key, layout or limit of ours is mended"),
    ):
        _decision(commands, name, words).add_argument("file_name", help="the file's own name")
    for name, words in (
        ("approve", "let a run go on that a brake stopped"),
        ("refuse", "refuse it: its batches are withdrawn"),
    ):
        parser = _decision(commands, name, words)
        parser.add_argument("--run-id", type=int, required=True)
        parser.set_defaults(command=_answer, approve=name == "approve")
    recover = _of_profile(
        commands, "recover", "rebuild attempts that the billing database knows and the ledger does not", _recover
    )
    recover.add_argument("--by", required=True, help="your name")
    recover.add_argument("--adopt", action="store_true", help="also take over attempts of a lost ledger")
    recover.add_argument("--apply", action="store_true", help="do it; without it only say what would be rebuilt")


def _decision(commands: Commands, name: str, words: str) -> argparse.ArgumentParser:
    parser = _of_profile(commands, name, words, _decide)
    parser.add_argument("--by", required=True, help="your name; it is kept with the decision")
    parser.add_argument("--why", required=True, help="the reason in words; kept too")
    parser.set_defaults(decision=name.replace("-", "_"))
    return parser


def _of_profile(commands: Commands, name: str, words: str, command: Command) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=words, description=words)
    parser.add_argument("--profile", required=True)
    parser.set_defaults(command=command)
    return parser


def _context(options: argparse.Namespace, look_up: LookUp) -> AbstractContextManager[FlowContext]:
    from upath import UPath

    from include.flows.assemble import flow_context

    base = os.environ.get(ARTEFACTS_VARIABLE)
    if not base:
        raise ConfigError(ARTEFACTS_VARIABLE, "", "is not set; it names where files are kept, as file:///var/lib/doku")
    open_store: Callable[[str], StoragePath] = options.artefacts or UPath
    return flow_context(load_profile_named(options.profile), look_up, open_store(base))


def _ledger_upgrade(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger import schema
    from include.ledger.store import errors_named, ledger_engine

    engine = ledger_engine(look_up(options.connection))
    with errors_named():
        before, after = schema.upgrade(engine, options.environment, datetime.now(UTC))
    print(f"The ledger is at schema {after}" + (" already." if before == after else f" (before: {before or 'empty'})."))
    return 0


def _ledger_status(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger.store import Ledger, ledger_engine

    ledger = Ledger.open(ledger_engine(look_up(options.connection)))
    print(f"Ledger {ledger.ledger_id}, {ledger.environment}, at head.")
    return 0


def _profiles(options: argparse.Namespace, look_up: LookUp) -> int:  # noqa: ARG001 - one signature for all commands
    """Check every profile; each problem is a line."""
    problems = 0
    for path in profile_files():
        problem = _profile_problem(path)
        problems += problem is not None
        print(problem or f"{path.name}: good")
    return 1 if problems else 0


def _profile_problem(path: Path) -> str | None:
    from include.schemas.layout import load_layout

    try:
        profile: Profile = load_profile(path)
        for name in (profile.batch.layout, profile.report.layout):
            load_layout(profile.layout_path(name))
    except DokuError as caught:
        return caught.message
    return None


def _books(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.books import books_of_day
    from include.flows.books_text import as_text

    with _context(options, look_up) as context:
        books = books_of_day(context, options.business_date, options.run_id)
    print(json.dumps(books, indent=2) if options.json else as_text(books))
    return 0 if books["ties"] or books["run_id"] is None else 1


def _render(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.seal import render_batch
    from include.ledger.batches import find_batch_named

    with _context(options, look_up) as context:
        with context.ledger.read() as connection:
            batch = find_batch_named(connection, context.profile.name, options.file_name)
        for chunk in render_batch(context, batch):
            sys.stdout.buffer.write(chunk)
    sys.stdout.buffer.flush()
    return 0


def _verify(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.verify import findings

    with _context(options, look_up) as context:
        found = list(findings(context))
    for finding in found:
        print(finding)
    print(f"{options.profile}: {len(found)} findings." if found else f"{options.profile}: all ties.")
    return 1 if found else 0


def _plan(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.domain.money import to_major
    from include.flows.plan import plans_of

    with _context(options, look_up) as context:
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

    with _context(options, look_up) as context, context.ledger.read() as connection:
        matters = open_matters(connection, context.profile.billing_source)
    for matter in matters:
        print(f"{matter.charge_id}: {matter.reasons} (runs {matter.first_run_id} to {matter.last_run_id})")
    for field, code, sentence in sorted({part for matter in matters for part in describe(matter.reasons)}):
        print(f"  {field}:{code}  {sentence}")
    print(f"{len(matters)} charges are quarantined.")
    return 0


def _holds(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger.holds import active_holds

    with _context(options, look_up) as context, context.ledger.read() as connection:
        holds = active_holds(connection, context.profile.billing_source)
    for one in holds:
        print(f"{one.placed_at:%Y-%m-%d %H:%M} UTC  {one.words}")
    print(f"{len(holds)} holds are in force.")
    return 0


def _decide(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows import decisions

    names = ("scope", "subject", "charge_id", "file_name")
    about = {name: getattr(options, name) for name in names if hasattr(options, name)}
    with _context(options, look_up) as context:
        print(getattr(decisions, options.decision)(context, **about, by=options.by, why=options.why))
    return 0


def _answer(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.approve import answer_run, in_words

    with _context(options, look_up) as context:
        found = answer_run(context, options.run_id, by=options.by, approve=options.approve, words=options.why)
        words = in_words(context, found)
    said = f"{found.answer.answer} by {found.answer.answered_by}" if found.answer else "no answer"
    print(f"Run {options.run_id}: {said}; {words}")
    return 0


def _recover(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.flows.recover import recover, unknown_deliveries

    with _context(options, look_up) as context:
        found = recover(context, by=options.by, adopt=options.adopt, apply=options.apply)
    for one in found:
        print(f"{one.file_name}: {one.count} attempts, {one.total} in all, from ledger {one.ledger_id}: {one.state}")
    if not options.apply:
        print(f"{len(found)} batch files would be rebuilt; run again with --apply." if found else "Nothing is missing.")
        return 0
    for file_name in unknown_deliveries(found):
        print(
            f"{file_name}: the server shows nothing of it; ask DOKU whether they took it. It stays unknown until then."
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
