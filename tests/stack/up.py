"""Airflow and the simulator for exploring: `up` leaves them running, `down` stops exactly these."""

import shlex
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.services.processes import Started
from tests.stack.airflow import PROJECT, AirflowStack, recorded, stop_all, write_record
from tests.stack.databases import seeded
from tests.stack.demo import scene_at
from tests.stack.progress import Progress
from tests.stack.scene import QUICK, Scene
from tests.stack.simulator import start_simulator

ROOT = PROJECT / "var" / "up"
_CHARGES = 3000


def up(profile: str, root: Path = ROOT) -> int:
    """Start everything, print where it is and how to log in, and leave it running.

    What an earlier `up` left in the folder, databases and files, is used again. Called while it runs, it only says
    where.
    """
    everything = _everything(root)
    if everything and all(one.is_running() for one in everything):
        sys.stdout.write((root / "welcome.txt").read_text(encoding="utf-8"))
        return 0
    stop_all(everything)  # what is left of one that was not stopped properly
    progress = Progress()
    root.mkdir(parents=True, exist_ok=True)
    try:
        progress.say("Starting DOKU's simulator")
        doku = start_simulator(root / "doku", "--seed", "7", outlives_us=True)
        write_record(root / "simulator.json", [doku.process])
        today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
        scene = scene_at(root, profile, today, doku, QUICK)
        if not (root / "billing.sqlite").exists():
            progress.say(f"Seeding the billing database of {profile} with {_CHARGES:,} charges")
            seeded(scene.billing, profile, _CHARGES, today)
        scene.write_profile()
        scene.upgrade_ledger()
        airflow = AirflowStack(root / "airflow", env=scene.environment(), outlives_us=True, say=progress.say)
        airflow.start()
    except BaseException:
        down(root)
        raise
    _write_environment(root / "environment.sh", airflow.environment)
    welcome = _welcome(scene, airflow, doku.facts["port"])
    (root / "welcome.txt").write_text(welcome, encoding="utf-8")
    sys.stdout.write(welcome)
    return 0


def down(root: Path = ROOT) -> int:
    """Stop what `up` started in this checkout, and nothing else; its files stay."""
    running = [one for one in _everything(root) if one.is_running()]
    stop_all(_everything(root))
    for record in (root / "airflow" / "stack.json", root / "simulator.json"):
        record.unlink(missing_ok=True)
    said = f"Stopped {', '.join(one.name for one in running)}" if running else "Nothing of `make up` is running"
    sys.stdout.write(f"{said}.\n")
    return 0


def _everything(root: Path) -> list[Started]:
    return [*recorded(root, "simulator.json"), *recorded(root / "airflow")]


def _write_environment(path: Path, environment: dict[str, str]) -> None:
    """A file to source before `airflow` or `python -m include.cli` by hand; it holds the throwaway passwords."""
    names = [name for name in environment if name.startswith(("AIRFLOW", "DOKU_")) or name in ("PATH", "PYTHONPATH")]
    path.touch(mode=0o600)
    path.write_text("".join(f"export {name}={shlex.quote(environment[name])}\n" for name in sorted(names)))


def _welcome(scene: Scene, airflow: AirflowStack, sftp_port: int) -> str:
    profile, day = scene.profile, scene.business_date
    return f"""
Airflow      {airflow.url}   login {airflow.user} / {airflow.password}
Simulator    SFTP on 127.0.0.1:{sftp_port}; its folders lie in {scene.remote.files}
Databases    {scene.root / "billing.sqlite"}
             {scene.root / "ledger.sqlite"}

One business day: unpause doku_reconcile__{profile} and doku_submit__{profile}, then trigger doku_submit__{profile}
with business_date {day}. The books of the day, from a shell in this folder:

    . {scene.root / "environment.sh"}
    python -m include.cli books --profile {profile} --business-date {day}

`make down` stops Airflow and the simulator and leaves the files; `rm -r {scene.root}` begins anew.
"""
