"""`docs/onboarding.md`: what is assumed and what DOKU gives only at onboarding, by the setting that holds it.

Keys, defaults and descriptions come from the profile's models, layouts and codes from their files; how sure each is and
how to check it from `docs/onboarding.toml`. A setting that stands nowhere there is an error.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field

from include.schemas.codes import CodeTable
from include.schemas.dialect import Dialect, FieldPath, load_dialect
from include.schemas.layout import SECTIONS, Layout, load_layout
from include.schemas.layout_columns import Column
from include.schemas.strict import StrictModel
from tests.tools.docs.markdown import code, table
from tests.tools.docs.settings import Setting, settings

PROJECT: Final = Path(__file__).resolve().parents[3]
CONFIG: Final = PROJECT / "include" / "config"
CHECKS: Final = PROJECT / "docs" / "onboarding.toml"

Sure = Literal["certain", "inferred", "assumed", "onboarding"]
_WORDS: Final[Mapping[Sure, str]] = {
    "certain": "certain",
    "inferred": "inferred",
    "assumed": "**assumed**",
    "onboarding": "**given at onboarding**",
}


class Check(StrictModel):
    """A setting of the profile."""

    key: str
    sure: Sure
    check: str = Field(min_length=1)
    says: str = Field(default="", description="In place of the model's description, where it has none")


class Fact(StrictModel):
    """Something that no setting of the profile holds."""

    what: str
    where: str
    sure: Sure
    check: str


class Section(StrictModel):
    """Settings that one conversation with DOKU settles."""

    title: str
    intro: str
    fact: tuple[Fact, ...] = ()
    setting: tuple[Check, ...] = ()


class Own(StrictModel):
    """Settings in which DOKU has no say; `*` stands for the rest of a key."""

    keys: tuple[str, ...]
    says: Mapping[str, str] = Field(default_factory=dict)


class Later(StrictModel):
    """Facts that this release does not use."""

    intro: str
    facts: tuple[str, ...]


class Checks(StrictModel):
    """The file `docs/onboarding.toml`."""

    section: Annotated[tuple[Section, ...], Field(min_length=1)]
    own: Own
    later: Later


_HEAD: Final = """\
# Onboarding checklist

Generated from the profile's models, `include/config/` and [`onboarding.toml`](onboarding.toml) by `make docs`; do not
edit.

DOKU publishes the outline of Batch Upload and tells the rest to each merchant at onboarding. What is not published is a
setting, never code. This page lists every setting of a profile, how sure its default is, and how to find out in the
sandbox. Settings are keys of the profile's TOML file (`DOKU_PROFILES_DIR`, [deployment](deployment.md)); an example is
`include/config/profiles/insurance.toml`.

- certain: DOKU's own page or plugin says so
- inferred: from what DOKU's pages show, or from its neighbouring interfaces
- **assumed**: a guess, so that something stands there; confirm it
- **given at onboarding**: nothing can be guessed; what stands there is a placeholder

## In which order

1. Fill in what is given at onboarding; `python -m include.cli profiles` checks every profile with its layouts.
2. Run `doku_reconcile__<profile>` by hand: it logs in, checks the host key and lists the reports. Pause it again.
3. Run `doku_submit__<profile>` by hand with `dry_run`: it reads the view and shows what would go out and what is
   quarantined and why.
4. Send one charge. Compare `python -m include.cli render --profile <profile> <file name>` with DOKU's template; ask
   DOKU whether the file could be opened, read and charged on its execute date.
5. Look at the report by hand (`sftp`, [envelope.md](envelope.md)), then unpause `doku_reconcile__<profile>` and let it
   be taken in.
6. Send ten: a card that is declined, one that expired, a token that DOKU does not know, one due tomorrow.
7. Only then the volume of a day.
"""


def read_checks() -> Checks:
    """The hand-written part. ConfigError when it cannot be read."""
    return Checks.from_toml_file(CHECKS)


def render() -> str:
    """The page.

    Raises:
        ValueError: A setting stands nowhere in `onboarding.toml`, or twice, or one that is there does not exist.
    """
    checks, known = read_checks(), {setting.key: setting for setting in settings()}
    _refuse_gaps(checks, known)
    lines = [_HEAD]
    for section in checks.section:
        lines += _section(section, known)
    for path in sorted((CONFIG / "layouts").glob("*.toml")):
        lines += _layout(load_layout(path))
    for path in sorted((CONFIG / "dialects").glob("*.toml")):
        lines += _dialect(load_dialect(path))
    lines += _codes(CodeTable.from_toml_file(CONFIG / "codes.toml"))
    lines += _own(checks, known)
    lines += ["## Ask now, used later\n", checks.later.intro, "", *(f"- {fact}" for fact in checks.later.facts)]
    return "\n".join(lines).rstrip() + "\n"


def own_keys(checks: Checks, known: Mapping[str, Setting]) -> list[str]:
    """The settings in which DOKU has no say, in the order of the models."""
    return [key for key in known if any(fnmatchcase(key, pattern) for pattern in checks.own.keys)]


def _refuse_gaps(checks: Checks, known: Mapping[str, Setting]) -> None:
    listed = Counter([check.key for section in checks.section for check in section.setting] + own_keys(checks, known))
    missing = [key for key in known if key not in listed]
    strange = [key for key in listed if key not in known] + [
        pattern for pattern in checks.own.keys if not any(fnmatchcase(key, pattern) for key in known)
    ]
    twice = [key for key, count in listed.items() if count > 1]
    for words, keys in (("misses", missing), ("names what is no setting:", strange), ("names twice:", twice)):
        if keys:
            raise ValueError(f"docs/onboarding.toml {words} {', '.join(keys)}")
    said = {check.key: check.says for section in checks.section for check in section.setting} | dict(checks.own.says)
    silent = [key for key, setting in known.items() if not (said.get(key) or setting.description)]
    if silent:
        raise ValueError(f"docs/onboarding.toml: say what these are, the models do not: {', '.join(silent)}")


def _section(section: Section, known: Mapping[str, Setting]) -> Iterator[str]:
    yield f"## {section.title}\n"
    yield f"{section.intro}\n"
    facts = ([fact.what, fact.where, _WORDS[fact.sure], fact.check] for fact in section.fact)
    if section.fact:
        yield from table(["fact", "what holds it", "how sure", "how to check"], facts)
    rows = (_row(check, known[check.key]) for check in section.setting)
    if section.setting:
        yield from table(["setting", "default", "what it is", "how sure", "how to check"], rows)


def _row(check: Check, setting: Setting) -> list[str]:
    what = check.says or setting.description
    return [code(check.key), _default(setting), what, _WORDS[check.sure], check.check]


def _default(setting: Setting) -> str:
    if setting.default:
        return code(setting.default)
    return "none, needed" if setting.required else "none"


def _layout(layout: Layout) -> Iterator[str]:
    form = layout.file
    yield f"## Layout `{layout.name}`{': assumed' if layout.assumed else ''}\n"
    what = {"batch": "batch files", "report": "reports", "register": "files that register bills"}[layout.kind]
    yield f"`include/config/layouts/{layout.name}.toml`, for {what}. {layout.description}."
    yield "The file's form is assumed as a whole:"
    delimiter = f"delimiter {code(form.delimiter)}, " if form.delimiter else ""
    end = form.line_end.replace("\r", "CR").replace("\n", "LF")
    last = "the last line ends like the others" if form.final_line_end else "no line end after the last line"
    yield f"{form.format}, {delimiter}encoding {form.encoding}, line end {end}, {last}.\n"
    rows = [_column(name, column) for name in SECTIONS for column in _columns(layout, name)]
    yield from table(["line", "column", "what stands there", "form", "how sure", "note"], rows)


def _dialect(dialect: Dialect) -> Iterator[str]:
    yield f"## Dialect `{dialect.name}`{': assumed' if dialect.assumed else ''}\n"
    yield f"`include/config/dialects/{dialect.name}.toml`: DOKU's JSON of Recurring and tokens. {dialect.description}."
    yield f"Words of success: {', '.join(dialect.success_words)}; of failure: {', '.join(dialect.failed_words)}.\n"
    rows = [_path(*found) for found in _paths("", dialect)]
    yield from table(["message", "fact", "where it stands", "how sure", "note"], rows)
    calls = [
        [code(name), code(request.path), code(field.path), field.source or str(field.value), _certainty(field.doku)]
        for name, request in (
            ("register", dialect.requests.register_),
            ("update", dialect.requests.update),
            ("cancel", dialect.requests.cancel),
        )
        if request is not None
        for field in request.body
    ]
    yield from table(["call", "path", "field of the body", "fact of the bill", "how sure"], calls)


def _certainty(word: str) -> str:
    return "**assumed**" if word == "assumed" else word.replace("-", " ")


def _paths(message: str, model: StrictModel) -> Iterator[tuple[str, str, FieldPath]]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, FieldPath):
            yield message, name, value
        elif isinstance(value, StrictModel) and name != "requests":
            yield from _paths(name, value)


def _path(message: str, name: str, found: FieldPath) -> list[str]:
    paths = ", else ".join(code(path) for path in found.paths)
    return [message or "answer", name, paths, _certainty(found.doku), found.description]


def _columns(layout: Layout, name: str) -> tuple[Column, ...]:
    section = getattr(layout, name)
    return section.columns if section else ()


def _column(section: str, column: Column) -> list[str]:
    what = f"always {code(column.value)}" if column.value else code(column.source or "") or "filler"
    form = [column.format or "", f"{column.length} characters" if column.length else "", column.charset or ""]
    form += ["" if column.required else "may be empty"]
    sure = "**assumed**" if column.doku == "assumed" else column.doku
    return [section, code(column.name), what, ", ".join(filter(None, form)), sure, column.description]


def _codes(found: CodeTable) -> Iterator[str]:
    yield "## Response codes\n"
    yield f"`include/config/codes.toml` lists {len(found.codes)} codes with meaning, class and source. The class, what"
    yield "may be done after a code, is inferred for all of them; the meanings are as sure as this:\n"
    counted: Counter[tuple[str, str]] = Counter((entry.certainty, entry.source) for entry in found.codes)
    rows = ([sure, source, str(number)] for (sure, source), number in sorted(counted.items()))
    yield from table(["meaning", "source", "codes"], rows)
    yield "Two points to settle: DOKU's own interfaces show two characters in one place and four in another (both are"
    yield "read here, `05` is `0005`), and `0001` means *refer to issuer* in one list and *failed* in another.\n"


def _own(checks: Checks, known: Mapping[str, Setting]) -> Iterator[str]:
    yield "## What you decide yourselves\n"
    yield "DOKU has no say in these.\n"
    said = {key: checks.own.says.get(key) or setting.description for key, setting in known.items()}
    rows = ([code(key), _default(known[key]), said[key]] for key in own_keys(checks, known))
    yield from table(["setting", "default", "what it is"], rows)
