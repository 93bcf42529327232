"""Airflow executes each Python file below the plugins folder under its bare name; here, only the one that registers."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]

_SCRIPT = """
import json, sys
import plugins.errors  # as a DAG file would, from the project
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
from airflow.configuration import conf
folder = conf.get("core", "plugins_folder")
own = [name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(folder)]
print(json.dumps(sorted(own)))
"""


def _loaded(folder: Path, home: Path) -> list[str]:
    import json

    environment = {
        **os.environ, "AIRFLOW__CORE__PLUGINS_FOLDER": str(folder), "PYTHONPATH": str(PROJECT),
        "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__FERNET_KEY": "",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], env=environment, cwd=home, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


def test_only_the_registering_file_is_executed(tmp_path):
    """A copy of the folder, so that what was imported as `plugins.*` from the project does not count."""
    folder = tmp_path / "deployed"
    shutil.copytree(PROJECT / "plugins", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "doku_plugin.py").write_text("REGISTERED = True\n", encoding="utf-8")
    (folder / "json.py").write_text("raise SystemExit('a file of ours took the place of json')\n", encoding="utf-8")
    (folder / "operators" / "select.py").write_text("raise SystemExit('executed')\n", encoding="utf-8")
    names = _loaded(folder, tmp_path)
    assert [name.rsplit(".", 1)[-1] for name in names] == ["doku_plugin"]
