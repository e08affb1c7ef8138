"""What `mamba dev` says once it serves: the next things to try."""

ANYWHERE = {"127.0.0.1", "0.0.0.0", "::", "::1", "localhost"}

DEMO = """
The built-in demo model answers. For a real one, start it like this:
  OPENAI_API_KEY=sk-… mamba dev
  OPENAI_API_BASE_URL=http://localhost:11434/v1 mamba dev    (any OpenAI-compatible endpoint)
"""


def welcome(host: str, port: int, *, demo: bool) -> str:
    place = f"{'localhost' if host in ANYWHERE else host}:{port}"
    return f"""
Mamba Server is ready at http://{place}, its documentation at http://{place}/docs
{DEMO if demo else ""}
Ask it something:
  curl -N {place}/chat -H 'content-type: application/json' \
-d '{{"messages":[{{"role":"user","content":"Hello"}}]}}'

Lose the connection, and follow the same answer again from its start:
  curl -N {place}/chat/<chat id>/stream

Ctrl-C ends all of it.
"""
