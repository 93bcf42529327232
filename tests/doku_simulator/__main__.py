"""`python -m tests.doku_simulator`: run the simulator until it is told to stop (SIGTERM, SIGINT)."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from tests.doku_simulator import menu
from tests.doku_simulator.bank import DEFAULT_ENDINGS, DEFAULT_MIX
from tests.doku_simulator.behaviour import Behaviour, Fault
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.envelope import EnvelopeForm
from tests.doku_simulator.layout import BadLayoutError
from tests.doku_simulator.simulator import AlreadyRunningError, Simulator
from tests.doku_simulator.web.settings import http_config


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m tests.doku_simulator", description=__doc__)
    add = made.add_argument
    defaults = SimulatorConfig(root=Path())
    add("--root", type=Path, help="folder for keys, journals, state and the SFTP folders")
    add("--host", default=defaults.host)
    add("--port", type=int, default=0, help="0 takes a free one")
    add("--user", default=defaults.user)
    add("--password", help="default: a random one, kept in ROOT/keys")
    add("--seed", type=int, default=defaults.seed)
    add("--batch-layout", type=Path, default=defaults.batch_layout)
    add("--report-layout", type=Path, default=defaults.report_layout)
    add("--inbound", default=defaults.inbound)
    add("--outbound", default=defaults.outbound)
    add("--archive", default=defaults.archive, help="empty text: files that were taken are gone")
    add("--folder", action="append", default=[], help="one more folder to have")
    add("--read-only", action="append", default=[], help="a folder in which nothing can be changed")
    add("--pattern", default=defaults.pattern, help="names that are picked up")
    add("--report-name", default=defaults.report_name, help="{batch_stem} {batch_name} {part} {parts}")
    add("--part-suffix", default=defaults.part_suffix, help="added to the stem when a report comes in several files")
    add("--code-width", type=int, choices=(2, 4), default=defaults.code_width, help="of response codes in reports")
    add("--rejection-name", help="write a note under this name when a file is rejected, as {batch_stem}.ERR")
    add("--batch-plain", dest="batch_sealed", action="store_false", help="batch files come without envelope")
    sealed = made.add_mutually_exclusive_group()
    sealed.add_argument("--report-sealed", dest="report_sealed", action="store_true", default=True)
    sealed.add_argument("--report-plain", dest="report_sealed", action="store_false")
    add("--envelope", default="", metavar="KEY=VALUE,...", help="variant, as key_encoding=hex,aes_mode=cbc")
    add("--report-envelope", default=None, metavar="KEY=VALUE,...", help="default: as --envelope")
    add("--merchant-public-key", type=Path, help="PEM file for sealing reports; default: a pair in ROOT/keys")
    add("--key-bits", type=int, default=defaults.key_bits)
    add("--process-after", type=float, default=defaults.process_after, help="seconds a file must lie unchanged")
    add("--poll", type=float, default=defaults.poll)
    add("--log", type=Path, help="operation log; default ROOT/operations.jsonl")
    add("--no-sftp", dest="sftp", action="store_false", help="only watch the folders, beside another SFTP server")
    add("--sftp-root", type=Path, help="what an SFTP server shows as /; default ROOT/sftp")
    add("--mix", type=Path, help="JSON file: response code to weight")
    add("--endings", type=Path, help="JSON file: last digits of an amount to response code")
    add("--unknown-charged-share", type=float, default=defaults.unknown_charged_share)
    add("--late", type=float, default=None, help="seconds that reports are late")
    add("--split", type=int, default=None, help="files that a report comes in")
    add("--truncate", type=int, default=None, help="bytes cut off the end of reports")
    add("--http-port", type=int, help="have the HTTP side; 0 takes a free port")
    add("--http", type=Path, metavar="FILE", help="TOML file with more settings of the HTTP side (HttpConfig)")
    add("--fault", action="append", default=[], metavar="NAME[:SEED]", help="from the menu; may be repeated")
    add("--fault-menu", action="store_true", help="print the menu and stop")
    return made


def _envelope(text: str) -> EnvelopeForm:
    pairs = [item.partition("=") for item in text.split(",") if item]
    return EnvelopeForm.from_mapping({key.strip(): value.strip() for key, _, value in pairs})


def config_of(options: argparse.Namespace) -> SimulatorConfig:
    """The settings that a command line asks for."""
    same = """host port user password seed batch_layout report_layout inbound outbound pattern report_name
        part_suffix code_width
        rejection_name batch_sealed report_sealed merchant_public_key key_bits process_after poll log sftp sftp_root
        unknown_charged_share"""
    return SimulatorConfig(
        root=options.root.resolve(),
        archive=options.archive or None,
        http=None if options.http_port is None else http_config(options.http, port=options.http_port),
        folders=tuple(options.folder),
        read_only=tuple(options.read_only),
        envelope=_envelope(options.envelope),
        report_envelope=None if options.report_envelope is None else _envelope(options.report_envelope),
        mix=json.loads(options.mix.read_text(encoding="utf-8")) if options.mix else dict(DEFAULT_MIX),
        endings=json.loads(options.endings.read_text(encoding="utf-8")) if options.endings else dict(DEFAULT_ENDINGS),
        **{name: getattr(options, name) for name in same.split()},
    )


def behaviour_of(options: argparse.Namespace) -> Behaviour | None:
    """The behaviour that a command line asks for; None: leave the control file as it is."""
    if options.late is None and options.split is None and options.truncate is None and not options.fault:
        return None
    faults = [item.partition(":") for item in options.fault]
    return Behaviour(
        late_seconds=options.late or 0.0,
        split=options.split or 1,
        truncate_bytes=options.truncate or 0,
        faults=tuple(Fault(name, seed=int(seed or 0)) for name, _, seed in faults),
    )


def main(arguments: list[str] | None = None) -> int:
    """Run until stopped. Exit code 2: settings that cannot be used; 1: the processing broke."""
    made = parser()
    options = made.parse_args(arguments)
    if options.fault_menu:
        sys.stdout.write(menu.table())
        return 0
    if options.root is None:
        made.error("--root is needed")
    ending = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ending.set())
    try:
        simulator = Simulator(config_of(options))
        behaviour = behaviour_of(options)
        with simulator:
            if behaviour:
                simulator.behave(behaviour)
            sys.stdout.write(json.dumps(simulator.describe()) + "\n")
            sys.stdout.flush()
            problem = ""
            while not ending.wait(0.2) and simulator.error is None:
                if simulator.director.problem != problem:
                    problem = simulator.director.problem
                    sys.stderr.write(f"{problem}\n" if problem else "")
            if simulator.error:
                raise simulator.error
    except (AlreadyRunningError, BadLayoutError, ValueError, OSError) as error:
        sys.stderr.write(f"doku_simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
