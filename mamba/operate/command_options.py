"""Options and the runner of the commands on a running deployment.

Imports only what `--help` needs.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from mamba.cli_errors import report_errors

if TYPE_CHECKING:
    from mamba.operate.deployment import Deployment

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def run_command(command: "Callable[[Deployment], Awaitable[None]]") -> None:
    """Run a command on the deployment that the settings describe, and report its errors."""
    from mamba.operate.deployment import run_on_deployment  # noqa: PLC0415

    with report_errors():
        run_on_deployment(command)
