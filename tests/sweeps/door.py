"""The merchant's notification paths in a day that is played: what DOKU sends is verified and stored, or answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from include.domain.connection import ConnectionSettings
from include.domain.refusals import SENTENCE, STATUS, Refused
from include.domain.states import NotificationKind
from include.flows.notification_check import Received
from include.flows.open_ledgers import OpenLedgers
from include.flows.take_notification import answer, take
from include.schemas.profile import load_profile
from tests.doku_simulator.simulator import Simulator
from tests.stack.scene import Scene

KINDS: Final = ("payment", "registration", "card_update", "amount")


def addresses(profile: str) -> dict[str, str]:
    """Where DOKU sends what."""
    return {kind: f"http://merchant.example/doku/notifications/{profile}/{kind}" for kind in KINDS}


@dataclass
class Door:
    """Takes notifications for one scene, in place of a network; they go on coming while a run is dead."""

    _scene: Scene | None = None
    _doku: Simulator | None = None
    _ledgers: OpenLedgers = field(init=False)

    def __post_init__(self) -> None:
        self._ledgers = OpenLedgers(self._look_up)

    def open(self, scene: Scene, doku: Simulator) -> None:
        """From now on that scene's."""
        self._scene, self._doku = scene, doku

    def close(self) -> None:
        """Let go of the ledger."""
        self._ledgers.close()

    def post(self, url: str, headers: Mapping[str, str], body: bytes, _: float) -> tuple[int, bytes]:
        """Status and body of the answer to one notification."""
        assert self._scene is not None
        profile, path = load_profile(self._scene.profiles / f"{self._scene.profile}.toml"), urlsplit(url).path
        kind = NotificationKind(path.rsplit("/", 1)[-1])
        lower = {name.lower(): value for name, value in headers.items()}
        received = Received(kind, path, lower, body, self._now())
        try:
            if kind is NotificationKind.AMOUNT:
                return 200, answer(profile, "json", received, self._ledgers, self._now)
            return 200, take(profile, "json", received, self._ledgers)
        except Refused as refused:
            return STATUS[refused.reason], SENTENCE[refused.reason].encode()

    def _now(self) -> datetime:
        """DOKU's clock, which is the merchant's here."""
        assert self._doku is not None
        return datetime.fromtimestamp(self._doku.web.clock.now(), UTC)

    def _look_up(self, conn_id: str) -> ConnectionSettings:
        assert self._scene is not None
        value = self._scene.environment()[f"AIRFLOW_CONN_{conn_id.upper()}"]
        return ConnectionSettings.from_env_value(conn_id, value)
