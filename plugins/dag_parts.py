"""What our DAGs have in common: which profiles there are, defaults, names, the hint that wakes reconciliation.

Imported while DAG files are parsed: reads profile files only, no connection and no variable, and loads no frames.
"""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from airflow.sdk import Asset, AssetWatcher

from include.domain.errors import ConfigError
from include.domain.states import NotificationKind
from include.schemas.profile import PROFILES_DIR_VARIABLE, Profile, load_profile, profile_files, profiles_dir

TAG: Final = "doku"

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "billing",
    "depends_on_past": False,
    # Only errors that may pass by themselves are retried (plugins.errors); every task is safe to run again.
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=10),
    "execution_timeout": timedelta(hours=2),
}


def profiles() -> Iterator[Profile]:
    """The profiles of this deployment that can be used; `broken_profiles` has the others."""
    for path in _files():
        with suppress(ConfigError):
            yield load_profile(path)


def broken_profiles() -> Iterator[tuple[str, str]]:
    """(name for a DAG id, what is wrong) of each profile that cannot be used."""
    for path in _files():
        try:
            load_profile(path)
        except ConfigError as caught:
            yield _part_of_a_dag_id(path.stem), caught.message
    if not profiles_dir().is_dir():
        yield "no_folder", f"{profiles_dir()}: no such folder; set {PROFILES_DIR_VARIABLE} to the folder of profiles"


def delivered(profile: Profile) -> Asset:
    """A batch of this profile was delivered. A hint: whoever is woken by it reads the ledger."""
    return Asset(name=f"doku_delivered__{profile.name}", uri=f"doku://{profile.name}/delivered")


def notified(profile: Profile) -> Asset:
    """DOKU has told something of bills. A hint: whoever is woken by it reads the inbox."""
    told = (NotificationKind.PAYMENT, NotificationKind.REGISTRATION, NotificationKind.CARD_UPDATE)
    return _watched(profile, "notified", told)


def report_told(profile: Profile) -> Asset:
    """DOKU has told that a report is there. A hint: whoever is woken by it looks into DOKU's folder."""
    return _watched(profile, "report_told", (NotificationKind.REPORT_READY,))


def _watched(profile: Profile, what: str, kinds: Sequence[NotificationKind]) -> Asset:
    """An asset that the triggerer updates for what is in the inbox, if the profile takes notifications at all."""
    name = f"doku_{what}__{profile.name}"
    watchers = []
    if profile.notifications.enabled:
        from plugins.triggers.inbox import InboxTrigger

        seconds = profile.notifications.look_seconds
        looks = InboxTrigger(profile=profile.name, kinds=[str(kind) for kind in kinds], seconds=seconds)
        watchers.append(AssetWatcher(name=name, trigger=looks))
    return Asset(name=name, uri=f"doku://{profile.name}/{what}", watchers=watchers)


def tags(profile: Profile) -> list[str]:
    """Tags of a profile's DAGs."""
    return [TAG, profile.name, profile.environment]


def _part_of_a_dag_id(stem: str) -> str:
    """The name itself where Airflow allows it; else made so that two files never share a DAG."""
    allowed = re.sub(r"[^A-Za-z0-9_.-]", "_", stem)[:200]
    return allowed if allowed == stem else f"{allowed}.{hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]}"


def _files() -> list[Path]:
    return profile_files() if profiles_dir().is_dir() else []
