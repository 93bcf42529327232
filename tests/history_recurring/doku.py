"""DOKU's part of the month: the simulator's HTTP side without a socket, faults by the seed, and customers who act."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import httpx

from tests.doku_simulator.behaviour import Behaviour, Chaos, Fault
from tests.doku_simulator.config import SimulatorConfig
from tests.doku_simulator.simulator import Simulator
from tests.doku_simulator.web.answers import Question, Refused
from tests.doku_simulator.web.settings import KINDS, HttpConfig
from tests.history.world import chance
from tests.history_recurring.world import FIRST_DAY, World

ADDRESS: Final = "http://merchant.example"

MIX: Final = {
    "0000": 78.0, "0051": 8.0, "0005": 3.0, "0054": 1.5, "0061": 1.0, "0091": 1.5, "0041": 1.0, "0057": 0.7,
    "5535": 0.3, "5536": 2.0, "5526": 1.0, "0068": 1.0, "0010": 0.5, "00ZZ": 0.5,
}  # fmt: skip
"""Codes by weight: declines of each kind, what DOKU does not know, an approved part, and one that nobody has listed."""

CHAOS: Final = (
    "notification_lost", "notification_repeated", "notification_reordered", "notification_delayed",
    "notification_forged", "notification_truncated", "notification_unknown_kind", "notification_extra_fields",
    "notification_answer_unseen", "charge_missed", "charge_late", "charge_twice", "charge_other_amount",
    "amount_asked_twice", "amount_answer_unseen", "token_dead",
)  # fmt: skip

AFTER_ITS_END: Final = Fault("charge_after_cancel", times=0, match="*7/*")
"""Cancelled bills whose number ends so are charged all the same."""

Post = Callable[[str, Mapping[str, str], bytes, float], tuple[int, bytes]]


@dataclass
class Doku:
    """One merchant's account at DOKU."""

    world: World
    simulator: Simulator

    @classmethod
    def open(cls, world: World, root: Path, keys: Path, dialect: str, post: Post) -> "Doku":
        """Start the month.

        Args:
            keys: A folder of key pairs: making some takes longer than the month.
            post: Takes the notifications.
        """
        shutil.copytree(keys, root / "keys")
        rng = chance(world.seed, world.name, "DOKU")
        paths = {kind: f"{ADDRESS}/doku/notifications/{world.name}/{kind}" for kind in KINDS if kind != "report_ready"}
        http = HttpConfig(
            listen=False, post=post, client_id=f"MCH-{world.name}", mall_id=str(rng.randrange(10**6, 10**7)),
            dialect=dialect, notify_urls=paths, words=rng.choice(("sha1", "sha256", "hmac-sha1", "hmac-sha256")),
            retry_request_id=rng.choice(("same", "new")), code_width=2, charge_retry_days=(1, 3), tokens="none",
            start_at=datetime(FIRST_DAY.year, FIRST_DAY.month, FIRST_DAY.day), registrations_succeed=0.93,  # noqa: DTZ001
            tell_first_payment=True,
        )  # fmt: skip
        config = SimulatorConfig(
            root=root, sftp=False, auto=False, sync=False, seed=rng.randrange(10**6), http=http, mix=MIX, endings={}
        )
        simulator = Simulator(config)
        simulator.start()
        return cls(world, simulator)

    @property
    def now(self) -> datetime:
        """Its clock."""
        return datetime.fromtimestamp(self.simulator.web.clock.now(), UTC)

    def advance(self, moment: datetime) -> None:
        """Let everything happen up to a moment."""
        self.simulator.web.advance_to(moment)

    def wake(self, day: date) -> None:
        """Order the faults of a day."""
        weather = self.world.weather(day)
        params: dict[str, dict[str, Any]] = {
            "notification_truncated": {"signed": "cut" if weather.cut_signed else "whole"},
            "notification_delayed": {"seconds": weather.delay},
            "charge_late": {"days": weather.late},
            "notification_repeated": {"request_id": "new" if weather.new_id else "same", "count": 2},
        }
        seed = chance(self.world.seed, self.world.name, "chaos", day).randrange(10**9)
        chaos = Chaos(seed, weather.share, CHAOS, limit=10**9, params=params) if weather.share else None
        self.simulator.behave(Behaviour(chaos=chaos, faults=(AFTER_ITS_END,)))

    def call(self, request: httpx.Request) -> httpx.Response:
        """The API, in place of a network."""
        headers = {name.title(): value for name, value in request.headers.items()}
        question = Question(request.method, request.url.raw_path.decode(), headers, request.content)
        answer = self.simulator.web.handle(question)
        if answer.cut:
            raise httpx.ReadError("the connection was cut", request=request)
        return httpx.Response(
            answer.status, content=answer.body, headers={**answer.headers, "Content-Type": answer.content_type}
        )

    # --- people --------------------

    def post_form(self, link: str, form: str) -> None:
        """A customer's browser posts the form of the older interface; DOKU refuses a bill that it charges already."""
        body = urlencode(json.loads(form)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = self.simulator.web.handle(Question("POST", urlsplit(link).path, headers, body))
        assert answer.status == 302 or b"registered already" in answer.body, answer.body

    def change_card(self, number: str) -> None:
        """A customer goes to give another card; it may not be possible."""
        try:
            self.simulator.web.bills.update_card(number, None)
        except Refused:
            return

    def cancel(self, number: str) -> None:
        """Somebody ends a bill in DOKU's dashboard."""
        self.simulator.web.bills.cancel(number)

    def update(self, number: str, amount: int) -> None:
        """Somebody gives a bill another amount in DOKU's dashboard."""
        self.simulator.web.bills.update({"billing_number": number, "amount": amount})

    def send_again(self, numbers: set[str]) -> int:
        """Somebody asks for the notifications of registrations again that were lost; how many."""
        lost = [
            one for one in self.simulator.web.notifications
            if one["state"] == "lost" and one["kind"] == "registration" and one["subject"] in numbers
        ]  # fmt: skip
        for one in lost:
            self.simulator.web.notices.resend(one["id"])
        return len(lost)

    def close(self) -> None:
        """End it; the journals stay."""
        self.simulator.stop()

    def describe(self) -> dict[str, Any]:
        """What the merchant is told at onboarding."""
        return self.simulator.web.describe()
