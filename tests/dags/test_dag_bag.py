"""The DAG folder as Airflow reads it: every file known, every DAG complete, a broken profile alone."""

import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG

from include.domain.operations import OPERATIONS
from include.schemas.profile import SHIPPED_CONFIG, Profile, load_profile
from plugins.dag_parts import DEFAULT_ARGS
from plugins.errors import errors_in_words

PROJECT = Path(__file__).resolve().parents[2]
DAGS = PROJECT / "dags"
SHIPPED = {path.stem: load_profile(path) for path in sorted((SHIPPED_CONFIG / "profiles").glob("*.toml"))}

FILES = {
    "doku_submit.py": {"doku_submit__{profile}"},
    "doku_reconcile.py": {"doku_reconcile__{profile}"},
    "doku_operate.py": {"doku_operate__{profile}"},
    "doku_recurring.py": {"doku_recurring__{profile}"},
    "doku_tokens.py": {"doku_tokens__{profile}"},
    "doku_profile_errors.py": set(),
    "doku_watchdog.py": {"doku_watchdog"},
    "doku_housekeeping.py": {"doku_housekeeping"},
}
"""Every DAG file, and the DAGs that it makes for each profile (or for all). A new file belongs in this table."""

WATCHDOG = "doku_watchdog"
"""Its next run is its retry."""

ONCE = {WATCHDOG, "doku_housekeeping"}
"""They are there whatever becomes of the profiles."""

WHERE: dict[str, Callable[[Profile], bool]] = {
    "doku_submit": lambda profile: profile.sends_batches,
    "doku_reconcile": lambda profile: profile.sends_batches,
    "doku_recurring": lambda profile: profile.has_recurring,
    "doku_tokens": lambda profile: profile.has_tokens,
}
"""Families of DAGs that only some profiles have."""

TASKS = {
    "doku_recurring": ["take_in", "register", "expect", "ask_status", "write_back", "close_books"],
    "doku_tokens": ["list_customers", "ask", "settle", "tell"],
    "doku_submit": ["extract_and_claim", "render_and_seal", "approve", "deliver", "record"],
    "doku_operate": ["show", "carry_out"],
    WATCHDOG: ["profiles", "watch"],
    "doku_housekeeping": ["profiles", "tidy"],
    "doku_reconcile": [
        "wait_for_reports",
        "fetch",
        "ingest",
        "reconcile",
        "plan_next_attempts",
        "write_back",
        "close_books",
        "summarise",
    ],
}


WHERE_ASKED_FOR = {"doku_submit": {"notify"}, "doku_reconcile": {"ask_status"}}
"""Tasks that a DAG has only where its profile asks for them."""


def _bag() -> dict[str, DAG]:
    bag = DagBag(dag_folder=str(DAGS), bundle_path=DAGS, bundle_name="dags")
    assert bag.import_errors == {}
    return dict(bag.dags)


def _of(*profiles: str) -> set[str]:
    """The DAGs that there are with these good profiles, all of them copies of the insurer's."""
    forms = [form for forms in FILES.values() for form in forms if _has(SHIPPED["insurance"], form)]
    return {form.format(profile=profile) for form in forms for profile in profiles} | ONCE


def _has(profile: Profile, form: str) -> bool:
    return WHERE.get(form.partition("__")[0], lambda _: True)(profile)


@pytest.fixture(scope="module")
def bag() -> dict[str, DAG]:
    """All DAGs of the shipped profiles, by Airflow's own reading."""
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("DOKU_PROFILES_DIR", raising=False)
        return _bag()


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A deployment's own folder of profiles, at first with the insurer's alone."""
    folder = tmp_path / "profiles"
    folder.mkdir()
    shutil.copy(SHIPPED_CONFIG / "profiles" / "insurance.toml", folder)
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(folder))
    return folder


def test_every_file_of_the_folder_is_known():
    assert {path.name for path in DAGS.glob("*.py")} == set(FILES)
    assert not list(DAGS.glob("*/**/*.py"))


def test_every_file_makes_the_dags_that_it_should(bag):
    made = {name: {Path(dag.fileloc).name for dag in bag.values() if dag.dag_id == name} for name in bag}
    expected = {
        form.format(profile=name): {file}
        for file, forms in FILES.items()
        for form in forms
        for name, profile in SHIPPED.items()
        if _has(profile, form)
    }
    assert made == expected


def test_every_dag_is_complete(bag):
    for dag in bag.values():
        family, _, profile = dag.dag_id.partition("__")
        assert {"doku", profile or family.removeprefix("doku_")} <= set(dag.tags), dag.dag_id
        assert dag.doc_md.lstrip().startswith("# "), dag.dag_id
        assert "When something fails" in dag.doc_md, dag.dag_id
        assert dag.catchup is False, dag.dag_id
        assert dag.max_active_runs == 1, dag.dag_id
        assert set(dag.task_ids) - WHERE_ASKED_FOR.get(family, set()) == set(TASKS[family]), dag.dag_id
        assert profile in SHIPPED or family in ONCE


def test_every_task_keeps_the_defaults(bag):
    for dag in bag.values():
        for task in dag.tasks:
            name = f"{dag.dag_id}.{task.task_id}"
            assert task.owner == "billing", name
            assert task.retries == (0 if dag.dag_id == WATCHDOG else DEFAULT_ARGS["retries"]), name
            assert task.retry_delay == timedelta(minutes=1), name
            assert task.depends_on_past is False, name
            assert getattr(task, "profile", dag.dag_id.partition("__")[2]) == dag.dag_id.partition("__")[2], name


def test_only_the_last_task_of_submit_runs_after_a_failure(bag):
    for dag in bag.values():
        rules = {task.task_id: task.trigger_rule.value for task in dag.tasks}
        others = {rule for name, rule in rules.items() if name not in ("record", "notify")}
        assert others == {"all_success"}, dag.dag_id
        assert rules.get("record", "all_done") == "all_done", dag.dag_id


def test_the_watchdog_looks_every_quarter_of_an_hour_at_each_profile_that_is_there_then(bag):
    dag = bag[WATCHDOG]
    assert dag.timetable.expression == "*/15 * * * *"
    assert dag.get_task("watch").is_mapped
    assert dag.get_task("watch").upstream_task_ids == {"profiles"}


def test_submit_runs_in_the_profiles_timezone(bag):
    dag = bag["doku_submit__insurance"]
    assert (dag.timetable.expression, str(dag.timetable.timezone)) == ("0 6 * * *", "Asia/Jakarta")


def test_parameters_of_submit(bag):
    params = bag["doku_submit__insurance"].params
    assert set(params) == {"business_date", "dry_run", "send_past"}
    assert params.dump() == {"business_date": None, "dry_run": False, "send_past": {}}


def test_operate_is_a_dry_run_by_default_and_its_fields_are_typed(bag):
    dag = bag["doku_operate__insurance"]
    schema = {name: dag.params.get_param(name).schema for name in dag.params}
    assert dag.params["dry_run"] is True
    assert schema["operation"]["enum"] == list(OPERATIONS)
    assert schema["outcome"]["enum"] == [None, "paid", "declined", "withdrawn", "reversed"]
    assert schema["run_id"]["type"] == ["null", "integer"]
    needed = {field.name for one in OPERATIONS.values() for field in one.fields}
    assert set(schema) == {"operation", "why", "dry_run"} | needed
    assert all(f"| `{name}` |" in dag.doc_md for name in OPERATIONS)
    assert dag.timetable.can_be_scheduled is False


def test_no_secret_and_no_frame_stands_in_a_template(bag):
    for dag in bag.values():
        for task in dag.tasks:
            assert set(task.template_fields) & {"password", "token", "key"} == set()


# --- profiles ---


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("name = ", "not valid TOML"),
        ('name = "broken"', "missing"),
        (lambda good: good.replace('"insurance"', '"another"', 1), "make them equal"),
        (lambda good: good.replace('"insurance"', '"broken"', 1).replace("[limits]", "[limit]"), "limit: unknown key"),
        (lambda good: good.replace('"insurance"', '"broken"', 1).replace('"sandbox"', '"test"'), "environment"),
    ],
)
def test_a_broken_profile_is_a_dag_of_its_own_and_the_others_stay(profiles, content, words):
    good = (profiles / "insurance.toml").read_text(encoding="utf-8")
    (profiles / "broken.toml").write_text(content(good) if callable(content) else content, encoding="utf-8")
    bag = _bag()
    assert set(bag) == _of("insurance") | {"doku_profile_error__broken"}
    dag = bag["doku_profile_error__broken"]
    assert set(dag.tags) == {"doku", "profile-error"}
    assert words in dag.doc_md
    assert "broken.toml" in dag.doc_md
    (task,) = dag.tasks
    assert task.retries == 0
    assert words in task.problem
    assert dag.timetable.can_be_scheduled is False or dag.schedule is None


def test_a_name_that_is_no_dag_id_is_made_one(profiles):
    (profiles / "my profile (old).toml").write_text("x", encoding="utf-8")
    made = [dag_id for dag_id in _bag() if dag_id.startswith("doku_profile_error__")]
    # The ending keeps two files apart whose names become the same.
    assert [re.sub(r"\.[0-9a-f]{8}$", "", dag_id) for dag_id in made] == ["doku_profile_error__my_profile__old_"]


def test_every_profile_has_its_own_dags(profiles):
    good = (profiles / "insurance.toml").read_text(encoding="utf-8")
    (profiles / "second.toml").write_text(good.replace('"insurance"', '"second"', 1), encoding="utf-8")
    assert set(_bag()) == _of("insurance", "second")


def test_doku_is_told_and_asked_where_the_profile_says_so(profiles):
    file = profiles / "insurance.toml"
    good = file.read_text(encoding="utf-8") + "[http]\nnotify_after_delivery = true\nask_status = true\n"
    file.write_text(
        good.replace('ledger = "doku_ledger"', 'ledger = "doku_ledger"\ndoku = "doku_api"', 1), encoding="utf-8"
    )
    bag = _bag()
    submit, reconcile = bag["doku_submit__insurance"], bag["doku_reconcile__insurance"]
    assert set(submit.task_ids) - set(TASKS["doku_submit"]) == {"notify"}
    assert set(reconcile.task_ids) - set(TASKS["doku_reconcile"]) == {"ask_status"}
    for task in (submit.get_task("notify"), reconcile.get_task("ask_status")):
        assert not task.downstream_task_ids, "nothing waits for it"
    assert submit.get_task("notify").upstream_task_ids == {"deliver"}
    assert submit.get_task("notify").trigger_rule.value == "all_done"
    file.write_text(good, encoding="utf-8")
    assert "needs connections.doku" in _bag()["doku_profile_error__insurance"].doc_md


def test_a_profile_may_run_by_hand_only(profiles):
    good = (profiles / "insurance.toml").read_text(encoding="utf-8")
    by_hand = "\n".join(line for line in good.splitlines() if not line.startswith(("submit =", "reconcile =")))
    settings = '[schedule]\nsubmit = "0 6 * * *"\n'
    assert settings.splitlines()[0] in by_hand
    (profiles / "insurance.toml").write_text(by_hand, encoding="utf-8")
    assert set(_bag()) == _of("insurance")


def test_a_folder_that_is_not_there_is_a_dag_that_says_so(profiles, monkeypatch):
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(profiles / "none"))
    bag = _bag()
    assert set(bag) == {"doku_profile_error__no_folder"} | ONCE
    assert "DOKU_PROFILES_DIR" in bag["doku_profile_error__no_folder"].doc_md


def test_an_empty_folder_leaves_the_watchdog_to_say_so(profiles):
    (profiles / "insurance.toml").unlink()
    assert set(_bag()) == ONCE


def test_every_operator_says_errors_in_words(bag):
    """Itself, or the base of ours that it extends."""
    for dag in bag.values():
        for task in dag.tasks:
            operator = getattr(task, "operator_class", type(task))
            ours = [base for base in operator.__mro__ if base.__module__.startswith("plugins.")]
            assert any(errors_in_words.__name__ in inspect.getsource(base) for base in ours), operator
