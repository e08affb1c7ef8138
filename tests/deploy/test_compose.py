"""docker-compose.yml is valid and matches the images and settings."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.settings import ServerSettings, WorkerSettings
from tests.support.deploy.helm import ROOT
from tests.support.deploy.tools import tool
from tests.support.deploy.valkey_config import effective_config

FILE = ROOT / "docker-compose.yml"
#: Standard variables, any of which replaces the demo model by a real one.
OPENAI_VARIABLES = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE_URL", "OPENAI_API_BASE")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())["services"]


def test_compose_file_matches_the_specification() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE))


def test_mounted_files_exist(services: dict[str, Any]) -> None:
    for service in services.values():
        mounts = [v.partition(":")[0] for v in service.get("volumes", []) if v.startswith(".")]
        build = service.get("build", {}).get("dockerfile")
        for name in [*mounts, *([build] if build else [])]:
            assert (ROOT / name).exists(), name


def test_api_starts_after_its_dependencies(services: dict[str, Any]) -> None:
    healthy = {"condition": "service_healthy"}

    assert services["worker"]["depends_on"] == {"valkey": healthy}
    assert services["api"]["depends_on"] == {"valkey": healthy, "worker": healthy}
    assert services["worker"]["deploy"]["replicas"] == 2
    assert "healthcheck" in services["valkey"]


def test_stop_grace_period_covers_the_drain(services: dict[str, Any]) -> None:
    server, worker = ServerSettings(), WorkerSettings()

    leave = server.shutdown_delay_seconds + server.shutdown_grace_seconds
    assert seconds(services["api"]["stop_grace_period"]) > leave
    assert seconds(services["worker"]["stop_grace_period"]) >= worker.drain_seconds + 5 + 10


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_ports_bind_loopback_by_default(services: dict[str, Any]) -> None:
    ports = [port for service in services.values() for port in service.get("ports", [])]

    assert len(ports) == 3
    assert all("127.0.0.1:" in port for port in ports)


def test_api_serves_its_name_within_the_project(services: dict[str, Any]) -> None:
    assert services["api"]["environment"]["MAMBA_AUTH__HOSTS"] == '${MAMBA_AUTH__HOSTS:-["api"]}'


def test_prometheus_scrapes_worker_metrics_port(services: dict[str, Any]) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    asked = {
        lookup["names"][0]: (scrape["job_name"], str(lookup["port"]))
        for scrape in config["scrape_configs"]
        for lookup in scrape["dns_sd_configs"]
    }
    worker = services["worker"]["environment"]

    assert worker["MAMBA_WORKER__METRICS_HOST"] == "0.0.0.0"
    assert asked == {
        "api": ("mamba-api", str(ServerSettings().port)),
        "worker": ("mamba-worker", worker["MAMBA_WORKER__METRICS_PORT"]),
    }
    assert "ports" not in services["worker"]
    assert config["rule_files"] == ["alerts.yml"]


def test_grafana_provisioning_finds_dashboards(services: dict[str, Any]) -> None:
    provider = yaml.safe_load((ROOT / "deploy/grafana/dashboards/mamba.yml").read_text())
    [path] = [one["options"]["path"] for one in provider["providers"]]
    mounted = dict(volume.split(":")[:2] for volume in services["grafana"]["volumes"])

    [folder] = [source for source, target in mounted.items() if target == path]
    assert len(list((ROOT / folder).glob("*.json"))) == 3


@pytest.mark.parametrize(
    ("variables", "demo"),
    [
        ({}, "true"),
        ({"OPENAI_API_KEY": "sk-test"}, ""),
        ({"OPENAI_API_BASE_URL": "http://ollama:11434/v1"}, ""),
        ({"OPENAI_API_BASE": "http://ollama:11434/v1"}, ""),
        ({"OPENAI_BASE_URL": "http://host.docker.internal:11434/v1"}, ""),
        ({"MAMBA_OPENAI__DEMO": "false"}, "false"),
    ],
)
@pytest.mark.parametrize("role", ["api", "worker"])
def test_demo_model_is_enabled_without_key_and_address(
    services: dict[str, Any], tmp_path: Path, role: str, variables: dict[str, str], demo: str
) -> None:
    mamba = tmp_path / "mamba"
    mamba.write_text('#!/bin/sh\necho "$@ $MAMBA_OPENAI__DEMO"\n')
    mamba.chmod(0o755)
    # Compose passes every variable, empty if unset.
    names = (*OPENAI_VARIABLES, "MAMBA_OPENAI__DEMO")
    environment = {**dict.fromkeys(names, ""), **variables, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    service = services[role]
    command = [word.replace("$$", "$") for word in [*service["entrypoint"], *service["command"]]]

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert done.stdout == f"{role} {demo}\n"


@pytest.mark.parametrize("role", ["api", "worker"])
def test_host_and_official_variables_reach_the_containers(
    services: dict[str, Any], role: str
) -> None:
    names = {*OPENAI_VARIABLES, "OPENAI_ORG_ID", "OPENAI_ORGANIZATION", "OPENAI_PROJECT_ID"}

    assert services[role]["extra_hosts"] == ["host.docker.internal:host-gateway"]
    assert names <= services[role]["environment"].keys()


def test_containers_have_memory_limits(services: dict[str, Any]) -> None:
    unlimited = {name for name, service in services.items() if "mem_limit" not in service}

    # The memory of a model server depends on its model.
    assert unlimited == {"ollama"}


async def test_valkey_is_limited_and_never_evicts(services: dict[str, Any], tmp_path: Path) -> None:
    def default(text: str) -> str:
        return re.sub(r"\$\{\w+:-(.*?)\}", r"\1", text)

    _, *arguments = map(default, services["valkey"]["command"])

    assert default(services["valkey"]["mem_limit"]) == "1g"
    assert await effective_config(arguments, tmp_path) == {
        "appendonly": "yes",
        "maxmemory": str(512 * 1024 * 1024),
        "maxmemory-policy": "noeviction",
        "save": "",
    }


@pytest.mark.parametrize("password", ["", "chosen"])
def test_grafana_never_uses_its_default_password(
    services: dict[str, Any], tmp_path: Path, password: str
) -> None:
    run = tmp_path / "run.sh"
    run.write_text('#!/bin/sh\necho "$GF_SECURITY_ADMIN_PASSWORD"\n')
    run.chmod(0o755)
    shell, option, script = services["grafana"]["entrypoint"]
    command = [shell, option, script.replace("$$", "$").replace("/run.sh", str(run))]
    environment = {"GF_SECURITY_ADMIN_PASSWORD": password, "PATH": "/usr/bin:/bin"}

    def used() -> str:
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    if password:
        assert used() == password
    else:
        assert len(used()) == 32
        assert used() != used()
