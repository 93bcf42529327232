"""Which profiles become DAGs, and under which ids the broken ones are shown."""

import pytest

from plugins.dag_parts import broken_profiles, profiles


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("names", [("a b", "a_b"), ("a b", "a+b"), ("x" * 240 + "1", "x" * 240 + "2"), ("é", "è")])
def test_two_broken_files_never_share_a_dag(folder, names):
    for name in names:
        (folder / f"{name}.toml").write_text("name = ", encoding="utf-8")
    ids = [name for name, _ in broken_profiles()]
    assert len(ids) == len(set(ids)) == 2
    assert all(len(f"doku_profile_error__{name}") <= 250 for name in ids)
    assert all(name.isascii() for name in ids)


def test_a_plain_name_stays_what_it_is(folder):
    (folder / "donation.toml").write_text("name = ", encoding="utf-8")
    ((name, problem),) = broken_profiles()
    assert name == "donation"
    assert "donation.toml" in problem
    assert list(profiles()) == []


def test_a_missing_folder_is_one_dag(monkeypatch, tmp_path):
    monkeypatch.setenv("DOKU_PROFILES_DIR", str(tmp_path / "none"))
    ((name, problem),) = broken_profiles()
    assert name == "no_folder"
    assert "DOKU_PROFILES_DIR" in problem
