"""The watchdog outside Airflow: for cron or systemd, so that silence is noticed while Airflow itself is silent."""

import argparse
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from include.commands.parts import Commands, LookUp
from include.domain.errors import AlertNotSent, ConfigError
from include.flows.artefacts import ARTEFACTS_VARIABLE

if TYPE_CHECKING:
    from include.flows.watch_profiles import Sight


def add(commands: Commands) -> None:
    """Add the command that watches."""
    words = "look once whether anything is late, tell whom the profiles name; ends with 1 while something is"
    watch = commands.add_parser("watch", help=words, description=words)
    watch.add_argument("--profile", action="append", metavar="NAME", help="default: every profile")
    watch.add_argument(
        "--ping", metavar="URL", help="address of a dead-man's service; called once all was looked at and told"
    )
    watch.set_defaults(command=_watch)


def _watch(options: argparse.Namespace, look_up: LookUp) -> int:
    from upath import UPath

    from include.domain.watch import Watcher
    from include.flows.channels import ping
    from include.flows.watch_profiles import Sight, names_of_profiles, sender, watch_profile

    base = os.environ.get(ARTEFACTS_VARIABLE)
    if not base:
        raise ConfigError(ARTEFACTS_VARIABLE, "", "is not set; it names where files are kept, as file:///var/lib/doku")
    store = (options.artefacts or UPath)(base)
    sights: list[Sight] = []
    for name in options.profile or names_of_profiles():
        try:
            now = datetime.now(UTC)
            sights.append(watch_profile(name, look_up, store, Watcher.OUTSIDE, sender(look_up), now))
        except Exception as caught:  # noqa: BLE001 - one profile does not stop the others; its text may hold values
            kind = f"{caught.__class__.__module__}.{caught.__class__.__name__}"
            sights.append(Sight(name, problems=(f"Unexpected {kind} while watching; report it.",)))
    for sight in sights:
        _print(sight)
    troubled = any(sight.problems for sight in sights)
    if options.ping and not troubled:
        try:
            ping(options.ping)
        except AlertNotSent as caught:
            print(caught.message, file=sys.stderr)
            troubled = True
    return 1 if troubled or any(sight.alerts for sight in sights) else 0


def _print(sight: "Sight") -> None:
    for one in sight.alerts:
        print(f"{sight.profile}: {one.words}\n  Do this: {one.action}\n  More: {one.runbook}")
    for problem in sight.problems:
        print(f"{sight.profile}: {problem}", file=sys.stderr)
    if not sight.alerts and not sight.problems:
        print(f"{sight.profile}: nothing is late.")
