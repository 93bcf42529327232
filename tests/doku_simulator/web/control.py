"""The simulator's own questions, beside DOKU's: `/_simulator/...`, JSON, not signed."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tests.doku_simulator.web.answers import Answer, Question, Refused, error

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doku_simulator.web.web import Web


class Control:
    """What tests and people tell the HTTP side while it runs in another process."""

    def __init__(self, web: "Web") -> None:
        self._web = web
        self._orders: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("GET", "state"): lambda body: None,
            ("GET", "bills"): lambda body: {"bills": [asdict(bill) for bill in web.bills.all()]},
            ("POST", "advance"): lambda body: {"happened": web.advance_to(body["to"])},
            ("POST", "tokens"): self._put_tokens,
            ("POST", "kill-token"): lambda body: web.vault.kill(body["token"]),
            ("POST", "status"): lambda body: web.statuses.put(body["id"], body["status"]),
            ("POST", "notify-urls"): lambda body: web.set_notify_urls(body),
            ("POST", "complete"): self._complete,
            ("POST", "cancel"): lambda body: asdict(web.bills.cancel(body["billing_number"])),
            ("POST", "resend"): lambda body: web.notices.resend(int(body["id"])),
        }

    def handle(self, question: Question) -> Answer:
        """Do it, and answer with how things stand."""
        name = question.path.removeprefix("/_simulator/")
        order = self._orders.get((question.method, name))
        if order is None:
            return error(404, "not_found", f"there is no {question.method} {name}").answer
        try:
            answer = order(json.loads(question.body) if question.body else {})
        except (KeyError, TypeError, ValueError) as problem:
            return error(400, "INVALID_PARAMETER", f"{type(problem).__name__}: {problem}").answer
        except Refused as refused:
            return refused.answer
        return Answer.of({**self._state(), **(answer or {})})

    def _state(self) -> dict[str, Any]:
        web = self._web
        return {"now": web.clock.now(), "simulated": web.clock.simulated, "notify_urls": web.notify_urls}

    def _put_tokens(self, body: dict[str, Any]) -> dict[str, Any]:
        self._web.vault.put(body["customer_id"], body["tokens"])
        return {"tokens": [token["token"] for token in self._web.vault.active(body["customer_id"])]}

    def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"done": self._web.bills.complete(body["billing_number"], succeed=body.get("succeed", True))}
