"""A merchant ready to work: billing database, ledger, profile, keys, and the environment that ties them together.

The same for the demo, for `make up` and for tests of whole runs; only the servers and the settings differ.
"""

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from tests.stack.airflow import PROJECT
from tests.stack.databases import Database
from tests.stack.remote import Remote
from tests.stack.toml import changed, dumps

SHIPPED_PROFILES = PROJECT / "include" / "config" / "profiles"

# What makes one business day fit into minutes. `submit` would run at once for its last past schedule when its DAG is
# unpaused; 29 February keeps that run away from the one that is started by hand.
QUICK: Mapping[str, Any] = {
    "schedule": {
        "submit": "0 6 29 2 *", "report_wait_minutes": 2, "report_poll_seconds": 1, "report_stable_seconds": 1,
    },
}  # fmt: skip


class CommandFailed(Exception):
    """A command of the package ended with an error; the message has what it said."""


@dataclass(frozen=True)
class Scene:
    """One merchant.

    Attributes:
        root: An absolute folder for everything that is made; several scenes may share it, and so one Airflow.
        merchant: Name of a shipped profile, and of its merchant in `tests.merchants`.
        business_date: The day that is worked for.
        billing: The merchant's billing database.
        ledger: Our own database.
        remote: DOKU's end.
        changes: Laid over the shipped profile: `{"limits": {"max_rows_per_batch": 500}}`; None removes a key.
        name: The profile's name here, when it is not the shipped one's; its connections are then called after it.
    """

    root: Path
    merchant: str
    business_date: date
    billing: Database
    ledger: Database
    remote: Remote
    changes: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def profile(self) -> str:
        """The profile's name, which is part of the DAG ids."""
        return self.name or self.merchant

    @property
    def profiles(self) -> Path:
        """The folder of profiles, with layouts and keys beside them."""
        return self.root / "profiles"

    @property
    def artefacts(self) -> Path:
        """Where batch files and reports are kept on the merchant's side."""
        return self.root / "artefacts"

    def write_profile(self) -> Path:
        """Write the changed profile with its keys beside it; the file."""
        keys = self.profiles / "keys" / self.profile
        keys.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.remote.doku_public_key, keys / "doku_public.pem")
        shutil.copyfile(self.remote.merchant_private_key, keys / "merchant_private.pem")
        (keys / "merchant_private.pem").chmod(0o600)
        profile = tomllib.loads((SHIPPED_PROFILES / f"{self.merchant}.toml").read_text(encoding="utf-8"))
        for changes in (self._keys(profile), self._folders(profile), self._identity(profile), self.changes):
            profile = changed(profile, changes)
        file = self.profiles / f"{self.profile}.toml"
        file.write_text(dumps(profile), encoding="utf-8")
        return file

    def environment(self) -> dict[str, str]:
        """The environment of this deployment: connections, profiles, artefacts."""
        profile = tomllib.loads((self.profiles / f"{self.profile}.toml").read_text(encoding="utf-8"))
        names = {"ledger": "doku_ledger", **profile["connections"]}
        values = {"billing": self.billing.connection, "ledger": self.ledger.connection, "sftp": self.remote.sftp}
        if self.remote.doku is not None and "doku" in names:
            values["doku"] = self.remote.doku
        return {
            "DOKU_PROFILES_DIR": str(self.profiles),
            "DOKU_ARTEFACTS": self.artefacts.as_uri(),
            **{f"AIRFLOW_CONN_{names[role].upper()}": json.dumps(dict(value)) for role, value in values.items()},
        }

    def command(self, *arguments: str) -> str:
        """Run `python -m include.cli ...` in this environment; what it printed.

        Raises:
            CommandFailed: It ended with an error; has its words.
        """
        result = subprocess.run(
            [sys.executable, "-m", "include.cli", *arguments],
            env={**os.environ, **self.environment()}, cwd=PROJECT, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        if result.returncode != 0:
            said = (result.stderr or result.stdout).strip()
            raise CommandFailed(f"include.cli {' '.join(arguments)} ended with {result.returncode}:\n{said}")
        return result.stdout

    def upgrade_ledger(self) -> None:
        """Create the ledger's tables, or bring them up to date."""
        self.command("ledger", "upgrade", "--environment", "sandbox")

    def _keys(self, shipped: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of the profile that name keys, valid around the business date."""
        year = timedelta(days=365)
        public = {
            "file": f"keys/{self.profile}/doku_public.pem",
            "valid_from": self.business_date - year,
            "valid_until": self.business_date + year,
        }
        keys: dict[str, Any] = {"connections": {"report_key": None}}
        if "batch" in shipped:
            keys["batch"] = {"public_keys": [public]}
            keys["report"] = {"private_key_file": f"keys/{self.profile}/merchant_private.pem"}
        elif "bulk" in shipped.get("recurring", {}):
            keys["recurring"] = {"bulk": {"public_keys": [public]}}
        return keys

    def _folders(self, shipped: Mapping[str, Any]) -> dict[str, Any]:
        """The remote folders as this server shows them."""
        if not self.remote.prefix:
            return {}
        found: dict[str, Any] = {}
        if "batch" in shipped:
            outbound = shipped.get("report", {}).get("folder", "/outbound")
            found = {"batch": self._prefixed(shipped["batch"]), "report": {"folder": self.remote.prefix + outbound}}
        if "bulk" in shipped.get("recurring", {}):
            found["recurring"] = {"bulk": self._prefixed(shipped["recurring"]["bulk"])}
        return found

    def _prefixed(self, section: Mapping[str, Any]) -> dict[str, str]:
        """The folders that a section sends files to."""
        folders = {name: section[name] for name in ("archive_folder", "temporary_folder") if name in section}
        folders["folder"] = section.get("folder", "/inbound")
        return {name: self.remote.prefix + folder for name, folder in folders.items()}

    def _identity(self, shipped: Mapping[str, Any]) -> dict[str, Any]:
        """A name, a billing source and connections of its own, unless it is the shipped profile itself."""
        if self.profile == self.merchant:
            return {}
        roles = [role for role in {"ledger": "", **shipped["connections"]} if role != "report_key"]
        return {
            "name": self.profile,
            "billing_source": self.profile,
            "connections": {role: f"{self.profile}_{role}" for role in roles},
        }
