"""Airflow and the simulator for exploring: `up` leaves them running, `down` stops exactly these."""

import shlex
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from include.schemas.profile import load_profile
from tests.services.processes import Started
from tests.stack import bills_demo
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
        today = datetime.now(ZoneInfo("Asia/Jakarta")).date()
        bills = profile in bills_demo.STORIES
        settings = bills_demo.doku_settings(root, today) if bills else ()
        doku = start_simulator(root / "doku", "--seed", "7", *settings, outlives_us=True)
        write_record(root / "simulator.json", [doku.process])
        scene = scene_at(root, profile, today, doku, bills_demo.QUICK_BILLS if bills else QUICK)
        if not (root / "billing.sqlite").exists():
            count = bills_demo.COUNT if bills else _CHARGES
            progress.say(f"Seeding the billing database of {profile} with {count:,} charges")
            seeded(scene.billing, profile, count, today)
        scene.write_profile()
        scene.upgrade_ledger()
        airflow = AirflowStack(root / "airflow", env=scene.environment(), outlives_us=True, say=progress.say)
        airflow.start()
        if bills:
            bills_demo.Doku(doku).told_where(airflow.url, scene.profile)
    except BaseException:
        down(root)
        raise
    _write_environment(root / "environment.sh", airflow.environment)
    welcome = _welcome(scene, airflow, doku.facts)
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


def _about_bills(scene: Scene, facts: Mapping[str, Any]) -> str:
    first, advance = scene.business_date - timedelta(days=1), f"{facts['http']['url']}/_simulator/advance"
    return f"""
Bills: unpause doku_recurring__{scene.profile} and trigger it, then let DOKU's clock go on, first until the customers
have registered, then to the charges of {scene.business_date}. What DOKU tells wakes the DAG.

    curl -d '{{"to": "{first}T20:00:00+07:00"}}' {advance}
    curl -d '{{"to": "{scene.business_date}T08:00:00+07:00"}}' {advance}
"""


def _about_batches(scene: Scene) -> str:
    profile, day = scene.profile, scene.business_date
    return f"""
One business day: unpause doku_reconcile__{profile} and doku_submit__{profile}, then trigger doku_submit__{profile}
with business_date {day}. The books of the day, from a shell in this folder:

    . {scene.root / "environment.sh"}
    python -m include.cli books --profile {profile} --business-date {day}
"""


def _welcome(scene: Scene, airflow: AirflowStack, facts: Mapping[str, Any]) -> str:
    profile = load_profile(scene.profiles / f"{scene.profile}.toml")
    parts = [_about_batches(scene)] if profile.sends_batches else []
    parts += [_about_bills(scene, facts)] if profile.has_recurring else []
    return f"""
Airflow      {airflow.url}   login {airflow.user} / {airflow.password}
Simulator    SFTP on 127.0.0.1:{facts["port"]}; its folders lie in {scene.remote.files}
Databases    {scene.root / "billing.sqlite"}
             {scene.root / "ledger.sqlite"}
{"".join(parts)}
`make down` stops Airflow and the simulator and leaves the files; `rm -r {scene.root}` begins anew.
"""
