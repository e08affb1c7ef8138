import pytest

from shared.queue.commands import Command, DrainWorker, StopJob, decode_command, encode_command


@pytest.mark.parametrize(
    ("command", "message"), [(StopJob("run-1"), b"stop run-1"), (DrainWorker(), b"drain")]
)
def test_command_round_trips(command: Command, message: bytes) -> None:
    assert encode_command(command) == message
    assert decode_command(message) == command


@pytest.mark.parametrize("message", [b"", b"stop", b"stop a b", b"restart worker-1", b"\xff\xfe"])
def test_unknown_command_decodes_to_none(message: bytes) -> None:
    assert decode_command(message) is None
