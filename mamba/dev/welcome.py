"""What `mamba dev` says once it serves: the next things to try."""

import sys

ANYWHERE = {"127.0.0.1", "0.0.0.0", "::", "::1", "localhost"}

DEMO = """
The built-in demo model answers. For a real one, start this again with one of these set:
  OPENAI_API_KEY=sk-…
  OPENAI_API_BASE_URL=http://localhost:11434/v1    (any OpenAI-compatible endpoint)
"""


def welcome(host: str, port: int, *, demo: bool, redis: str = "") -> str:
    """`redis` is the URL of the embedded server, which the other commands have to be told."""
    place = f"{'localhost' if host in ANYWHERE else host}:{port}"
    return f"""
Mamba Server is ready at http://{place}, its documentation at http://{place}/docs,
its console at http://{place}/ops
{DEMO if demo else ""}
Ask it something:
  {_chat(place, '"messages":[{"role":"user","content":"Hello"}]')}

Name the chat, break off with Ctrl-C, and come back to the same answer:
  {_chat(place, '"id":"first","messages":[{"role":"user","content":"Count to 200"}]')}
  curl -N {place}/chat/first/stream

Watch it:
  {f"MAMBA_REDIS__URL={redis} " if redis else ""}{_program()} top

Ctrl-C here ends all of it.
"""


def _program() -> str:
    return sys.argv[0] if sys.argv[0].endswith("mamba") else "python -m mamba"


def _chat(place: str, body: str) -> str:
    return f"curl -N {place}/chat -H 'content-type: application/json' -d '{{{body}}}'"
