"""What the hand-written pages name exists: links, make targets, commands, messages, errors."""

import ast
import contextlib
import inspect
import io
import re
import shlex

import pytest
from airflow.sdk import Connection

from include import cli
from include.doku.sftp import SftpSettings
from include.domain import errors
from include.domain.connection import ConnectionSettings
from include.ledger.tables import metadata
from include.schemas.layout_sources import HEADER_SOURCES, LINE_SOURCES
from plugins.flow_context import connection_settings
from tests.tools.docs.pages import PROJECT
from tests.tools.docs.settings import settings

DOCS = PROJECT / "docs"
RUNBOOKS = DOCS / "runbooks"
PAGES = [
    PROJECT / "README.md",
    PROJECT / "CHANGELOG.md",
    PROJECT / "include" / "billing" / "examples" / "README.md",
    *sorted(DOCS.rglob("*.md")),
]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _names(paths):
    return [str(path.relative_to(PROJECT)) for path in paths]


def _text(name):
    return (PROJECT / name).read_text(encoding="utf-8")


def _anchors(text):
    """Headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text), re.MULTILINE)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("name", _names(PAGES))
def test_links_lead_somewhere(name):
    page = PROJECT / name
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", page.read_text(encoding="utf-8"))):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in _anchors(linked.read_text(encoding="utf-8")), f"{name} links to {target}"


@pytest.mark.parametrize("name", _names(PAGES))
def test_make_targets_exist(name):
    targets = set(re.findall(r"^([a-z]+):", _text("Makefile"), re.MULTILINE))
    spans = re.findall(r"`make ([a-z]+)[^`]*`|^make ([a-z]+)$", _text(name), re.MULTILINE)
    assert {one or other for one, other in spans} <= targets


def _commands(text):
    for _, block in _FENCE.findall(text):
        yield from re.findall(r"^\s*python -m include\.cli (.*)$", block, re.MULTILINE)
    yield from re.findall(r"`python -m include\.cli ([^`]*)`", _FENCE.sub("", text))


@pytest.mark.parametrize("name", _names(PAGES))
def test_commands_are_understood(name):
    for command in _commands(_text(name)):
        words = re.sub(r"<business date>", "2026-11-20", command.replace("\\|", "|"))
        arguments = [word.split("|")[0] for word in shlex.split(re.sub(r"<[^>]*>", "insurance", words))]
        if "--" not in command and arguments != ["profiles"]:
            arguments.append("--help")  # named, not written out
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as said:
            assert cli._parser().parse_args(arguments).command, f"{name}: {command}"
            continue
        assert said.getvalue().startswith("usage"), f"{name}: {command}"


def _messages():
    """Every text in the source, with … where a value is put in."""
    found = []
    for folder in ("include", "plugins"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                    found.append("".join(str(part) for part in parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.append(re.sub(r"\{[a-z_]*\}", "…", node.value))
    return [re.sub(r"\s+", " ", text) for text in found]


def _quoted():
    for path in sorted(RUNBOOKS.glob("*.md")):
        for language, block in _FENCE.findall(path.read_text(encoding="utf-8")):
            if language == "text":
                yield from ((path.name, line.strip()) for line in block.splitlines() if line.strip())


def test_messages_of_the_runbooks_are_those_of_the_code():
    messages, strange = _messages(), []
    for page, line in _quoted():
        pieces = [piece.strip(" ,.;:") for piece in line.split("…") if len(piece.strip(" ,.;:")) > 3]
        strange += [f"{page}: {piece}" for piece in pieces if not any(piece in message for message in messages)]
    assert strange == []


def test_every_error_has_a_runbook():
    index = (RUNBOOKS / "README.md").read_text(encoding="utf-8")
    named = [
        name
        for name, value in inspect.getmembers(errors, inspect.isclass)
        if issubclass(value, errors.DokuError) and value is not errors.DokuError
    ]
    assert [name for name in named if f"`{name}`" not in index] == []
    assert {path.name for path in RUNBOOKS.glob("*.md")} - {"README.md"} == set(re.findall(r"\]\(([\w-]+\.md)", index))


@pytest.mark.parametrize("name", _names(PAGES))
def test_settings_and_columns_exist(name):
    rooms = {setting.key.partition(".")[0] for setting in settings() if "." in setting.key}
    known = {setting.key.replace("[]", "") for setting in settings()}
    known |= {f"{table.name}.{column.name}" for table in metadata.tables.values() for column in table.columns}
    known |= {key.rpartition(".")[0] for key in known}  # whole tables
    spans = set(re.findall(r"`([a-z_]+\.[a-z_.]+)(?: = [^`]*)?`", _FENCE.sub("", _text(name))))
    sources = {source for tables in (LINE_SOURCES, HEADER_SOURCES) for table in tables.values() for source in table}
    sources |= set(re.findall(r'"([a-z_]+\.[a-z_.]+)"', _text("include/config/dialects/assumed-json.toml")))  # JSON's
    files = (".toml", ".txt", ".yaml", ".py", ".key", ".bin", ".sql", ".md")
    named = {span for span in spans if span.partition(".")[0] in rooms and not span.endswith(files)}
    assert named - known - sources - {"billing.sqlite"} == set()


def test_the_connections_of_the_page_mean_the_same_to_airflow_and_to_the_command_line():
    blocks = re.findall(r"```sh\n(AIRFLOW_CONN.*?)```", _text("docs/deployment.md"), re.DOTALL)
    examples = [word.partition("=") for block in blocks for word in shlex.split(block)]
    assert len(examples) >= 4
    for variable, _, value in examples:
        conn_id = variable.removeprefix("AIRFLOW_CONN_").lower()
        make = Connection.from_json if value.startswith("{") else Connection.from_uri
        ours, theirs = (
            ConnectionSettings.from_env_value(conn_id, value),
            connection_settings(make(value, conn_id=conn_id)),
        )
        for name in ("conn_type", "host", "port", "login", "password", "schema", "extra"):
            assert (getattr(ours, name) or None) == (getattr(theirs, name) or None), f"{variable}: {name}"
        if ours.conn_type == "sftp":
            assert SftpSettings.from_connection(ours).host_keys
        else:
            assert ours.sqlalchemy_url_parts()


def test_every_decision_is_listed():
    index = (DOCS / "adr" / "README.md").read_text(encoding="utf-8")
    records = {path.name for path in (DOCS / "adr").glob("0*.md")}
    assert records == set(re.findall(r"\]\((0[\w-]+\.md)\)", index))
