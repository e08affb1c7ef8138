"""Commands that the API and the CLI send to a worker. Delivery is at most once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StopJob:
    """Stop a run or a title."""

    job_id: str


@dataclass(frozen=True, slots=True)
class DrainWorker:
    """Shut the worker down as SIGTERM does."""


Command = StopJob | DrainWorker


def encode_command(command: Command) -> bytes:
    match command:
        case StopJob(job_id):
            return f"stop {job_id}".encode()
        case DrainWorker():
            return b"drain"


def decode_command(message: bytes) -> Command | None:
    """Return the command, or None if this version does not support it."""
    match message.decode(errors="replace").split(" "):
        case ["stop", job_id]:
            return StopJob(job_id)
        case ["drain", *_]:
            return DrainWorker()
        case _:
            return None
