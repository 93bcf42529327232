"""The compose file and what it names exist and fit together; an engine is not needed to see that."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE = (PROJECT / "docker-compose.yaml").read_text(encoding="utf-8")
SERVICES = yaml.safe_load(COMPOSE)["services"]
_COMPONENTS = {
    "api-server": ["airflow", "api-server"],
    "scheduler": ["airflow", "scheduler"],
    "dag-processor": ["airflow", "dag-processor"],
    "triggerer": ["airflow", "triggerer"],
    "worker": ["airflow", "celery", "worker"],
}


def _names_in_example() -> dict[str, str]:
    lines = (PROJECT / "env.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_every_variable_is_in_the_example_and_every_example_is_used():
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE)) == set(_names_in_example())


def test_the_example_holds_no_secret():
    values = {name: value for name, value in _names_in_example().items() if "PASSWORD" in name or "SECRET" in name}
    assert set(values.values()) == {"change-me"}


@pytest.mark.parametrize("name", _COMPONENTS)
def test_each_component_of_airflow_waits_for_both_schemas(name):
    assert SERVICES[name]["command"] == _COMPONENTS[name]
    assert SERVICES[name]["depends_on"] == {"init": {"condition": "service_completed_successfully"}}


def test_services_wait_only_for_services_that_exist():
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)


def test_only_the_user_interface_is_open_and_on_this_machine_only():
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:${AIRFLOW_PORT:-8080}:8080"]


def test_nothing_runs_as_root_or_with_a_right_that_it_does_not_need():
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if service["image"] == "doku-account-billing-playground":
            assert "user" not in service, name  # as the image says
        else:
            assert service["user"] not in ("root", "0"), name
    stages = re.split(r"^FROM ", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert all(re.findall(r"^USER (\S+)", stage, re.MULTILINE)[-1] == "50000:0" for stage in stages)


def test_every_version_is_pinned():
    for name, service in SERVICES.items():
        if service["image"] != "doku-account-billing-playground":
            assert re.search(r":\d+(\.\d+)+", service["image"]), name


def test_what_runs_all_the_time_says_whether_it_is_well():
    for name, command in _COMPONENTS.items():
        assert "test" in SERVICES[name]["healthcheck"], command
    assert {"healthcheck"} <= set(SERVICES["postgres"]) & set(SERVICES["redis"])


def test_no_secret_stands_in_it():
    told = [pair for service in SERVICES.values() for pair in service.get("environment", {}).items()]
    secret = re.compile(r"(PASSWORD|SECRET|FERNET_KEY)$")
    values = {name: value for name, value in told if secret.search(name)}
    assert values
    assert all(re.fullmatch(r"\$\{\w+(:[?-].*)?\}", str(value)) for value in values.values()), values
    assert not re.search(r"://\w*:(?!\$\{)", COMPOSE)


def test_the_secrets_backend_is_told_valid_json():
    arguments = json.loads(SERVICES["scheduler"]["environment"]["AIRFLOW__SECRETS__BACKEND_KWARGS"])
    assert arguments == {"connections_file_path": "/state/connections.json"}


def test_the_image_copies_what_exists_and_is_let_through():
    sources = re.findall(r"^COPY (\S+) ", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    let_through = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for source in sources:
        assert (PROJECT / source).exists()
        assert f"!{source}" in let_through


def test_a_compose_implementation_accepts_it(tmp_path):
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not on this machine (Debian: apt-get install docker-compose)")
    (tmp_path / ".env").write_text((PROJECT / "env.example").read_text(encoding="utf-8"), encoding="utf-8")
    command = [program, "-f", str(PROJECT / "docker-compose.yaml"), "--env-file", str(tmp_path / ".env"), "config"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode == 0, result.stderr
    shown = yaml.safe_load(result.stdout)
    assert set(shown["services"]) == set(SERVICES)


def test_without_settings_it_says_where_to_look(tmp_path):
    program = shutil.which("docker-compose")
    if program is None:
        pytest.skip("docker-compose is not on this machine (Debian: apt-get install docker-compose)")
    (tmp_path / ".env").write_text("", encoding="utf-8")
    command = [program, "-f", str(PROJECT / "docker-compose.yaml"), "--env-file", str(tmp_path / ".env"), "config"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert result.returncode != 0
    assert "see env.example" in result.stderr
