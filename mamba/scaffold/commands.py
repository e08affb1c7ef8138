"""Definitions of the commands that write files."""

from pathlib import Path
from typing import Annotated

import typer

from mamba.cli_errors import CommandFailed, report_errors

agent = typer.Typer(
    help="Create an agent package.",
    epilog="Example: mamba agent new weather",
    no_args_is_help=True,
)


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: mamba init /srv/mamba")(init)
    app.add_typer(agent, name="agent")


def init(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder of the deployment.", file_okay=False),
    ] = Path(),
    *,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
) -> None:
    """Write the files of a new deployment.

    These are settings, an agent, and a Compose file. Creates an API key, prints it once, and writes
    its hash into the settings.
    """
    from mamba.scaffold.deployment import deployment_files, next_steps  # noqa: PLC0415
    from mamba.scaffold.new_files import existing_files, write_files  # noqa: PLC0415
    from shared.api_key import new_api_key  # noqa: PLC0415

    with report_errors():
        api_key = new_api_key()
        files = deployment_files(api_key)
        if not force and (existing := existing_files(folder, files)):
            raise CommandFailed(
                f"Nothing was written, because these files exist: {existing}. "
                "Overwrite them with --force, or choose another folder."
            )
        write_files(folder, files)
        typer.echo(next_steps(folder, api_key))


@agent.command(epilog="Example: mamba agent new weather --dir agents")
def new(
    name: Annotated[str, typer.Argument(help="Name of the agent, as requests send it.")],
    *,
    folder: Annotated[
        Path,
        typer.Option("--dir", metavar="DIR", help="Parent folder of the package.", file_okay=False),
    ] = Path(),
) -> None:
    """Write a Python package with a new agent.

    The agent has a tool that requires approval, and a test.
    """
    from mamba.scaffold.agent_package import (  # noqa: PLC0415
        check_agent_name,
        next_steps,
        package_files,
        package_name,
    )
    from mamba.scaffold.new_files import existing_files, write_files  # noqa: PLC0415

    with report_errors():
        check_agent_name(name)
        package = folder / package_name(name)
        if existing_files(folder, [package.name]):
            raise CommandFailed(f"{package} exists. Choose another name or another --dir.")
        write_files(package, package_files(name))
        typer.echo(next_steps(package, name))
