"""DOKU's HTTP side as one object."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from tests.doku_simulator.bank import Bank
from tests.doku_simulator.behaviour import Director
from tests.doku_simulator.envelope import EnvelopeForm
from tests.doku_simulator.intake import Intake
from tests.doku_simulator.journal import Journal
from tests.doku_simulator.keys import KeyRing
from tests.doku_simulator.layout import load_layout
from tests.doku_simulator.web.agenda import Agenda
from tests.doku_simulator.web.answers import Answer, Question, invalid
from tests.doku_simulator.web.api import Api
from tests.doku_simulator.web.bill_files import BillFiles
from tests.doku_simulator.web.bills import Bill, Bills
from tests.doku_simulator.web.charges import ChargeBook, Charges
from tests.doku_simulator.web.clock import Clock, seconds_of
from tests.doku_simulator.web.control import Control
from tests.doku_simulator.web.dialects import Form, Json
from tests.doku_simulator.web.form_api import CHECKOUT, PATHS, FormApi
from tests.doku_simulator.web.notices import Notices
from tests.doku_simulator.web.server import Listener
from tests.doku_simulator.web.settings import KINDS, Fields, HttpConfig, zulu
from tests.doku_simulator.web.statuses import BatchLines, Statuses
from tests.doku_simulator.web.store import Store
from tests.doku_simulator.web.tokens import Vault


class Web:
    """The API, the notifications and the bills of one merchant account.

    Args:
        root: The simulator's folder.
        issuer: The bank of the moment.
        knows_file: Whether a batch file of that name was ever delivered.
    """

    def __init__(
        self,
        config: HttpConfig,
        root: Path,
        keys: KeyRing,
        director: Director,
        *,
        seed: int,
        sync: bool,
        clock: Callable[[], float],
        issuer: Callable[[], Bank],
        knows_file: Callable[[str], bool],
    ) -> None:
        self.config, self._director, self._knows_file = config, director, knows_file
        self.secret = config.secret or keys.secret("http_secret")
        self.shared_key = config.shared_key or keys.secret("http_shared_key")
        self.other_secret = keys.secret("other_http_secret")
        self._fields = Fields(config.fields)
        self._store = Store(root / "state" / "http.sqlite", sync=sync)
        self.clock = Clock(self._store, clock, config.start_at)
        self._requests = Journal(root / "requests.jsonl", sync=sync)
        self.vault = Vault(self._store, config, seed, self.clock.now)
        self.agenda = Agenda(self._store, self.clock)
        self._notifications = Journal(root / "notifications.jsonl", sync=sync)
        plain = Json(config, self._fields, self.secret, self.other_secret)
        self.notices = Notices(
            config,
            self._store,
            self.agenda,
            director,
            self._notifications,
            plain if config.dialect == "json" else Form(config, self.shared_key, self.other_secret),
            plain,
            lambda: self.notify_urls,
            self.clock.now,
            self._skewed,
            seed,
        )
        self._history = Journal(root / "bills.jsonl", sync=sync)
        self._truth = Journal(root / "recurring.jsonl", sync=sync)
        self.bills = Bills(
            config, self._store, self.agenda, self._history, self.notices, self.vault, seed, self.clock.now
        )
        self._book = ChargeBook(self._truth, config.status_ids)
        self._charges = Charges(
            config,
            self.agenda,
            self.bills,
            self._book,
            self.notices,
            self.vault,
            director,
            issuer,
            seed,
            self.clock.now,
        )
        self.statuses = Statuses(
            self._store,
            config,
            BatchLines(root / "processed.jsonl"),
            self._book.find,
            self.bills.registration_of,
            self.clock.now,
        )
        self._api = Api(
            config,
            self.secret,
            self.other_secret,
            self._store,
            director,
            self._requests,
            self._skewed,
            {
                "/batch-upload/v1/notify": self._notify,
                "/tokenization/v2/get-token": self._get_token,
                config.paths["register"]: self._register,
                config.paths["update"]: self._update,
                config.paths["cancel"]: self._cancel,
                config.paths["card_update"]: self._update_card,
            },
            self.statuses.find,
        )
        self._forms = FormApi(config, self.shared_key, self.bills, self.statuses.find, self._link)
        self._control = Control(self)
        self._listener: Listener | None = None
        self._url = config.public_url or "http://doku.example"

    def bill_files(
        self,
        intake: Intake,
        key: RSAPrivateKey,
        form: EnvelopeForm,
        archive: Path | None,
        reject: Callable[[str, str], None],
    ) -> BillFiles | None:
        """Who takes files that register bills; None: there is no layout for them."""
        if self.config.register_layout is None:
            return None
        return BillFiles(
            intake,
            load_layout(self.config.register_layout),
            key if self.config.register_sealed else None,
            form,
            self.bills,
            self._store,
            self._history,
            archive,
            reject,
            self.clock.now,
        )

    # --- life --------------------

    def start(self, host: str) -> None:
        if self.config.listen:
            self._listener = Listener(self.config.host or host, self.config.port, self.handle, self._skewed)
            self._url = self.config.public_url or f"http://{self.config.host or host}:{self.port}"

    def stop(self) -> None:
        if self._listener:
            self._listener.stop()
        self.agenda.end()
        self._store.close()
        self._requests.close()
        for journal in (self._notifications, self._history, self._truth):
            journal.close()

    @property
    def port(self) -> int:
        return self._listener.port if self._listener else 0

    def _skewed(self) -> float:
        return self.clock.now() + self._director.behaviour.skew

    # --- questions --------------------

    def handle(self, question: Question) -> Answer:
        """Answer one HTTP request, whoever carries it."""
        if question.path.startswith("/_simulator/"):
            return self._control.handle(question)
        if question.path.startswith(CHECKOUT):
            return self._forms.checkout(question)
        if question.path in PATHS:
            return self._forms.handle(question)
        return self._api.handle(question)

    def _notify(self, body: dict[str, Any], _: Question) -> Any:
        name = body.get("file_name")
        if not isinstance(name, str) or not name:
            raise invalid("file_name is mandatory")
        if not self._knows_file(name):
            raise invalid(f"file {name} is not found")
        return {"batch_file": {"name": name, "status": "RECEIVED"}}

    def _get_token(self, body: dict[str, Any], _: Question) -> Any:
        customer_id = self._fields.read("tokens_question", body).get("customer_id")
        if not isinstance(customer_id, str) or not 0 < len(customer_id) <= 50:
            raise invalid("customer.id is mandatory, at most 50 characters")
        if fault := self._director.take("token_dead", customer_id):
            tokens = self.vault.active(customer_id)
            if tokens:
                self.vault.kill(tokens[fault.rng(customer_id).randrange(len(tokens))]["token"])
        tokens = [
            self._fields.write("token", {**token, "status": "ACTIVE"}) for token in self.vault.active(customer_id)
        ]
        return self._fields.write("tokens_answer", {"customer_id": customer_id, "tokens": tokens})

    def _register(self, body: dict[str, Any], question: Question) -> Any:
        facts = self._fields.read("registration_question", body)
        bill, code = self.bills.register(facts, question.headers["Request-Id"])
        return self._page("registration_answer", bill, code)

    def _update_card(self, body: dict[str, Any], _: Question) -> Any:
        facts = self._fields.read("bill_question", body)
        bill, code = self.bills.update_card(facts.get("billing_number", ""), facts.get("customer_id"))
        return self._page("registration_answer", bill, code)

    def _page(self, section: str, bill: Bill, code: str) -> dict[str, Any]:
        expires = zulu(self.clock.now() + self.config.link_seconds)
        facts = {"billing_number": bill.billing_number, "status": bill.status.upper(), "url": self._link(code)}
        return self._fields.write(section, {**facts, "expires": expires})

    def _link(self, code: str) -> str:
        return f"{self._url}{CHECKOUT}{code}"

    def _update(self, body: dict[str, Any], _: Question) -> Any:
        return self._known(self.bills.update(self._fields.read("bill_question", body)))

    def _cancel(self, body: dict[str, Any], _: Question) -> Any:
        facts = self._fields.read("bill_question", body)
        return self._known(self.bills.cancel(facts.get("billing_number", ""), facts.get("customer_id")))

    def _known(self, bill: Bill) -> dict[str, Any]:
        facts = {"billing_number": bill.billing_number, "status": bill.status.upper()}
        return self._fields.write("bill_answer", facts)

    # --- for tests and people --------------------

    @property
    def notify_urls(self) -> dict[str, str]:
        """The merchant's address per kind."""
        return {**self.config.notify_urls, **self._store.get("notify_urls", {})}

    def set_notify_urls(self, urls: Mapping[str, str]) -> None:
        """Send notifications of these kinds there from now on; kept over a restart. An empty address: nowhere."""
        if unknown := sorted(set(urls) - set(KINDS)):
            raise ValueError(f"there is no kind of notification {unknown[0]!r}")
        self._store.put("notify_urls", {**self._store.get("notify_urls", {}), **urls})

    @property
    def requests(self) -> list[dict[str, Any]]:
        """What was asked of the API: the records of `requests.jsonl`."""
        return list(self._requests.records())

    @property
    def recurring(self) -> list[dict[str, Any]]:
        """Scheduled charges, and the money that moved by them: the records of `recurring.jsonl`."""
        return self._book.records()

    @property
    def history(self) -> list[dict[str, Any]]:
        """What happened to bills: the records of `bills.jsonl`."""
        return list(self._history.records())

    @property
    def notifications(self) -> list[dict[str, Any]]:
        """Each try of each notification: the records of `notifications.jsonl`."""
        return list(self._notifications.records())

    def advance_to(self, moment: float | datetime | date | str) -> int:
        """Let the simulated clock go on to a moment, with all that happens until then; a day means its end.

        From the first call on the clock stands still between calls. It never goes back. Returns how much happened.
        """
        return self.agenda.run(seconds_of(moment))

    def tick(self) -> int:
        """Let happen what is due by now; how much did."""
        return self.agenda.run(None)

    def report_ready(self, name: str) -> None:
        """A report lies in the outbound folder: tell the merchant."""
        with self._store.change():
            moment = zulu(self._skewed())
            facts = {"service": "BATCH_UPLOAD", "name": name, "status": "DONE", "date": moment}
            self.notices.send("report_ready", name, facts)

    def describe(self) -> dict[str, Any]:
        """What a merchant is told at onboarding."""
        config = self.config
        return {
            "url": self._url,
            "client_id": config.client_id,
            "secret_key": self.secret,
            "dialect": config.dialect,
            "mall_id": config.mall_id,
            "shared_key": self.shared_key,
            "chain_merchant": config.chain_merchant,
            "words": config.words,
            "other_secret": self.other_secret,
        }
