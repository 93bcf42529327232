"""What every group of commands shares: the profile it works for, who decides and why, and the context of a flow."""

import argparse
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError
from include.flows.artefacts import ARTEFACTS_VARIABLE, StoragePath
from include.flows.context import FlowContext
from include.schemas.profile import load_profile_named

LookUp = Callable[[str], ConnectionSettings]
Command = Callable[[argparse.Namespace, LookUp], int]
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"  # noqa: SLF001 - its only name


def of_profile(commands: Commands, name: str, words: str, command: Command) -> argparse.ArgumentParser:
    """Add a command that works for one profile, which `--profile` names."""
    parser = commands.add_parser(name, help=words, description=words)
    parser.add_argument("--profile", required=True)
    parser.set_defaults(command=command)
    return parser


def decision(commands: Commands, name: str, words: str, command: Command) -> argparse.ArgumentParser:
    """Add a command that records a decision: who, with `--by`, and why, with `--why`."""
    parser = of_profile(commands, name, words, command)
    parser.add_argument("--by", required=True, help="your name; it is kept with the decision")
    parser.add_argument("--why", required=True, help="the reason in words; kept too")
    parser.add_argument("--apply", action="store_true", help="do it; without it only say what it would do")
    return parser


def context_of(options: argparse.Namespace, look_up: LookUp) -> AbstractContextManager[FlowContext]:
    """The context of the named profile. ConfigError when `DOKU_ARTEFACTS` does not say where files are kept."""
    from upath import UPath

    from include.flows.assemble import flow_context

    base = os.environ.get(ARTEFACTS_VARIABLE)
    if not base:
        raise ConfigError(ARTEFACTS_VARIABLE, "", "is not set; it names where files are kept, as file:///var/lib/doku")
    open_store: Callable[[str], StoragePath] = options.artefacts or UPath
    return flow_context(load_profile_named(options.profile), look_up, open_store(base))
