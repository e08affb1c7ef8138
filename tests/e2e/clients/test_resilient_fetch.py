import subprocess
from pathlib import Path

from web.node import find_node

CLIENTS = Path(__file__).parents[3] / "clients"


def test_resilient_fetch_unit_tests_pass() -> None:
    command = [find_node().path, "--test", CLIENTS / "resilient-fetch.test.js"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout
