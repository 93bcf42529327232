"""A history of sixty days: the package's books, and the same books worked out a second time, tie to the rupiah."""

import ast
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.history import codes, compare, retries
from tests.history.books import Books
from tests.history.play import MAIN, History, history
from tests.history.world import chance
from tests.sweeps.sample import FULL

SEED = int(os.environ.get("HISTORY_SEED", "1"))
CUSTOMERS = int(os.environ.get("HISTORY_CUSTOMERS", "20000" if FULL else "300"))
READS_EVERY = 1 if FULL else 2
STORIES_OF_EACH_KIND = 5

_INDEPENDENT = ("world", "merchant", "doku", "forms", "codes", "books", "retries")


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Iterator[History]:
    made = history(tmp_path_factory.mktemp("history"), SEED, CUSTOMERS, reads_every=READS_EVERY)
    began = time.perf_counter()
    made.play()
    took = ", ".join(f"{name} {seconds:.1f}" for name, seconds in made.seconds.most_common())
    print(f"\n{CUSTOMERS} customers, seed {SEED}: {time.perf_counter() - began:.1f} s ({took})")  # noqa: T201
    yield made
    made.close()


@pytest.fixture(scope="module")
def books(played) -> dict[str, Books]:
    began = time.perf_counter()
    found = compare.booked_again(played)
    print(f"booked again in {time.perf_counter() - began:.1f} s")  # noqa: T201
    for name, one in found.items():
        _show(name, one)
    return found


def test_the_books_tie_to_the_rupiah(played, books):
    for name, house in played.houses.items():
        assert list(compare.differences(house, books[name])) == []


def test_every_further_attempt_was_allowed_and_none_is_lacking(played, books):
    assert list(retries.wrong(compare.sides(played, books))) == []


def test_of_each_charge_on_each_day_the_ledger_says_what_became_of_it(played, books):
    for house, side in zip(played.houses.values(), compare.sides(played, books), strict=True):
        assert list(compare.gaps(house, side)) == []


def test_explain_tells_the_stories_without_a_gap(played, books):
    for house, side in zip(played.houses.values(), compare.sides(played, books), strict=True):
        assert list(compare.untold(house, side, _some_of_each_kind(house, side))) == []


def test_the_history_has_everything(played, books):
    """A seed whose history lacks something would prove less."""
    mine = books[MAIN]
    assert {fate.status for fate in mine.fates.values()} >= {"paid", "declined", "unknown", "awaiting", "reversed"}
    answered = {line.code for said in mine.said.values() for line in said}
    assert {codes.meaning(code).class_ for code in answered} == set(codes.DECIDES)
    assert not FULL or answered >= set(codes.table())
    assert mine.withdrawn
    assert len(mine.refused) >= 2
    kinds = {one.kind for one in mine.breaks()}
    assert kinds >= {"conflict", "amount_differs", "unexpected", "other_profile", "missing_line", "unlisted_code"}
    rules = {row["rule"] for row in played.houses[MAIN].harness.sql("SELECT DISTINCT rule FROM attempt")}
    assert rules >= {"first", "planned", "after_change", "new_instrument", "merchant_asked", "after_withdrawal"}
    assert played.said["DeliveryUnknown"]
    assert played.said["RemoteError"]


@pytest.mark.parametrize("module", _INDEPENDENT)
def test_the_second_books_share_no_code_with_the_package(module):
    tree = ast.parse((Path(__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    allowed = ("tests.doku_simulator", *(f"tests.history.{one}" for one in _INDEPENDENT), "tests.history")
    ours = [name for name in imported if name.split(".")[0] in ("include", "plugins", "dags", "tests")]
    assert [name for name in ours if not name.startswith(allowed)] == []


def _some_of_each_kind(house, side) -> list[str]:
    """A few charges of each way that attempts were made and ended, and of each break."""
    query = """
        SELECT a.charge_id, a.rule, coalesce(max(o.strength), 0) AS strength, coalesce(min(k.kind), '') AS kind
        FROM attempt a LEFT JOIN outcome o ON o.invoice_number = a.invoice_number
        LEFT JOIN recon_break k ON k.invoice_number = a.invoice_number
        WHERE a.profile = :profile GROUP BY a.charge_id, a.rule, a.invoice_number ORDER BY a.invoice_number
    """
    chosen: dict[tuple[str, int, str], list[str]] = {}
    rows = house.harness.sql(query, profile=house.world.name)
    chance(SEED, "stories").shuffle(rows)
    for row in rows:
        kind = chosen.setdefault((row["rule"], row["strength"], row["kind"]), [])
        if len(kind) < STORIES_OF_EACH_KIND:
            kind.append(row["charge_id"])
    never = [charge_id for charge_id in side.world.charges if charge_id not in side.attempts][:STORIES_OF_EACH_KIND]
    return sorted({charge_id for kind in chosen.values() for charge_id in kind} | set(never))


def _show(name: str, books: Books) -> None:
    terms: Counter[str] = Counter()
    rupiah: Counter[str] = Counter()
    for sums in books.of_batches().values():
        for (term, detail), (count, amount) in sums.items():
            terms[detail if detail == "reversed" else term] += count
            rupiah[detail if detail == "reversed" else term] += amount
    figures = ", ".join(f"{term} {terms[term]:,} of {rupiah[term]:,}" for term in sorted(terms))
    breaks = Counter(f"{one.kind}{' (resolved)' if one.resolved else ''}" for one in books.breaks().elements())
    print(f"{name}: sent {len(books.sent):,}: {figures}; never left {len(books.withdrawn):,}")  # noqa: T201
    print(f"  reports {len(books.reports)} read, {len(books.refused)} refused; breaks {dict(sorted(breaks.items()))}")  # noqa: T201
