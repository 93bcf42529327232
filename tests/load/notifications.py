"""How many notifications Airflow's real API server takes: `python -m tests.load.notifications [--kill]`.

It prints figures, and ends with 1 when they are not what is promised: 200 a second for a minute stored and answered,
99 of 100 within 250 ms. With `--kill` the API server is killed in the middle, twice, while the sender repeats what was
not answered: none may be lost and none there twice.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from tests.load.house import PATH, House, house
from tests.load.sender import Sender, Sent

PROMISED_MS: Final = 250.0
_WARM_UP_SECONDS: Final = 3.0


async def kept_up(made: House, rate: float, seconds: float) -> Sent:
    """Send for so long, after a moment of warming up."""
    await Sender(*made.address, PATH).send(rate / 2, _WARM_UP_SECONDS)
    return await Sender(*made.address, PATH).send(rate, seconds)


async def killed(made: House, rate: float, seconds: float, kills: int = 2) -> Sent:
    """The same, with kills spread over the time."""
    sending = asyncio.create_task(Sender(*made.address, PATH).send(rate, seconds))
    for _ in range(kills):
        await asyncio.sleep(seconds / (kills + 1))
        await asyncio.to_thread(made.kill)
        await asyncio.to_thread(made.start)
    return await sending


def missing_and_doubled(made: House, sent: Sent) -> tuple[int, int]:
    """Of what was answered with 200: how many are not in the inbox, and how many are there more than once."""
    there = [body for body, _ in made.stored()]
    return len(set(sent.bodies) - set(there)), len(there) - len(set(there))


def main(arguments: list[str] | None = None) -> int:
    """Measure once."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.notifications", description=__doc__)
    parser.add_argument("--rate", type=float, default=200.0, help="notifications a second (default: 200)")
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long (default: 60)")
    parser.add_argument("--kill", action="store_true", help="kill the API server twice meanwhile")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="doku-load-") as folder, house(Path(folder)) as made:
        run = killed if chosen.kill else kept_up
        before = made.processor_seconds()
        sent = asyncio.run(run(made, chosen.rate, chosen.seconds))
        server, sender = made.processor_seconds() - before, time.process_time()
        missing, doubled = missing_and_doubled(made, sent)
        repeats = sum(times - 1 for _, times in made.stored())
    _say(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}; load of the machine"
         f" in the last minute {os.getloadavg()[0]:.1f}")  # fmt: skip
    _say(f"{len(sent.bodies)} taken in {sent.took:.1f} s ({len(sent.bodies) / sent.took:.0f} a second)")
    _say("answers: " + ", ".join(f"{count} x {status}" for status, count in sorted(sent.answers.items())))
    _say(
        "milliseconds: " + ", ".join(f"p{share * 100:g} {sent.percentile(share):.0f}" for share in (0.5, 0.9, 0.99, 1))
    )
    _say(f"missing {missing}, there twice {doubled}, repeats counted {repeats}")
    if not chosen.kill:
        _say(f"processor: API server {server * 1000 / len(sent.bodies):.1f} ms for each, sender {sender:.1f} s in all")
    late = not chosen.kill and sent.percentile(0.99) > PROMISED_MS
    return 1 if missing or doubled or late else 0


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
