"""`docs/DAGS.md`: each family of DAGs as it is wired, beside its own docstring.

The DAG files are parsed as Airflow's DAG processor parses them; no scheduler, no metadata database, no connection.
"""

import importlib
import inspect
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.tools.docs.markdown import code, demoted, table

PROJECT: Final = Path(__file__).resolve().parents[3]
SHIPPED_PROFILES: Final = PROJECT / "include" / "config" / "profiles"
_BROKEN: Final = "broken"
_HEAD: Final = """\
# DAGs

Generated from `dags/` by `make docs`; do not edit. A test fails when this page and the DAGs differ.

Each family below is one DAG for each profile in the folder that `DOKU_PROFILES_DIR` names, or one for all. Its page in
Airflow's UI shows the same text. Every task has the same defaults (`plugins/dag_parts.py`): a server or database that
does not answer, and an unexpected error, is tried again after a while; everything that waits for a person fails at
once, with one sentence that says what to do. Every task may be cleared at any time.
"""


def render() -> str:
    """The page."""
    with _profiles() as folder:
        dags = _dags()
        families: dict[str, list[Any]] = {}
        for dag in sorted(dags, key=lambda dag: str(dag.dag_id)):
            families.setdefault(dag.dag_id.partition("__")[0], []).append(dag)
        lines = [_HEAD, *_shipped(dags)]
        for name in sorted(families):
            lines += _family(name, families[name][0])
        text = "\n".join(lines)
    return text.replace(f"{folder}{os.sep}", "").rstrip() + "\n"


@contextmanager
def _profiles() -> Iterator[Path]:
    """The shipped profiles and a broken one, so that the DAG that stands for it is there too."""
    before = {name: os.environ.get(name) for name in ("DOKU_PROFILES_DIR", "AIRFLOW_HOME")}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "profiles"
        shutil.copytree(SHIPPED_PROFILES, folder)
        (folder / f"{_BROKEN}.toml").write_text(f'name = "{_BROKEN}"\nenvironment = "testing"\n', encoding="utf-8")
        os.environ["DOKU_PROFILES_DIR"] = str(folder)
        os.environ.setdefault("AIRFLOW_HOME", str(Path(temporary) / "airflow"))
        try:
            yield folder
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _dags() -> list[Any]:
    os.environ.setdefault("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    os.environ.setdefault("AIRFLOW__CORE__FERNET_KEY", "")
    os.environ.setdefault("AIRFLOW__CORE__UNIT_TEST_MODE", "False")
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "WARNING")
    dag_bag: Any = importlib.import_module("airflow.dag_processing.dagbag").DagBag
    found = dag_bag(str(PROJECT / "dags"))
    if found.import_errors:
        raise RuntimeError(f"the DAG files cannot be parsed: {found.import_errors}")
    return list(found.dags.values())


def _shipped(dags: list[Any]) -> Iterator[str]:
    yield "## The shipped profiles' DAGs\n"
    rows = (
        [code(dag.dag_id), dag.dag_display_name, _schedule(dag.timetable), ", ".join(sorted(dag.tags))]
        for dag in sorted(dags, key=lambda dag: str(dag.dag_id))
        if not dag.dag_id.endswith(f"__{_BROKEN}")
    )
    yield from table(["DAG", "name in the UI", "runs", "tags"], rows)


def _family(name: str, dag: Any) -> Iterator[str]:
    profile = dag.dag_id.partition("__")[2]
    text = "\n".join(_family_lines(name, dag))
    if not profile:  # one for all
        yield text
        return
    yield re.sub(rf"__{re.escape(profile)}\b|(?<=doku://){re.escape(profile)}\b", _placeholder, text)


def _placeholder(match: re.Match[str]) -> str:
    return "__<profile>" if match[0].startswith("__") else "<profile>"


def _family_lines(name: str, dag: Any) -> Iterator[str]:
    yield f"## `{name}{'__<profile>' if '__' in dag.dag_id else ''}`\n"
    yield demoted(_doc(dag), 2) + "\n"
    yield "### Wiring\n"
    yield "```mermaid\nflowchart LR"
    for task in dag.topological_sort():
        yield f'  {task.task_id}[["{task.task_id}, each of several"]]' if task.is_mapped else f"  {task.task_id}"
        yield from (f"  {upstream} --> {task.task_id}" for upstream in sorted(task.upstream_task_ids))
    yield "```\n"
    head = ["task", "operator", "what it does", "once for each", "runs when", "retries", "time limit", "tells"]
    yield from table(head, (_task(task) for task in dag.topological_sort()))
    yield f"Catch-up: {'yes' if dag.catchup else 'no'}. Runs at a time: {dag.max_active_runs}.\n"
    if dag.params:
        yield from table(["parameter", "default", "type", "meaning"], _params(dag))


def _doc(dag: Any) -> str:
    """Its page; what is wrong with the broken profile is not part of the family."""
    problems = [task.problem for task in dag.tasks if hasattr(task, "problem")]
    text = str(dag.doc_md)
    for problem in problems:
        text = text.replace(problem, "what is wrong, as one sentence: file, key and reason")
    return text


def _task(task: Any) -> list[str]:
    operator = task.operator_class if task.is_mapped else type(task)
    values = task.partial_kwargs if task.is_mapped else vars(task)
    expanded = ", ".join(getattr(task.expand_input, "value", {})) if task.is_mapped else ""
    return [
        code(task.task_id),
        f"[`{operator.__name__}`](../{operator.__module__.replace('.', '/')}.py)",
        _first_sentence(operator),
        code(expanded),
        str(getattr(task.trigger_rule, "value", task.trigger_rule)).replace("_", " "),
        str(task.retries),
        str(task.execution_timeout or ""),
        ", ".join(f"asset `{asset.name}`" for asset in values.get("outlets") or ()),
    ]


def _first_sentence(operator: type) -> str:
    text = inspect.cleandoc(operator.__doc__ or "").partition("\n\n")[0]
    return " ".join(text.split())


def _params(dag: Any) -> Iterator[list[str]]:
    for name, param in dag.params.items():
        full = dag.params.get_param(name)
        kind = full.schema.get("type", "")
        kinds = kind if isinstance(kind, str) else " or ".join(sorted(kind))
        yield [code(name), code(repr(param.value if hasattr(param, "value") else param)), kinds, full.description or ""]


def _schedule(timetable: Any) -> str:
    """In words."""
    by_time = getattr(timetable, "timetable", timetable)
    parts = []
    if getattr(by_time, "expression", None):
        parts.append(f"cron `{by_time.expression}` ({by_time.timezone})")
    condition = getattr(timetable, "asset_condition", None)
    if condition is not None:
        parts += [f"after asset `{name}`" for name in _assets(condition)]
    return ", ".join(parts) or "by hand"


def _assets(condition: Any) -> Iterator[str]:
    if hasattr(condition, "name"):
        yield condition.name
    for part in getattr(condition, "objects", ()):
        yield from _assets(part)
