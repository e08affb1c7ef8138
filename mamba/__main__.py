"""The `mamba` command. `python -m mamba` without a subcommand is `mamba api`."""

import sys


def main() -> None:
    # Containers run the probe every few seconds, so it must not load the other commands.
    match sys.argv[1:]:
        case ["probe", ("api" | "worker") as role]:
            from mamba.operate import probe  # noqa: PLC0415

            if (exit_code := probe.run(role)) is not None:
                raise SystemExit(exit_code)
        case _:
            pass
    from mamba import cli  # noqa: PLC0415

    cli.main()


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.argv.append("api")
    main()
