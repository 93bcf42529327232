"""One run of the register: what the view wants, what DOKU is asked for, what the merchant is told."""

from collections.abc import Callable
from dataclasses import dataclass, field

from include.domain.errors import DokuError
from include.flows.context import FlowContext
from include.flows.recurring.bill_status import tell_bill_status
from include.flows.recurring.bulk import make_files, waiting_for_a_file
from include.flows.recurring.bulk_delivery import deliver_files
from include.flows.recurring.cancel import cancel_at_doku
from include.flows.recurring.changes import push_changes
from include.flows.recurring.register import Asked, Wanted, ask_for_links, end_bills, read_wanted
from include.ledger.runs import Run


@dataclass
class Registered:
    """What a run came to, in words for the log and in counts."""

    wanted: Wanted | None = None
    ended: int = 0
    calls: dict[str, Asked] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    told: int = 0

    def lines(self) -> list[str]:
        """A line for each part."""
        wanted = self.wanted or Wanted(0, 0, 0)
        told = [f"view: {wanted.listed} rows, {wanted.changed} new or changed, {wanted.rejected} cannot be used"]
        told += [f"ended: {self.ended}"] if self.ended else []
        for what, asked in self.calls.items():
            told.append(f"{what}: {asked.asked} done, {asked.refused} refused, {asked.left} left")
        told += [f"delivered: {name}" for name in self.files]
        return [*told, f"told the merchant of {self.told} bills"]


def register(context: FlowContext, run: Run) -> Registered:
    """Take over what the view wants, ask DOKU for it, and tell the merchant; in a dry run DOKU is asked for nothing.

    The parts do not wait for each other: what fails is raised at the end, when all the others were done.

    Raises:
        DokuError: Of the first part that failed.
    """
    done, problems = Registered(), list[DokuError]()

    def read() -> None:
        done.wanted = read_wanted(context)
        done.ended = end_bills(context)

    def send_files() -> None:
        if run.dry_run:
            done.calls["bulk"] = Asked(left=len(waiting_for_a_file(context, 1_000_000)))
            return
        make_files(context, run)
        done.files = deliver_files(context)

    def tell() -> None:
        counts = tell_bill_status(context)
        done.told = counts.inserted + counts.changed

    _each(
        problems,
        read,
        lambda: done.calls.update(ends=cancel_at_doku(context, dry_run=run.dry_run)),
        lambda: done.calls.update(changes=push_changes(context, dry_run=run.dry_run)),
        lambda: done.calls.update(links=ask_for_links(context, dry_run=run.dry_run)),
        send_files,
        tell,
    )
    if problems:
        raise problems[0]
    return done


def _each(problems: list[DokuError], *parts: Callable[[], None]) -> None:
    for part in parts:
        try:
            part()
        except DokuError as caught:
            problems.append(caught)
