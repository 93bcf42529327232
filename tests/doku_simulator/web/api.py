"""DOKU's JSON API: signature, idempotency, routes, signed answers, and its faults."""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from tests.doku_simulator.behaviour import Director, Fault
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.web import signature
from tests.doku_simulator.web.answers import Answer, Question, Refused, error, invalid, messages, spring
from tests.doku_simulator.web.settings import HttpConfig, zulu
from tests.doku_simulator.web.store import Store

LONGEST_REQUEST_ID: Final = 128
STATUS_PATH: Final = "/orders/v1/status/"

Route = Callable[[dict[str, Any], Question], Any]


class Api:
    """Answers signed questions.

    Args:
        routes: By path, for POST: body and question to the JSON value of the answer.
        status: Answers the status question.
        now: The server's clock, wrong as told.
    """

    def __init__(
        self,
        config: HttpConfig,
        secret: str,
        other_secret: str,
        store: Store,
        director: Director,
        journal: Journal,
        now: Callable[[], float],
        routes: dict[str, Route],
        status: Callable[[str], dict[str, Any] | None],
    ) -> None:
        self._config, self._secret, self._other_secret = config, secret, other_secret
        self._store, self._director, self._journal, self._now = store, director, journal, now
        self._routes, self._status = routes, status
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def handle(self, question: Question) -> Answer:
        """Answer; never raises for what the other side sends."""
        fault = self._fault(question)
        if fault and fault.name == "api_slow":
            time.sleep(float(fault.param("seconds")))
        before = fault is not None and not fault.params.get("carried_out", False)
        replay = False
        if fault and fault.name == "api_error" and before:
            answer = self._broken(question)
        elif fault and fault.name == "api_cut" and before:
            answer = Answer(0, cut=True)
        elif fault and fault.name == "api_refused":
            answer = self._sign(_refusal(fault), question, None)
        else:
            answer, replay = self._answer(question, fault)
            if fault and fault.name == "api_cut":
                answer = Answer(answer.status, cut=True)
            elif fault and fault.name == "api_error":
                answer = self._broken(question)
        self._note(question, answer, replay, fault)
        return answer

    def _fault(self, question: Question) -> Fault | None:
        for name in ("api_slow", "api_error", "api_cut", "api_refused", "api_wrong_signature", "api_unsigned"):
            if fault := self._director.take(name, question.path):
                return fault
        return None

    def _broken(self, question: Question) -> Answer:
        return spring(500, "Internal Server Error", question.path, self._moment()).answer

    def _answer(self, question: Question, fault: Fault | None) -> tuple[Answer, bool]:
        """The answer, and whether it is the one that this request id got before."""
        try:
            route = self._route(question)
            self._check(question)
        except Refused as refused:
            return refused.answer, False  # whoever asks may not be the merchant: not signed
        if question.method == "GET":
            return self._sign(self._get(question), question, fault), False
        answer, replay = self._once(question, route)
        return self._sign(answer, question, fault), replay

    def _route(self, question: Question) -> Route | None:
        if question.method == "GET" and question.path.startswith(STATUS_PATH):
            return None
        if question.path not in self._routes:
            raise spring(404, "Not Found", question.path, self._moment())
        if question.method != "POST":
            raise spring(405, "Method Not Allowed", question.path, self._moment())
        return self._routes[question.path]

    def _check(self, question: Question) -> None:
        headers = question.headers
        for name in signature.REQUEST_HEADERS:
            if not headers.get(name):
                raise invalid(f"{name} is mandatory")
        if len(headers["Request-Id"]) > LONGEST_REQUEST_ID:
            raise invalid("Request-Id must not be longer than 128 characters")
        asked_at = _seconds(headers["Request-Timestamp"])
        window = self._config.timestamp_window
        if window is not None and abs(self._now() - asked_at) > window:
            raise invalid("Request-Timestamp is out of the allowed range")
        if headers["Client-Id"] != self._config.client_id:
            raise error(401, "invalid_client_id", "Client-Id is not registered", "AUTHENTICATION_ERROR")
        body = None if question.method == "GET" else question.body
        if not signature.fits(self._secret, headers, question.path, body):
            raise error(401, "invalid_signature", "Invalid Header Signature", "AUTHENTICATION_ERROR")

    def _get(self, question: Question) -> Answer:
        number = unquote(question.path[len(STATUS_PATH) :])
        found = self._status(number)
        if found is None:
            return error(404, "data_not_found", "Transaction not found", "DATA_ERROR").answer
        if fault := self._director.take("status_answer", number):
            found["transaction"]["status"] = fault.param("status")
            found.pop("card_payment", None)
        return Answer.of(found)

    def _once(self, question: Question, route: Route | None) -> tuple[Answer, bool]:
        """Carry out what this request id asks for, once; a repeat has the first answer's body, with 409."""
        assert route is not None
        request_id = question.headers["Request-Id"]
        asked = f"{question.path} {signature.digest(question.body)}"
        conflict = error(409, "idempotency_conflict", "Request-Id was used for another request", "IDEMPOTENCY_ERROR")
        with self._lock:
            rows = self._store.run("select question, body from answered where request_id = ?", request_id)
            if rows:
                return (Answer(409, bytes(rows[0][1])), True) if rows[0][0] == asked else (conflict.answer, False)
            if request_id in self._busy:
                return conflict.answer, False
            self._busy.add(request_id)
        try:
            with self._store.change():
                answer = self._carry_out(question, route)
                self._store.run(
                    "insert into answered (request_id, question, status, body) values (?, ?, ?, ?)",
                    request_id,
                    asked,
                    answer.status,
                    answer.body,
                )
        finally:
            with self._lock:
                self._busy.discard(request_id)
        return answer, False

    @staticmethod
    def _carry_out(question: Question, route: Route) -> Answer:
        try:
            try:
                body = json.loads(question.body)
            except ValueError:
                raise messages("request body is not valid JSON") from None
            if not isinstance(body, dict):
                raise messages("request body must be an object")
            return Answer.of(route(body, question))
        except Refused as refused:
            return refused.answer

    def _sign(self, answer: Answer, question: Question, fault: Fault | None) -> Answer:
        if fault and fault.name == "api_unsigned":
            return answer
        secret = self._other_secret if fault and fault.name == "api_wrong_signature" else self._secret
        client_id = question.headers.get("Client-Id", self._config.client_id)
        request_id = question.headers.get("Request-Id", "")
        moment = self._moment()
        value = signature.sign(secret, client_id, request_id, moment, question.path, answer.body, "Response-Timestamp")
        headers = {
            "Client-Id": client_id,
            "Request-Id": request_id,
            "Response-Timestamp": moment,
            "Signature": value,
        }
        return Answer(answer.status, answer.body, headers, answer.content_type)

    def _moment(self) -> str:
        return zulu(self._now())

    def _note(self, question: Question, answer: Answer, replay: bool, fault: Fault | None) -> None:
        self._journal.append(
            [
                {
                    "at": self._moment(),
                    "method": question.method,
                    "path": question.path,
                    "request_id": question.headers.get("Request-Id", ""),
                    "status": answer.status,
                    "replay": replay,
                    "cut": answer.cut,
                    "fault": fault.name if fault else "",
                }
            ]
        )


def _refusal(fault: Fault) -> Answer:
    status, words = int(fault.param("status")), str(fault.param("words"))
    shape = fault.param("shape")
    if shape == "error_messages":
        return Answer.of({"error_messages": [words]}, status)
    if shape == "message":
        return Answer.of({"message": [words]}, status)
    return error(status, str(fault.param("code")), words).answer


def _seconds(timestamp: str) -> float:
    try:
        if len(timestamp) != len("2026-01-02T03:04:05Z"):
            raise ValueError
        return datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        raise invalid("Request-Timestamp must be ISO 8601, UTC, as 2026-01-02T03:04:05Z") from None
