"""A month of two merchants with bills: the package's books, and those worked out a second time, tie to the rupiah."""

import ast
import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from include.domain.connection import ConnectionSettings
from include.flows.verify import findings
from include.ledger import schema
from include.ledger.store import ledger_engine
from include.schemas.profile import PROFILES_DIR_VARIABLE
from tests.flows_harness import MORNING
from tests.history_recurring import compare
from tests.history_recurring.books import Books
from tests.history_recurring.play import PROFILES, Month, month
from tests.history_recurring.world import DONATION, INTERNET
from tests.integration.conftest import postgres  # noqa: F401 - a fixture
from tests.services.postgres import PostgresServer
from tests.sweeps import ground
from tests.sweeps.sample import FULL

ONE_WAY: Final = {DONATION: "json", INTERNET: "onecheckout"}
THE_OTHER: Final = {DONATION: "onecheckout", INTERNET: "json"}
_INDEPENDENT: Final = ("world", "truth", "books")


class Play(NamedTuple):
    """What is played.

    Attributes:
        bills: Of each of the two merchants.
        share: Of all occasions for a fault, that on which there is one.
        runs: How often the DAG may run on a day.
    """

    seed: int
    database: str
    dialects: dict[str, str]
    bills: int
    share: float
    runs: tuple[int, ...] = (1, 2, 2, 3)


LARGE: Final = 1_000
"""With so many bills even what is rare happens."""

SAMPLE: Final = Play(int(os.environ.get("MONTH_SEED", "2")), "sqlite", ONE_WAY, 20, 0.06, (1, 1, 1, 2))
PLAYS: Final = (
    Play(11, "sqlite", ONE_WAY, 2_500, 0.02),
    Play(12, "postgresql", THE_OTHER, 2_500, 0.02),
    *(Play(21 + number, "sqlite", (ONE_WAY, THE_OTHER)[number % 2], 120, 0.06) for number in range(4)),
    Play(31, "postgresql", ONE_WAY, 120, 0.06),
)  # fmt: skip
_numbers = itertools.count(1)


@pytest.fixture
def play(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Play], Month]]:
    """Plays a month."""
    made: list[Month] = []

    def played(one: Play) -> Month:
        server = request.getfixturevalue("postgres") if one.database == "postgresql" else None
        root = tmp_path / "month"
        root.mkdir()
        monkeypatch.setenv(PROFILES_DIR_VARIABLE, str(root / PROFILES))
        ledger = ground.new_ledger(root) if server is None else _ledger(server)
        made.append(
            month(
                root,
                one.seed,
                one.bills,
                one.dialects,
                ledger,
                _databases(server, root),
                share=one.share,
                runs=one.runs,
            )
        )
        made[0].play()
        return made[0]

    yield played
    for one in made:
        one.close()


@pytest.mark.parametrize(
    "one",
    PLAYS if FULL else (SAMPLE,),
    ids=lambda one: f"{one.seed}-{one.database}-{one.dialects[DONATION]}-{one.bills}",
)
def test_a_month_ties_to_the_rupiah(play, one):
    """Register, charges, outcomes, breaks, the merchant's tables, the questions to DOKU and the books of each day."""
    began = time.perf_counter()
    played = play(one)
    print(f"\n{one}: {time.perf_counter() - began:.1f} s; of the processor: {_seconds(played)}")  # noqa: T201
    assert played.door.wrong == []
    books = {name: compare.booked_again(house) for name, house in played.houses.items()}
    for name, house in played.houses.items():
        _show(name, books[name])
        assert list(compare.differences(house, books[name])) == []
        assert list(books[name].against_the_money()) == []
        assert list(books[name].overlooked()) == []
        assert list(findings(house.context)) == []
    _has_everything(played, books, large=one.bills >= LARGE)


@pytest.mark.parametrize("module", _INDEPENDENT)
def test_the_second_books_share_no_code_with_the_package(module):
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    mine = [f"tests.history_recurring.{one}" for one in _INDEPENDENT]
    allowed = ("tests.doku_simulator", "tests.history.codes", "tests.history.world", *mine)
    ours = [name for name in imported if name.split(".")[0] in ("include", "plugins", "dags", "tests")]
    assert [name for name in ours if not name.startswith(allowed)] == []


def _has_everything(played: Month, books: dict[str, Books], *, large: bool) -> None:
    """A seed whose month lacks something would prove less."""
    both = list(books.values())
    states = {bill.state for one in both for bill in one.bills.values()}
    assert states >= {"active", "cancelled", "ended", "refused"}
    statuses = {attempt.status for one in both for attempt in one.attempts.values()}
    assert statuses >= {"paid", "declined"}
    faults = Counter[str]()
    for house in played.houses.values():
        simulator = house.doku.simulator
        faults.update(record["fault"] for record in simulator.web.notifications)
        faults.update(record["name"] for record in simulator.faults_fired)
    assert {name for name in faults if name.startswith("notification_")} >= {
        "notification_lost", "notification_repeated", "notification_reordered", "notification_delayed",
        "notification_forged", "notification_truncated", "notification_unknown_kind", "notification_answer_unseen",
    }  # fmt: skip
    assert faults["token_dead"]
    assert any(one.found_by_asking for one in both)
    kinds = {break_.kind for one in both for break_ in one.breaks()}
    assert kinds >= {"missing_charge"}
    if large:
        assert any(one.came for one in both)
        assert kinds >= {
            "unexpected_charge", "amount_differs", "amount_changed", "collected_twice", "partial_approval",
            "unlisted_code",
        }  # fmt: skip
        assert played.door.refused["stray"]
        assert played.door.refused["old"]
        assert played.door.refused["repeated"]


def _ledger(server: PostgresServer) -> ConnectionSettings:
    settings = _database(server, "doku_ledger")
    engine = ledger_engine(settings)
    schema.upgrade(engine, "sandbox", MORNING)
    engine.dispose()
    return settings


def _databases(server: PostgresServer | None, root: Path) -> Callable[[str], ConnectionSettings]:
    def new(name: str) -> ConnectionSettings:
        if server is not None:
            return _database(server, name)
        file = root / f"{name}.db"
        file.touch()
        return ConnectionSettings(name, "sqlite", host=str(file))

    return new


def _database(server: PostgresServer, conn_id: str) -> ConnectionSettings:
    name = server.create_database(f"{conn_id}_{os.getpid()}_{next(_numbers)}")
    described = server.airflow_connection(name)
    fields = {key: described[key] for key in ("conn_type", "host", "port", "login", "password", "schema")}
    return ConnectionSettings(conn_id, **fields)  # type: ignore[arg-type]


def _seconds(played: Month) -> str:
    return ", ".join(f"{name} {seconds:.1f}" for name, seconds in played.seconds.most_common())


def _show(name: str, books: Books) -> None:
    statuses = Counter(one.status for one in books.attempts.values())
    breaks = Counter(one.kind for one in books.breaks())
    asked = sum(map(len, books.asked.values()))
    print(f"{name}: {len(books.bills):,} bills, {len(books.charges):,} charges, {dict(statuses)}")  # noqa: T201
    print(  # noqa: T201
        f"  lost {len(books.truth.lost)}, asked {asked}, found by asking {len(books.found_by_asking)}, "
        f"breaks {dict(sorted(breaks.items()))}, collected {books.collected():,}"
    )
