"""A scene's profile is the shipped one with this machine's keys, folders and connections."""

import json
import tomllib
from datetime import date
from pathlib import Path

import pytest

from tests.stack import scene as scene_module
from tests.stack.databases import Database
from tests.stack.remote import Remote
from tests.stack.scene import QUICK, Scene

_SHIPPED = """
name = "insurance"
title = "An insurer"
billing_source = "insurance"
[connections]
billing = "insurance_billing"
sftp = "insurance_sftp"
report_key = "insurance_report_key"
[batch]
archive_folder = "/archive"
public_keys = [{file = "keys/somewhere.pem", valid_from = 2026-01-01, valid_until = 2026-12-31}]
[limits]
max_rows_per_batch = 10000
"""


@pytest.fixture
def make_scene(tmp_path: Path, monkeypatch):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "insurance.toml").write_text(_SHIPPED)
    monkeypatch.setattr(scene_module, "SHIPPED_PROFILES", shipped)
    for name in ("public", "private"):
        (tmp_path / f"{name}.pem").write_text(name)

    def make(prefix: str = "", **arguments) -> Scene:
        sftp = {"conn_type": "sftp", "host": "127.0.0.1", "port": 2222}
        return Scene(
            root=tmp_path / "scene",
            merchant="insurance",
            business_date=date(2030, 3, 1),
            billing=Database.sqlite(tmp_path / "billing.sqlite"),
            ledger=Database.sqlite(tmp_path / "ledger.sqlite"),
            remote=Remote(sftp, tmp_path / "public.pem", tmp_path / "private.pem", tmp_path, prefix),
            **arguments,
        )

    return make


def test_the_profile_gets_keys_that_are_valid_on_the_day(make_scene):
    scene = make_scene(changes={**QUICK, "limits": {"max_rows_per_batch": 500}})
    profile = tomllib.loads(scene.write_profile().read_text())
    key = profile["batch"]["public_keys"][0]
    assert key["valid_from"] <= scene.business_date <= key["valid_until"]
    assert (scene.profiles / key["file"]).read_text() == "public"
    private = scene.profiles / profile["report"]["private_key_file"]
    assert private.read_text() == "private"
    assert private.stat().st_mode & 0o077 == 0
    assert "report_key" not in profile["connections"]
    assert profile["limits"]["max_rows_per_batch"] == 500
    assert profile["schedule"]["report_poll_seconds"] == 1


def test_the_environment_holds_each_connection_under_its_id(make_scene, tmp_path):
    scene = make_scene()
    scene.write_profile()
    environment = scene.environment()
    assert environment["DOKU_PROFILES_DIR"] == str(tmp_path / "scene/profiles")
    assert environment["DOKU_ARTEFACTS"].startswith("file:///")
    assert json.loads(environment["AIRFLOW_CONN_DOKU_LEDGER"])["host"] == str(tmp_path / "ledger.sqlite")
    assert json.loads(environment["AIRFLOW_CONN_INSURANCE_BILLING"])["host"] == str(tmp_path / "billing.sqlite")
    assert json.loads(environment["AIRFLOW_CONN_INSURANCE_SFTP"])["port"] == 2222


def test_two_scenes_share_a_folder_of_profiles_but_no_connection(make_scene):
    one, two = make_scene(), make_scene(name="insurance_two")
    one.write_profile()
    profile = tomllib.loads(two.write_profile().read_text())
    assert profile["name"] == profile["billing_source"] == "insurance_two"
    shared = set(one.environment()) & set(two.environment())
    assert shared == {"DOKU_PROFILES_DIR", "DOKU_ARTEFACTS"}


def test_a_server_that_shows_its_whole_file_system(make_scene):
    profile = tomllib.loads(make_scene(prefix="/srv/doku").write_profile().read_text())
    assert profile["batch"]["folder"] == "/srv/doku/inbound"
    assert profile["batch"]["archive_folder"] == "/srv/doku/archive"
    assert profile["report"]["folder"] == "/srv/doku/outbound"
