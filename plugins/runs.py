"""Which run of ours an Airflow run is, and for which business date."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from include.domain.calendar import local_date
from include.domain.errors import ConfigError
from include.domain.money import to_smallest_unit
from include.domain.states import RunKind

if TYPE_CHECKING:
    from include.flows.context import FlowContext
    from include.ledger.runs import Run


def ledger_run(flow: "FlowContext", kind: RunKind, context: Any) -> "Run":
    """The ledger's record of this Airflow run: opened by its first task, found again by every other.

    Its business date is fixed then, so that a task that is cleared days later still works for the same day. A backfill
    that reprocesses a run gives it another configuration: asked for something else, it is another run of the ledger.
    """
    from include.ledger.runs import RunRequest, open_run

    dag_run, params = context["dag_run"], context["params"]
    business_date = business_date_of(dag_run, params, flow.profile.zone)
    dry_run = bool(params.get("dry_run", False))
    total, after = _send_past(params, business_date, flow.profile.limits.currencies[0])
    request = RunRequest(
        kind=kind,
        profile=flow.profile.name,
        external_id=_external_id(dag_run.run_id, dry_run=dry_run, total=total, after=after),
        business_date=business_date,
        today=flow.today,
        dry_run=dry_run,
        started_by=getattr(dag_run, "triggering_user_name", None),  # None: the schedule, or an asset
        send_past_total=total,
        send_past_after=after,
    )
    return open_run(flow.ledger, request, flow.clock())


def business_date_of(dag_run: Any, params: Any, zone: Any) -> date:
    """The local day that a run works for.

    By hand: the parameter `business_date`, else the local day on which it was triggered. On schedule and in a backfill:
    the local day of the scheduled time. (Airflow's `ds` is the UTC day and is not used.)

    Raises:
        ConfigError: The parameter is not a date.
    """
    asked = params.get("business_date")
    if asked and _by_hand(dag_run):
        try:
            return date.fromisoformat(str(asked))
        except ValueError:
            raise ConfigError(
                "parameter business_date", "", f"{asked!r} is not a date; write it as 2026-11-22"
            ) from None
    moment: datetime = dag_run.logical_date or dag_run.run_after
    return local_date(moment, zone)


def _by_hand(dag_run: Any) -> bool:
    return str(dag_run.run_type).rsplit(".", 1)[-1].lower() == "manual"


def _external_id(run_id: str, *, dry_run: bool, total: int | None, after: date | None) -> str:
    terms = ["dry_run"] if dry_run else []
    terms += [f"send_past={total}"] if total is not None else []
    terms += [f"after={after}"] if after is not None else []
    return " ".join([run_id, *terms])


def _send_past(params: Any, business_date: date, currency: str) -> tuple[int | None, date | None]:
    """What may go out for a past date, from the parameter `send_past`, a map of date to total in major units.

    Returns:
        The total named for this date in smallest units, if it is named; and the latest earlier date that is named:
        charges due by then are that date's, and not counted here.

    Raises:
        ConfigError: A key is not a date, or the total not an amount.
    """
    named = {_date_of(day): total for day, total in (params.get("send_past") or {}).items()}
    if business_date not in named:
        return None, None
    asked = named[business_date]
    try:
        total = to_smallest_unit(str(asked), currency)
    except ValueError as caught:
        raise ConfigError("parameter send_past", business_date.isoformat(), f"{asked!r}: {caught}") from None
    return total, max((day for day in named if day < business_date), default=None)


def _date_of(day: str) -> date:
    try:
        return date.fromisoformat(day)
    except ValueError:
        raise ConfigError("parameter send_past", "", f"{day!r} is not a date; write it as 2026-11-22") from None
