"""Notifications to the merchant: sent, tried again, and written down, with what can go wrong on the way."""

import json
import uuid
from collections.abc import Callable
from typing import Any

from tests.doku_simulator.behaviour import Director
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.web.agenda import Agenda, Settle
from tests.doku_simulator.web.dialects import FORGERIES, Form, Json, Oddities, forged_facts
from tests.doku_simulator.web.settings import HttpConfig, zulu
from tests.doku_simulator.web.store import Store
from tests.doku_simulator.web.wire import post

DAY = 86400.0


class Notices:
    """One notification after another, by the agenda.

    A notification is a row of `notice`; each try of it an event. A process killed in the middle of a try makes it
    again, as DOKU would.

    Args:
        urls: The merchant's address per kind.
        now: The clock; `stamp`: the same, wrong as told.
    """

    def __init__(
        self,
        config: HttpConfig,
        store: Store,
        agenda: Agenda,
        director: Director,
        journal: Journal,
        dialect: Json | Form,
        plain: Json,
        urls: Callable[[], dict[str, str]],
        now: Callable[[], float],
        stamp: Callable[[], float],
        seed: int,
    ) -> None:
        self._config, self._store, self._agenda, self._director = config, store, agenda, director
        self._journal, self._dialect, self._plain, self._urls = journal, dialect, plain, urls
        self._now, self._stamp, self._seed = now, stamp, seed
        self._post = config.post or post
        agenda.on("deliver", self._deliver)

    # --- planning --------------------

    def send(self, kind: str, subject: str, facts: dict[str, Any]) -> int:
        """Plan a notification for now, with the faults that were ordered; its number. Within a transaction."""
        take, named = self._director.take, f"{kind}:{subject}"
        at = self._now()
        number = self._add(kind, subject, facts)
        if take("notification_lost", named):
            self._finish(number, "lost", {"fault": "notification_lost"})
            return number
        if delayed := take("notification_delayed", named):
            at += float(delayed.param("seconds"))
        if reordered := take("notification_reordered", named):
            event = self._agenda.plan(at + float(reordered.param("seconds")), "deliver", notice=number, number=0)
            self._store.put("parked", [*self._store.get("parked", []), event])
        else:
            self._agenda.plan(at, "deliver", notice=number, number=0)
        if repeated := take("notification_repeated", named):
            for turn in range(int(repeated.param("count"))):
                again = at + float(repeated.param("seconds")) * (turn + 1)
                new_id = repeated.param("request_id") == "new"
                self._agenda.plan(again, "deliver", notice=number, number=0, repeat=turn + 1, new_id=new_id)
        if forged := take("notification_forged", named):
            how, rng = str(forged.param("how")), forged.rng(f"{named}|{number}")
            how = rng.choice(FORGERIES) if how == "seeded" else how
            other = self._add(kind, subject, forged_facts(kind, facts, rng), forged=how)
            self._agenda.plan(at, "deliver", notice=other, number=0)
        if take("notification_unknown_kind", named):
            other = self._add(kind, subject, facts, unknown_kind=True)
            self._agenda.plan(at, "deliver", notice=other, number=0)
        return number

    def resend(self, number: int) -> None:
        """Send a notification again, as a person can from DOKU's dashboard."""
        with self._store.change():
            self._agenda.plan(self._now(), "deliver", notice=number, number=0, repeat=1, new_id=True)

    def _add(self, kind: str, subject: str, facts: dict[str, Any], **odd: Any) -> int:
        notice = {"kind": kind, "subject": subject, "facts": facts, "state": "waiting", "first_at": None, "odd": odd}
        return self._store.insert("insert into notice (facts) values (?)", json.dumps(notice))

    # --- delivering --------------------

    def _deliver(self, at: float, event: dict[str, Any]) -> Settle:
        number, tries, repeat = event["notice"], event["number"], event.get("repeat", 0)
        notice = self._read(number)
        kind, named = notice["kind"], f"{notice['kind']}:{notice['subject']}"
        url = self._urls().get(kind, "")
        if not url:
            return lambda: self._finish(number, "no address", {})
        moment = self._now()
        first_at = notice["first_at"] if notice["first_at"] is not None else moment
        request_id = self._request_id(number, tries, repeat, new=event.get("new_id", False))
        odd, fault = self._oddities(notice["odd"], named, number)
        stamp = self._stamp() if self._config.retry_stamp == "new" else self._stamp() - moment + first_at
        dialect = self._plain if kind == "report_ready" else self._dialect
        message = dialect.message(kind, notice["facts"], url, request_id, stamp, odd)
        taken, status, words = False, 0, ""
        try:
            status, answer = self._post(url, message.headers, message.body, self._config.notify_timeout)
            taken, words = dialect.taken(status, answer), answer[:100].decode("utf-8", "replace")
        except OSError as error:
            words = f"{type(error).__name__}: {error}"[:100]
        if taken and self._director.take("notification_answer_unseen", named):
            taken, fault = False, fault or "notification_answer_unseen"
        record = {
            "number": tries + 1,
            "repeat": repeat,
            "request_id": request_id,
            "url": url,
            "status": status,
            "answer": words,
            "taken": taken,
            "fault": fault,
        }

        def settle() -> None:
            kept = {**self._read(number), "first_at": first_at}
            self._write(number, kept)
            self._release_parked()
            later = first_at + self._config.retry_seconds[tries] if tries < len(self._config.retry_seconds) else None
            if taken or repeat or notice["odd"]:
                self._finish(number, "taken" if taken else kept["state"], record)
            elif later is None:
                self._finish(number, "stopped", record)
            else:
                self._agenda.plan(later, "deliver", notice=number, number=tries + 1)
                self._finish(number, kept["state"], record)

        return settle

    def _oddities(self, odd: dict[str, Any], named: str, number: int) -> tuple[Oddities, str]:
        if odd.get("forged"):
            return Oddities(forged=odd["forged"]), "notification_forged"
        if odd.get("unknown_kind"):
            return Oddities(unknown_kind=True), "notification_unknown_kind"
        if cut := self._director.take("notification_truncated", named):
            at = cut.params.get("at") or cut.rng(f"{named}|{number}").randint(0, 40)
            return Oddities(cut_at=int(at), cut_signed=cut.param("signed") == "cut"), cut.name
        if extra := self._director.take("notification_extra_fields", named):
            return Oddities(extra=True), extra.name
        return Oddities(), ""

    def _request_id(self, number: int, tries: int, repeat: int, *, new: bool) -> str:
        if self._config.retry_request_id == "same":
            tries = 0
        name = f"{self._seed}|{number}|{tries}|{repeat if new else 0}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"doku-simulator:{name}"))

    def _release_parked(self) -> None:
        """What was held back goes out now, behind what has just gone out."""
        if parked := self._store.get("parked", []):
            self._store.put("parked", [])
            for event in parked:
                self._agenda.move(event, self._now())

    def _finish(self, number: int, state: str, record: dict[str, Any]) -> None:
        notice = self._read(number)
        self._write(number, {**notice, "state": state})
        facts = notice["facts"]
        self._journal.append(
            [
                {
                    "at": zulu(self._now()),
                    "id": number,
                    "kind": notice["kind"],
                    "subject": notice["subject"],
                    "reference": facts.get("reference", ""),
                    "number": 0,
                    "taken": False,
                    "state": state,
                    "fault": "",
                    **record,
                }
            ]
        )

    def states(self) -> dict[int, str]:
        """What became of each notification: waiting, taken, lost, stopped, no address."""
        rows = self._store.run("select id, facts from notice order by id")
        return {number: json.loads(facts)["state"] for number, facts in rows}

    def _read(self, number: int) -> dict[str, Any]:
        ((facts,),) = self._store.run("select facts from notice where id = ?", number)
        return dict(json.loads(facts))

    def _write(self, number: int, notice: dict[str, Any]) -> None:
        self._store.run("update notice set facts = ? where id = ?", json.dumps(notice), number)

    # --- asking --------------------

    def ask_amount(self, facts: dict[str, Any]) -> tuple[int | None, str]:
        """Ask what to charge: the amount, or None and why there is none."""
        url = self._urls().get("amount", "")
        if not url:
            return None, "no address"
        request_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._seed}|amount|{facts['billing_number']}|{self._now()}"))
        message = self._dialect.message("amount", facts, url, request_id, self._stamp(), Oddities())
        try:
            status, answer = self._post(url, message.headers, message.body, self._config.amount_timeout)
        except OSError as error:
            return None, f"{type(error).__name__}: {error}"[:100]
        if not 200 <= status < 300:
            return None, f"answered {status}"
        amount = self._dialect.amount(answer)
        return amount, "" if amount is not None else f"answered {answer[:40]!r}"
