"""`python -m tests.stack demo | up | down | cluster`: what the Makefile calls."""

import argparse
import os
import signal
import sys
from typing import NoReturn

from tests.services.processes import ServiceFailed, ServiceUnavailable
from tests.stack import bills_demo
from tests.stack.cluster import CHARGES, cluster
from tests.stack.demo import DemoFailed, demo
from tests.stack.scene import CommandFailed
from tests.stack.up import down, up


def main() -> int:
    """Run one command; its exit code. What was started is stopped on failure, Ctrl-C and a polite kill too."""
    parser = argparse.ArgumentParser(prog="python -m tests.stack", description=__doc__)
    parser.add_argument("command", choices=("demo", "up", "down", "cluster"))
    parser.add_argument("--profile", default="insurance", help="a shipped profile (default: insurance)")
    parser.add_argument("--charges", type=int, default=CHARGES, help=f"of the cluster's day (default: {CHARGES:,})")
    arguments = parser.parse_args()
    for name in [name for name in os.environ if name.startswith(("AIRFLOW", "DOKU_"))]:
        del os.environ[name]  # another Airflow's settings are none of ours
    for which in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, _interrupt)
    play = bills_demo.demo if arguments.profile in bills_demo.STORIES else demo
    commands = {
        "demo": lambda: play(arguments.profile),
        "up": lambda: up(arguments.profile),
        "down": down,
        "cluster": lambda: cluster(arguments.charges),
    }
    try:
        return commands[arguments.command]()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted; what was started has been stopped.\n")
        return 130
    except (DemoFailed, CommandFailed, ServiceFailed, ServiceUnavailable, TimeoutError) as problem:
        sys.stderr.write(f"\n{problem}\n")
        return 1


def _interrupt(number: int, _: object) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


if __name__ == "__main__":
    sys.exit(main())
