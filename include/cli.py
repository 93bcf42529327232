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

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError, DokuError
from include.flows.artefacts import ARTEFACTS_VARIABLE
from include.flows.context import FlowContext
from include.schemas.profile import Profile, load_profile, load_profile_named, profile_files

LookUp = Callable[[str], ConnectionSettings]


def connection_from_environment(conn_id: str) -> ConnectionSettings:
    """The connection of an `AIRFLOW_CONN_<ID>` variable. ConfigError when there is none."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    text = os.environ.get(variable)
    if not text:
        raise ConfigError(variable, "", "is not set; the command line takes its connections from such variables")
    return ConnectionSettings.from_env_value(conn_id, text)


def main(arguments: Sequence[str] | None = None, look_up: LookUp = connection_from_environment) -> int:
    """Run one command; the exit code."""
    options = _parser().parse_args(arguments)
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

    ledger = commands.add_parser("ledger", help="make or upgrade the ledger's schema, or see its state")
    actions = ledger.add_subparsers(required=True, metavar="action")
    upgrade = actions.add_parser("upgrade", help="bring the schema to the newest form; the only thing that does")
    upgrade.add_argument("--environment", choices=("sandbox", "production"), required=True)
    upgrade.add_argument("--connection", default="doku_ledger", help="connection id (default: doku_ledger)")
    upgrade.set_defaults(command=_ledger_upgrade)
    state = actions.add_parser("status", help="say which ledger this is and whether it is at head")
    state.add_argument("--connection", default="doku_ledger")
    state.set_defaults(command=_ledger_status)

    profiles = commands.add_parser("profiles", help="check every profile with its layouts")
    profiles.set_defaults(command=_profiles)

    books = _of_profile(commands, "books", "print the books of a business date", _books)
    books.add_argument("--business-date", type=date.fromisoformat, required=True, metavar="YYYY-MM-DD")
    books.add_argument("--run-id", type=int, help="a later run of that date")
    books.add_argument("--json", action="store_true", help="as JSON")

    render = _of_profile(commands, "render", "write the plaintext of a batch file to standard output", _render)
    render.add_argument("file_name", help="TKN....TXT")

    verify = _of_profile(commands, "verify", "recompute the books and the digests of all kept files", _verify)
    verify.set_defaults(command=_verify)
    return parser


def _of_profile(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    words: str,
    command: Callable[[argparse.Namespace, LookUp], int],
) -> argparse.ArgumentParser:
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
    return flow_context(load_profile_named(options.profile), look_up, UPath(base))


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


if __name__ == "__main__":
    sys.exit(main())
