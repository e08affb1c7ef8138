"""Settings files as the documentation shows them."""

KEY = "your-secret-key"

CURRENT = """\
server:
  host: "127.0.0.1"
  port: 8000
openai:
  default_model: "gpt-4o"
auth:
  mode: "api_key"
  api_keys:
    - key: "your-secret-key"
      name: "dev-key"
"""
PREVIOUS = """\
server:
  host: "127.0.0.1"
  port: 8000

openai:
  model: "gpt-4o"

auth:
  mode: "api_key"
  api_key: "your-secret-key"
"""
HOME_FILE = "OPENAI_API_KEY=your-api-key\nMAMBA_AUTH__MODE=api_key\n"
