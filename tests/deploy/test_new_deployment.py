"""The Compose file that `mamba init` writes follows the conventions of docker-compose.yml."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from mamba.scaffold.deployment import deployment_files
from shared.version import installed_version
from tests.support.deploy.helm import ROOT
from tests.support.deploy.tools import tool
from tests.support.deploy.valkey_config import effective_config

REPOSITORY_FILE = ROOT / "docker-compose.yml"
SERVICES = ("valkey", "api", "worker")
#: What the services of both files have in common.
SHARED = (
    *("restart", "read_only", "tmpfs", "cap_drop", "security_opt", "mem_limit", "user"),
    *("ports", "volumes", "depends_on", "healthcheck", "extra_hosts", "deploy"),
    "stop_grace_period",
)


@pytest.fixture(scope="module")
def text() -> str:
    return deployment_files("mk_key")["compose.yaml"]


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    return yaml.safe_load(text)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return yaml.safe_load(REPOSITORY_FILE.read_text())["services"]


def test_compose_file_matches_the_specification(text: str, tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(text)

    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(file))


def test_services_are_valkey_api_and_worker(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == set(SERVICES)
    assert set(compose["volumes"]) == {"valkey"}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("field", SHARED)
def test_service_is_configured_as_in_the_repository(
    compose: dict[str, Any], services: dict[str, Any], service: str, field: str
) -> None:
    expected = services[service].get(field)
    if expected == "${VALKEY_MEMORY:-1g}":
        expected = "1g"

    assert compose["services"][service].get(field) == expected


@pytest.mark.parametrize("role", ["api", "worker"])
def test_image_has_the_name_and_the_installed_version(compose: dict[str, Any], role: str) -> None:
    tag = f"${{MAMBA_VERSION:-{installed_version()}}}"

    assert compose["services"][role]["image"] == f"${{MAMBA_IMAGES:-mamba-server}}/{role}:{tag}"


@pytest.mark.parametrize("role", ["api", "worker"])
def test_environment_names_the_store_and_the_key(
    compose: dict[str, Any], services: dict[str, Any], role: str
) -> None:
    environment = compose["services"][role]["environment"]

    assert set(environment) == {"MAMBA_REDIS__URL", "OPENAI_API_KEY"}
    assert environment.items() <= services[role]["environment"].items()


async def test_valkey_keeps_every_write(
    compose: dict[str, Any], services: dict[str, Any], tmp_path: Path
) -> None:
    command = services["valkey"]["command"]
    written = compose["services"]["valkey"]["command"]

    assert written == [part.replace("${VALKEY_MAXMEMORY:-512mb}", "512mb") for part in command]
    assert (await effective_config(written[1:], tmp_path))["appendonly"] == "yes"
