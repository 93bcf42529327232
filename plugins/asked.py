"""What a person asks of `doku_operate__<profile>`: the form's fields, and who filled it in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from airflow.sdk import Param

from include.domain.errors import ConfigError
from include.domain.operations import OPERATIONS, Field

_OWN: Final = ("operation", "why", "dry_run")


@dataclass(frozen=True)
class Asked:
    """An operation as it was asked for.

    Attributes:
        about: What it needs to know, by name; what was left empty is not there.
        by: Airflow's name of the user; empty for nobody.
        request: Of this very run: cleared and run again, it is the same request.
    """

    operation: str
    about: Mapping[str, str | int]
    by: str
    why: str
    dry_run: bool
    request: str


def params() -> dict[str, Param]:
    """The form: which operation, why, whether it is a dry run; and a field for all that operations need to know."""
    listed = {name: f"{name}: {one.words}" for name, one in OPERATIONS.items()}
    fields = {field.name: field for one in OPERATIONS.values() for field in one.fields}
    return {
        "operation": Param(
            next(iter(OPERATIONS)), type="string", enum=list(OPERATIONS), values_display=listed, title="Operation"
        ),
        "why": Param("", type="string", title="Why", description="The reason in words; kept with your name"),
        "dry_run": Param(True, type="boolean", title="Dry run", description="Only show what it would do"),
        **{name: _param(field) for name, field in fields.items()},
    }


def asked_of(context: Any) -> Asked:
    """What this run was asked for. ConfigError: it names no operation."""
    given, dag_run = dict(context["params"]), context["dag_run"]
    operation = str(given.get("operation") or "")
    if operation not in OPERATIONS:
        raise ConfigError("parameter operation", "", f"{operation!r} is none of {', '.join(OPERATIONS)}")
    return Asked(
        operation=operation,
        about={name: value for name, value in given.items() if name not in _OWN and value not in (None, "")},
        by=getattr(dag_run, "triggering_user_name", None) or "",
        why=str(given.get("why") or ""),
        dry_run=bool(given.get("dry_run", True)),
        request=f"{dag_run.dag_id} {dag_run.run_id}",
    )


def _param(field: Field) -> Param:
    names = ", ".join(one.name for one in OPERATIONS.values() if any(own.name == field.name for own in one.fields))
    described: dict[str, Any] = {"title": field.name, "description": f"{field.words}. For: {names}", "section": "About"}
    if field.choices:
        described["enum"] = [None, *field.choices]
    return Param(None, type=["null", "integer" if field.kind == "integer" else "string"], **described)
