"""`make bench`: our flows, the yardstick and the plain pipeline, interleaved, at several sizes.

python -m tests.bench --sizes 10000,100000 --runs 3
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import ground as grounds
from tests.bench import results
from tests.bench.answers import answer_all
from tests.bench.ground import Ground, Told
from tests.bench.meter import Cost, quietly
from tests.bench.results import Measured
from tests.bench.yardstick import Yardstick
from tests.stack.airflow import PROJECT
from tests.stack.scene import Scene

_OUTPUT = PROJECT / "var" / "bench"


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure the flows beside the yardstick")
    parser.add_argument("--sizes", default="10000,100000", help="rows, comma separated")
    parser.add_argument("--runs", default="3", help="of ours and of the yardstick; by size, as 5,3,1, or for all")
    parser.add_argument("--plain-runs", type=int, default=1, help="of the plain pipeline; 0: none")
    parser.add_argument("--sqlite", type=int, default=0, help="rows to measure on SQLite too; 0: none")
    parser.add_argument("--rows-per-batch", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2, help="processes for the tasks of single batches")
    parser.add_argument("--profile", action="store_true", help="keep a profile of each stage (slower; no yardstick)")
    parser.add_argument("--into", type=Path, default=None, help="folder for the picture and the figures, as docs")
    chosen = parser.parse_args(arguments)
    quietly()
    sizes = sorted(int(size) for size in chosen.sizes.split(",") if size)
    runs = [int(count) for count in chosen.runs.split(",")]
    counts = [*runs, *[runs[-1]] * len(sizes)]
    measured = [_measure(rows, count, chosen, sqlite=False) for rows, count in zip(sizes, counts, strict=False)]
    if chosen.sqlite:
        measured.append(_measure(chosen.sqlite, runs[-1], chosen, sqlite=True))
    _keep(measured, chosen.into)
    return 0


def _measure(rows: int, runs: int, chosen: argparse.Namespace, *, sqlite: bool) -> Measured:
    measured = Measured(rows, "SQLite" if sqlite else "PostgreSQL")
    root = Path(tempfile.gettempdir()) / f"doku-bench-{os.getpid()}"
    log = _OUTPUT / f"profile_{rows}" / "statements.log" if chosen.profile else None
    with grounds.ground(root, chosen.rows_per_batch, sqlite=sqlite, log_to=log) as ground:
        for run in range(runs):
            _say(f"{rows:,} rows on {measured.database}, run {run + 1}")
            scene = ground.scene(rows)
            _day(ground, scene, measured, chosen, with_yardstick=not (sqlite or chosen.profile))
            ground.gone(scene)
            if run < chosen.plain_runs and not sqlite and not chosen.profile:
                _say("the plain pipeline")
                scene = ground.scene(rows)
                _plain(ground, scene, measured, chosen.rows_per_batch)
                ground.gone(scene)
    return measured


def _day(ground: Ground, scene: Scene, measured: Measured, chosen: argparse.Namespace, *, with_yardstick: bool) -> None:
    kept = _OUTPUT / f"profile_{measured.rows}" if chosen.profile else None
    workers = 1 if chosen.profile or measured.database == "SQLite" else chosen.workers
    told = Told.of(scene, ground.servers, kept, workers)
    measured.add("ours", "submit", child("ours", told, "submit"))
    yardstick = Yardstick(scene, ground.servers, scene.root / "yardstick")
    if with_yardstick:
        yardstick.prepare_submit()
        measured.add("yardstick", "submit", yardstick.submit())
    engine = scene.ledger.engine()
    answer_all(engine, ground.keys, scene.remote.files / "outbound")
    engine.dispose()
    measured.add("ours", "reconcile", child("ours", told, "reconcile"))
    if with_yardstick:
        yardstick.prepare_reconcile()
        measured.add("yardstick", "reconcile", yardstick.reconcile())


def _plain(ground: Ground, scene: Scene, measured: Measured, rows_per_batch: int) -> None:
    from tests.bench import plain

    told = Told.of(scene, ground.servers)
    measured.add("plain", "submit", child("plain", told, "submit", str(rows_per_batch)))
    plain.answers(told, scene.remote.files / "outbound")
    measured.add("plain", "reconcile", child("plain", told, "reconcile", str(rows_per_batch)))


def child(module: str, told: Told, *arguments: str) -> list[Cost]:
    """What the stages cost in a process of their own."""
    found = subprocess.run(
        [sys.executable, "-m", f"tests.bench.{module}", *arguments],
        input=told.dumps(), stdout=subprocess.PIPE, text=True, check=True, cwd=PROJECT,
    )  # fmt: skip
    return [Cost(**cost) for cost in json.loads(found.stdout)]


def _keep(measured: list[Measured], into: Path | None) -> None:
    document = {"machine": results.machine(), "sizes": [one.as_json() for one in measured]}
    _OUTPUT.mkdir(parents=True, exist_ok=True)
    (_OUTPUT / "results.json").write_text(json.dumps(document, indent=1) + "\n")
    shown = results.table(measured)
    (_OUTPUT / "results.txt").write_text(shown + "\n")
    sys.stdout.write(f"\n{shown}\n\nKept in {_OUTPUT.relative_to(PROJECT)}/results.json\n")
    if into is not None:
        from tests.bench.plot import draw

        short = {**document, "sizes": [{k: v for k, v in one.items() if k != "runs"} for one in document["sizes"]]}
        (into / "benchmarks.json").write_text(json.dumps(short, indent=1) + "\n")
        draw(measured, into / "benchmarks.svg")


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")


if __name__ == "__main__":
    raise SystemExit(main())
