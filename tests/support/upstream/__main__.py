"""Runs the server. The first line on stdout is JSON with the port it listens on."""

import argparse
import json
import os
import socket
import sys
from types import FrameType

import uvicorn

from tests.support.upstream.app import create_app
from tests.support.upstream.connection import Protocol


class UpstreamServer(uvicorn.Server):
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        # Open streams may never end, and there is nothing to save.
        os._exit(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.support.upstream")
    parser.add_argument("--port", type=int, default=0)
    listener = socket.create_server(("127.0.0.1", parser.parse_args().port), backlog=2048)
    sys.stdout.write(json.dumps({"port": listener.getsockname()[1]}) + "\n")
    sys.stdout.flush()
    config = uvicorn.Config(
        create_app(),
        loop="uvloop",
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="error",
        access_log=False,
    )
    UpstreamServer(config).run(sockets=[listener])


main()
