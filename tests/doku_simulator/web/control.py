"""The simulator's own questions, beside DOKU's: `/_simulator/...`, JSON, not signed."""

import json
from typing import TYPE_CHECKING, Any

from tests.doku_simulator.web.answers import Answer, Question, Refused, error

if TYPE_CHECKING:
    from tests.doku_simulator.web.web import Web


class Control:
    """What tests and people tell the HTTP side while it runs in another process."""

    def __init__(self, web: "Web") -> None:
        self._web = web

    def handle(self, question: Question) -> Answer:
        name = question.path.removeprefix("/_simulator/")
        try:
            body = json.loads(question.body) if question.body else {}
            return Answer.of(self._do(question.method, name, body))
        except (KeyError, TypeError, ValueError) as problem:
            return error(400, "INVALID_PARAMETER", f"{type(problem).__name__}: {problem}").answer
        except Refused as refused:
            return refused.answer

    def _do(self, method: str, name: str, body: dict[str, Any]) -> Any:
        web = self._web
        if (method, name) == ("POST", "advance"):
            web.advance_to(body["to"])
        elif (method, name) == ("POST", "tokens"):
            web.vault.put(body["customer_id"], body["tokens"])
            return {"tokens": [token["token"] for token in web.vault.active(body["customer_id"])]}
        elif (method, name) == ("POST", "kill-token"):
            web.vault.kill(body["token"])
        elif (method, name) == ("POST", "status"):
            web.statuses.put(body["id"], body["status"])
        elif (method, name) == ("POST", "notify-urls"):
            web.set_notify_urls(body)
        elif (method, name) != ("GET", "state"):
            raise error(404, "not_found", f"there is no {method} {name}")
        return {"now": web.clock.now(), "simulated": web.clock.simulated, "notify_urls": web.notify_urls}
