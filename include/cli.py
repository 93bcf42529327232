"""The same flows for a person at a terminal: `python -m include.cli --help`.

Connections come from `AIRFLOW_CONN_<ID>` variables, profiles from `DOKU_PROFILES_DIR`, artefacts from `DOKU_ARTEFACTS`.
Every command ends with 0, or says in one sentence what is wrong and ends with 1 (2: wrong usage).
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from include.commands import (
    asking,
    bills,
    charges,
    deciding,
    housekeeping,
    inbox,
    ledger,
    looking,
    showing,
    tokens,
    watching,
)
from include.commands.parts import LookUp
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError, DokuError
from include.flows.artefacts import StoragePath


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
    for group in (ledger, looking, bills, asking, deciding, showing, tokens, watching, housekeeping, inbox, charges):
        group.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
