"""Brakes: what stops a run before delivery. A pure rule: the ledger gives the figures, the profile the limits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median


@dataclass(frozen=True)
class Figures:
    """What a run would send, and what its profile usually sends. Amounts in smallest units, of one currency.

    Attributes:
        count, total: Of what would be sent.
        largest: The largest single amount.
        listed, quarantined: Rows of the view, and how many of them were quarantined.
        most_per_customer: Most charges of one customer.
        history: (count, total) of earlier runs that sent something, newest first.
        key_ends: Last day on which some public key of DOKU is valid.
        today: The merchant's calendar day.
        setup_declines: Charges that wait because the merchant's own set-up was declined.
    """

    count: int
    total: int
    largest: int
    listed: int
    quarantined: int
    most_per_customer: int
    history: Sequence[tuple[int, int]]
    key_ends: date
    today: date
    setup_declines: int = 0


@dataclass(frozen=True)
class BrakeLimits:
    """The profile's limits, amounts in smallest units; None switches one off."""

    max_count: int | None
    max_total: int | None
    max_single: int | None
    max_quarantined_share: float | None
    max_per_customer: int | None
    unusual_factor: float | None
    history_least: int
    key_expires_within_days: int | None
    max_setup_declines: int | None = None


@dataclass(frozen=True)
class Brake:
    """One reason to stop: its kind, and the figure beside the limit, in words."""

    kind: str
    words: str


def judge(figures: Figures, limits: BrakeLimits) -> list[Brake]:
    """Every brake that the figures pull; none for a run that sends nothing."""
    if not figures.count:
        return []
    return [*_fixed(figures, limits), *_unusual(figures, limits), *_key(figures, limits), *_setup(figures, limits)]


def _fixed(figures: Figures, limits: BrakeLimits) -> Iterator[Brake]:
    compared = (
        ("too_many", figures.count, limits.max_count, "charges"),
        ("too_much", figures.total, limits.max_total, "in all"),
        ("single_amount", figures.largest, limits.max_single, "for one charge"),
        ("same_customer", figures.most_per_customer, limits.max_per_customer, "charges of one customer"),
    )
    for kind, figure, limit, what in compared:
        if limit is not None and figure > limit:
            yield Brake(kind, f"{figure:,} {what}, more than {limit:,}")
    share = figures.quarantined / figures.listed if figures.listed else 0.0
    if limits.max_quarantined_share is not None and share > limits.max_quarantined_share:
        words = f"{figures.quarantined:,} of {figures.listed:,} rows are quarantined ({share:.1%})"
        yield Brake("quarantined_share", f"{words}, more than {limits.max_quarantined_share:.1%}")


def _unusual(figures: Figures, limits: BrakeLimits) -> Iterator[Brake]:
    if limits.unusual_factor is None or len(figures.history) < limits.history_least:
        return
    for kind, figure, place in (("unusual_count", figures.count, 0), ("unusual_total", figures.total, 1)):
        usual = median(run[place] for run in figures.history)
        if not usual / limits.unusual_factor <= figure <= usual * limits.unusual_factor:
            words = f"{figure:,}, where {usual:,.0f} is the median of the last {len(figures.history)} runs"
            yield Brake(kind, f"{words} (allowed: {limits.unusual_factor:g} times more or less)")


def _key(figures: Figures, limits: BrakeLimits) -> Iterator[Brake]:
    if limits.key_expires_within_days is None:
        return
    days = (figures.key_ends - figures.today).days
    if days <= limits.key_expires_within_days:
        yield Brake("key_expiring", f"the last public key of DOKU ends on {figures.key_ends}, in {days} days")


def _setup(figures: Figures, limits: BrakeLimits) -> Iterator[Brake]:
    most = limits.max_setup_declines
    if most is not None and figures.setup_declines > most:
        words = f"{figures.setup_declines:,} charges were declined because the merchant's set-up at DOKU is wrong"
        yield Brake("merchant_setup", f"{words}, more than {most:,}; once it is right: setup-mended")
