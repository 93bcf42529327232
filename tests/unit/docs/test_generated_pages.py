"""The generated pages of docs/ are what the code says now."""

import pytest

from tests.tools.docs import onboarding_page
from tests.tools.docs.pages import PAGES, PROJECT
from tests.tools.docs.settings import settings

# Words in a model's description that say how sure the default is, and what docs/onboarding.toml may then say.
_SURE = {
    "given at onboarding": {"onboarding"},
    "assumed": {"assumed"},
    "publishes no": {"assumed"},
    "not published": {"assumed"},
}


@pytest.mark.parametrize("name", PAGES)
def test_page_is_up_to_date(name):
    path = PROJECT / name
    assert path.exists(), f"{name} is missing. Run: make docs"
    assert path.read_text(encoding="utf-8") == PAGES[name](), f"{name} is out of date. Run: make docs"


def test_how_sure_a_setting_is_agrees_with_its_model():
    checks = onboarding_page.read_checks()
    sure = {check.key: check.sure for section in checks.section for check in section.setting}
    for setting in settings():
        for words, allowed in _SURE.items():
            if words in setting.description.lower():
                assert sure.get(setting.key) in allowed, f"{setting.key}: the model says {words!r}"


def test_every_assumed_layout_is_on_the_checklist():
    text = (PROJECT / "docs" / "onboarding.md").read_text(encoding="utf-8")
    for path in (PROJECT / "include" / "config" / "layouts").glob("*.toml"):
        assumed = "assumed = true" in path.read_text(encoding="utf-8")
        assert f"## Layout `{path.stem}`{': assumed' if assumed else ''}\n" in text


def test_a_setting_that_stands_nowhere_is_an_error(monkeypatch):
    checks = onboarding_page.read_checks()
    fewer = checks.model_copy(update={"section": checks.section[1:]})
    monkeypatch.setattr(onboarding_page, "read_checks", lambda: fewer)
    with pytest.raises(ValueError, match=r"misses .*connections\.sftp"):
        onboarding_page.render()
