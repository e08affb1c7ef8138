"""Every code block of the front-end pages is run by a test, or cannot be run."""

import json
import re

import yaml

from tests.support.chat_page.documented_code import DOCS, blocks

#: Tests of the blocks in each language, or why there are none. TypeScript is also compiled.
COVERAGE = {
    "answer-metadata js": "tests/shared/unit/streams/test_answer_digest.py",
    "answer-metadata tsx": "tests/e2e/long/chat_page/test_event_source.py",
    "approvals tsx": "tests/e2e/long/chat_page/test_documented_chat.py",
    "chat js": "tests/interop/test_ui_libraries.py, tests/e2e/long/chat_page",
    "chat sh": "would install packages into an application",
    "chat ts": "tests/e2e/long/chat_page",
    "chat tsx": "tests/e2e/long/chat_page/test_documented_chat.py",
    "connect ts": "tests/examples/test_vite_react.py, tests/e2e/long/chat_page",
    "display-tools sh": "the requests of tests/e2e/chat/test_display_tools.py",
    "display-tools tsx": "tests/e2e/long/chat_page/test_documented_chat.py",
    "nextjs ts": "tests/examples/test_nextjs.py",
    "nextjs tsx": "tests/examples/test_nextjs.py",
    "webhooks js": "tests/e2e/clients/test_documented_routes.py",
    "webhooks python": "tests/e2e/clients/test_documented_routes.py",
}


def test_every_language_of_a_page_is_covered() -> None:
    languages = {
        f"{page.stem} {language}"
        for page in DOCS.glob("*.md")
        for language in re.findall(r"^```(\w+)$", page.read_text(), re.MULTILINE)
        if language not in ("json", "yaml")
    }

    assert languages == COVERAGE.keys()


def test_data_blocks_are_valid() -> None:
    for page in DOCS.glob("*.md"):
        for block in blocks(page.stem, "json"):
            assert json.loads(block)
        for block in blocks(page.stem, "yaml"):
            assert yaml.safe_load(block)
