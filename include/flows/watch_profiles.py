"""The watchdog over profiles: one that is broken, or whose ledger is silent, is told of and stops no other."""

import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from include.domain.alert_text import Notice
from include.domain.connection import ConnectionSettings
from include.domain.errors import ConfigError, DokuError, LedgerError
from include.domain.watch import Level, Matter, Watcher
from include.domain.watch_words import ledger_silent, profile_broken
from include.flows import assemble
from include.flows.artefacts import Artefacts, StoragePath
from include.flows.channels import send_notice
from include.flows.watch import channels_by_level, ladders_of, watch
from include.flows.watch_marks import Teller, tell_it_is_over, tell_without_ledger
from include.ledger.alerts import Shown
from include.schemas.profile import Profile, Watch, load_profile, profile_files, profiles_dir

LookUp = Callable[[str], ConnectionSettings]

SendTo = Callable[[str, Notice, Sequence[str]], None]
"""Sends a notice through the connection of an id; mail goes to the addresses. DokuError when it was not taken."""


@dataclass(frozen=True)
class Sight:
    """What a look at one profile came to.

    Attributes:
        alerts: What is wrong now.
        told: How many notices were sent.
        problems: What kept the watchdog from looking or telling, in words.
    """

    profile: str
    alerts: tuple[Shown, ...] = ()
    told: int = 0
    problems: tuple[str, ...] = ()


def names_of_profiles() -> list[str]:
    """The profiles of the deployment, broken ones included. ConfigError when there is none."""
    names = [path.stem for path in profile_files()]
    if not names:
        raise ConfigError(str(profiles_dir()), "", "holds no profile, so nothing is watched; put one there")
    return names


def sender(look_up: LookUp) -> SendTo:
    """Sends without Airflow."""

    def send(channel: str, notice: Notice, mail_to: Sequence[str]) -> None:
        send_notice(look_up(channel), notice, mail_to)

    return send


def watch_profile(
    name: str, look_up: LookUp, store: StoragePath, watcher: Watcher, send_to: SendTo, now: datetime
) -> Sight:
    """Look at one profile, whatever its state.

    Args:
        look_up: Gives the connection of an id.
        store: The artefact store.
        now: The present moment, for what is told without a ledger.
    """
    path = profiles_dir() / f"{name}.toml"
    artefacts = Artefacts(store)
    try:
        profile = load_profile(path)
    except ConfigError as caught:
        return _told_apart(_teller(path, None, send_to), artefacts, profile_broken(caught.message, now), now)
    teller = _teller(path, profile, send_to)
    try:
        with assemble.flow_context(profile, look_up, store) as context:
            looked = watch(context, watcher, teller.send)
    except LedgerError as caught:
        return _told_apart(teller, artefacts, ledger_silent(caught.message, now), now)
    except DokuError as caught:
        return _told_apart(teller, artefacts, profile_broken(caught.message, now), now)
    told, problems = tell_it_is_over(artefacts, teller, now)
    return Sight(name, looked.alerts, looked.told + told, (*looked.problems, *problems))


def _told_apart(teller: Teller, artefacts: Artefacts, matter: Matter, now: datetime) -> Sight:
    """A matter that no ledger can keep."""
    over, problems = tell_it_is_over(artefacts, teller, now, but=matter.kind)
    told, more = tell_without_ledger(artefacts, teller, matter, now)
    shown = Shown(
        kind=matter.kind,
        subject=matter.subject,
        level=int(Level.LATE),
        late_since=matter.late_since,
        words=matter.words,
        action=matter.action,
        runbook=matter.runbook,
    )
    return Sight(teller.profile, (shown,), over + told, (*problems, *more))


def _teller(path: Path, profile: Profile | None, send_to: SendTo) -> Teller:
    settings = profile.watch if profile else _settings_of_broken(path)

    return Teller(
        profile=path.stem,
        zone=profile.timezone if profile else str(Profile.model_fields["timezone"].default),
        by_level=channels_by_level(settings),
        ladders=ladders_of(settings),
        runbooks=settings.runbooks,
        send=partial(_send, send_to, settings.mail_to),
    )


def _send(send_to: SendTo, mail_to: Sequence[str], channel: str, notice: Notice) -> None:
    send_to(channel, notice, mail_to)


def _settings_of_broken(path: Path) -> Watch:
    """Who to tell of a profile that cannot be used: its own `[watch]` if that can be read, else another profile's."""
    with suppress(OSError, ValueError):  # pydantic's and tomllib's errors are ValueErrors
        own = Watch.model_validate(tomllib.loads(path.read_text(encoding="utf-8")).get("watch", {}))
        if own.notify:
            return own
    for other in profile_files():
        with suppress(ConfigError):
            found = load_profile(other).watch
            if found.notify:
                return found
    return Watch()
