"""Read-only pages about a profile, live from the ledger: books by day, breaks, quarantine, summaries, explain, bills.

Plain functions from a context to HTML. Who may see them is asked before, by whoever serves them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from include.domain.days_in_words import moment
from include.domain.masking import without_card_numbers
from include.domain.states import UNRESOLVED, BillState, BreakState
from include.flows.books import books_of_day
from include.flows.context import FlowContext
from include.flows.explain import explain, when
from include.flows.notices import failed_and_waiting
from include.flows.recurring.bill_story import bill_story
from include.flows.recurring.books import books_of_charges
from include.flows.recurring.overview import ROWS as BILL_ROWS
from include.flows.recurring.overview import bills_listed, look
from include.flows.templating import render
from include.ledger.bill_books import APART as CHARGES_APART
from include.ledger.bill_books import TERMS as CHARGE_TERMS
from include.ledger.books import submit_runs
from include.ledger.claims import batches_of_run
from include.ledger.inbox import piles, refused_since, same_request
from include.ledger.listings import PAGE_ROWS, breaks_listed, quarantine_listed
from include.ledger.summaries import Summary, days, find_summary, newest_summaries, stored_terms, summaries
from include.schemas.due_charges import describe
from include.schemas.profile import Profile

DAYS_LISTED: Final = 31
SUMMARIES_LISTED: Final = 50
_BOOK_DAYS: Final = 35
_REFUSED_FOR: Final = timedelta(days=7)


@dataclass(frozen=True)
class Named:
    """A profile in the list of profiles."""

    name: str
    title: str
    environment: str
    batches: bool = True
    bills: bool = False

    @classmethod
    def of(cls, profile: Profile) -> "Named":
        """A profile, with which pages it has."""
        return cls(profile.name, profile.title, profile.environment, profile.sends_batches, profile.has_recurring)


def index_page(root: str, profiles: Sequence[Named]) -> str:
    """The profiles that a person may look at.

    Args:
        root: What every link begins with.
        profiles: Those, and no others.
    """
    return render("index.html.j2", root=root, profiles=profiles)


def problem_page(root: str, title: str, sentence: str) -> str:
    """What is wrong, in a sentence that may be shown."""
    return render("problem.html.j2", root=root, title=title, sentence=sentence)


def days_page(context: FlowContext, root: str, before: date | None = None) -> str:
    """Business dates, newest first, each with what its run read and sent and what its last summary says of the rest."""
    last = before - timedelta(days=1) if before else date.max
    with context.ledger.read() as connection:
        listed = days(connection, context.profile.name, last, DAYS_LISTED + 1)
        shown = listed[:DAYS_LISTED]
        terms = stored_terms(connection, context.profile.name, shown)
        newest = newest_summaries(connection, context.profile.name, shown)
    rows = [{"day": one, "terms": terms.get(one, {}), "summary": newest.get(one)} for one in shown]
    older = shown[-1] if len(listed) > len(shown) else None
    return _page(context, root, "days.html.j2", "books", rows=rows, older=older)


def day_page(context: FlowContext, root: str, business_date: date) -> str:
    """The books of one day, as the ledger has them now."""
    with context.ledger.read() as connection:
        runs = submit_runs(connection, context.profile.name, business_date)
        sent = [run_id for run_id in runs if batches_of_run(connection, run_id)]
        kept = summaries(connection, context.profile.name, of=[business_date], limit=SUMMARIES_LISTED)
    documents = [books_of_day(context, business_date, run_id) for run_id in sent or runs[-1:]]
    for document in documents:
        document["reports"] = [report["file_name"] for report in document["reports"]]
    return _page(
        context, root, "day.html.j2", "books", business_date=business_date, documents=documents,
        summaries=[_shown(context, one) for one in kept],
    )  # fmt: skip


def breaks_page(context: FlowContext, root: str, *, resolved: bool = False, before: int | None = None) -> str:
    """Breaks, newest first: those that somebody has to look at, or those that are resolved."""
    states = (BreakState.RESOLVED,) if resolved else UNRESOLVED
    with context.ledger.read() as connection:
        listed = breaks_listed(connection, context.profile.name, states, before, PAGE_ROWS + 1)
    rows = [
        {
            **row,
            "details": without_card_numbers(row["details"]),
            "opened": _local(context, row["opened_at"]),
            "said": [without_card_numbers(text) for text in (row["explanation"], row["closed_reason"]) if text],
        }
        for row in listed[:PAGE_ROWS]
    ]
    older = rows[-1]["break_id"] if len(listed) > PAGE_ROWS else None
    return _page(context, root, "breaks.html.j2", "breaks", rows=rows, older=older, resolved=resolved)


def quarantine_page(context: FlowContext, root: str, after: str | None = None) -> str:
    """Quarantined charges by id, with what is wrong and what to do about it."""
    with context.ledger.read() as connection:
        listed = quarantine_listed(connection, context.profile.name, after, PAGE_ROWS + 1)
    rows = listed[:PAGE_ROWS]
    sentences = {f"{field}:{code}": said for row in rows for field, code, said in describe(row["reasons"]) if said}
    further = rows[-1]["charge_id"] if len(listed) > PAGE_ROWS else None
    return _page(context, root, "quarantine.html.j2", "quarantine", rows=rows, sentences=sentences, further=further)


def inbox_page(context: FlowContext, root: str) -> str:
    """DOKU's notifications: how many of each kind, those that failed or wait, and what was refused; no content."""
    now = context.clock()
    with context.ledger.read() as connection:
        heaps = piles(connection, context.profile.name)
        listed = failed_and_waiting(connection, context.profile.name)
        refused = refused_since(connection, context.profile.name, (now - _REFUSED_FOR).date())
        shared = same_request(connection, context.profile.name, now - _REFUSED_FOR, 20)
    rows = [
        {**row, "received": _local(context, row["received_at"]), "result": without_card_numbers(row["result"] or "")}
        for row in listed
    ]
    newest = {(one.kind, one.state): _local(context, one.newest) for one in heaps}
    return _page(
        context, root, "inbox.html.j2", "inbox", heaps=heaps, newest=newest, rows=rows, refused=refused, shared=shared,
        enabled=context.profile.notifications.enabled,
    )  # fmt: skip


def bills_page(context: FlowContext, root: str, *, asked: str = "", state: str = "", after: str = "") -> str:
    """All bills at once, with those in a state; or, asked for a billing number, the story of that bill."""
    story = bill_story(context, asked) if asked.strip() else None
    known = BillState(state) if state in list(BillState) else None
    values: dict[str, Any] = {"asked": asked, "story": story, "state": str(known or "")}
    if not asked.strip():
        listed = bills_listed(context, known, after)
        values |= {
            "seen": look(context),
            "rows": listed[:BILL_ROWS],
            "further": listed[BILL_ROWS - 1].number if len(listed) > BILL_ROWS else None,
            "books": books_of_charges(context, context.today - timedelta(days=_BOOK_DAYS - 1), context.today),
            "book_days": _BOOK_DAYS,
            "balance": (*CHARGE_TERMS, *CHARGES_APART),
        }
    return _page(context, root, "bills.html.j2", "bills", **values)


def summaries_page(context: FlowContext, root: str, before: int | None = None) -> str:
    """The summaries that were kept, newest first."""
    with context.ledger.read() as connection:
        listed = summaries(connection, context.profile.name, before=before, limit=SUMMARIES_LISTED + 1)
    rows = [_shown(context, one) for one in listed[:SUMMARIES_LISTED]]
    older = rows[-1]["summary_id"] if len(listed) > SUMMARIES_LISTED else None
    return _page(context, root, "summaries.html.j2", "summaries", rows=rows, older=older)


def kept_file(context: FlowContext, summary_id: int, *, sheet: bool = False) -> tuple[Summary, bytes] | None:
    """A kept summary's page, or its CSV file, proved by its digest. None when there is none of that id.

    Raises:
        ArtefactError: It is gone, or was altered.
    """
    with context.ledger.read() as connection:
        found = find_summary(connection, context.profile.name, summary_id)
    if found is None:
        return None
    place, digest = (found.sheet, found.sheet_digest) if sheet else (found.page, found.page_digest)
    return found, b"".join(context.artefacts.read_proved(place, digest))


def explain_page(context: FlowContext, root: str, asked: str) -> str:
    """The story of a charge; without one, the question for it."""
    story = explain(context, asked) if asked.strip() else None
    steps = [(when(step), step) for step in story.steps] if story else []
    return _page(context, root, "explain.html.j2", "explain", asked=asked, story=story, steps=steps)


def _page(context: FlowContext, root: str, template: str, here: str, **values: Any) -> str:
    profile = context.profile
    return render(template, root=root, profile=Named.of(profile), here=here, timezone=profile.timezone, **values)


def _shown(context: FlowContext, one: Summary) -> dict[str, Any]:
    return {"summary_id": one.summary_id, "day": one.business_date, "made": _local(context, one.made_at),
            "day_figures": one.day_figures}  # fmt: skip


def _local(context: FlowContext, at: Any) -> str:
    return moment(at.astimezone(context.profile.zone))
