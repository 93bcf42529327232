"""`ledger`: the only commands that touch the ledger's schema."""

import argparse
from datetime import UTC, datetime

from include.commands.parts import Commands, LookUp


def add(commands: Commands) -> None:
    """Add `ledger upgrade` and `ledger status`."""
    ledger = commands.add_parser("ledger", help="make or upgrade the ledger's schema, or see its state")
    actions = ledger.add_subparsers(required=True, metavar="action")
    upgrade = actions.add_parser("upgrade", help="bring the schema to the newest form; the only thing that does")
    upgrade.add_argument("--environment", choices=("sandbox", "production"), required=True)
    upgrade.add_argument("--connection", default="doku_ledger", help="connection id (default: doku_ledger)")
    upgrade.set_defaults(command=_upgrade)
    state = actions.add_parser("status", help="say which ledger this is and whether it is at head")
    state.add_argument("--connection", default="doku_ledger", help="connection id (default: doku_ledger)")
    state.set_defaults(command=_status)


def _upgrade(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger import schema
    from include.ledger.store import errors_named, ledger_engine

    engine = ledger_engine(look_up(options.connection))
    with errors_named():
        before, after = schema.upgrade(engine, options.environment, datetime.now(UTC))
    print(f"The ledger is at schema {after}" + (" already." if before == after else f" (before: {before or 'empty'})."))
    return 0


def _status(options: argparse.Namespace, look_up: LookUp) -> int:
    from include.ledger.store import Ledger, ledger_engine

    ledger = Ledger.open(ledger_engine(look_up(options.connection)))
    print(f"Ledger {ledger.ledger_id}, {ledger.environment}, at head.")
    return 0
