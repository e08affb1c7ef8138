"""The code review agent reports the planted findings of a diff, and none for a clean diff."""

import asyncio
import json
from base64 import b64encode

import pytest

from tests.support.ai_client.driver import AiClient, Version
from tests.support.sse_client import DONE, Json, SseClient
from tests.support.system.running_system import System

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLANTED = """\
Please review:

diff --git a/shop/cart.py b/shop/cart.py
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -20,5 +20,9 @@ class Cart:
     def total(self, rates):
-        return sum(item.price for item in self.items)
+        try:
+            rate = eval(rates)
+        except:
+            rate = 1
+        return sum(item.price * rate for item in self.items)

     def empty(self):
diff --git a/web/cart.ts b/web/cart.ts
--- a/web/cart.ts
+++ b/web/cart.ts
@@ -3,3 +3,3 @@
 export function show(cart: Cart, node: HTMLElement) {
-  node.textContent = cart.name;
+  node.innerHTML = cart.name;
 }
"""
CLEAN = """\
diff --git a/shop/cart.py b/shop/cart.py
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -20,3 +20,3 @@ class Cart:
     def total(self) -> int:
-        return sum(item.price for item in self.items)
+        return sum(item.price * item.count for item in self.items)
"""


def call(number: int, name: str, arguments: Json) -> Json:
    return {"tool": {"id": f"call-{number}", "name": name, "arguments": json.dumps(arguments)}}


FINDING: Json = {
    "path": "shop/cart.py",
    "line": 22,
    "severity": "high",
    "category": "security",
    "title": "Text becomes code",
    "explanation": "Anyone who can send rates can run code.",
    "suggestion": "Use float(rates).",
}


@pytest.mark.parametrize("version", ["5", "6", "7"])
async def test_planted_findings_are_shown_as_cards(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    await system.upstream.script(
        name,
        [
            [call(1, "list_files", {}), call(2, "find_problems", {})],
            [call(3, "report_finding", FINDING)],
            [{"text": ["Not yet."]}],
        ],
    )
    body = {"model": name, "agent": "code_review"}
    answer = await ai.send(ai=version, api=system.chat, chat=name, body=body, text=PLANTED)

    assert answer.message is not None
    parts = {part["type"]: part for part in answer.message["parts"]}
    assert parts["tool-list_files"]["output"] == [
        {"path": "shop/cart.py", "language": "python", "lines": 8, "changed_lines": 5},
        {"path": "web/cart.ts", "language": "typescript", "lines": 3, "changed_lines": 1},
    ]
    found = {(f["path"], f["line"], f["rule"]) for f in parts["tool-find_problems"]["output"]}
    assert found == {
        ("shop/cart.py", 22, "ruff:S307"),
        ("shop/cart.py", 23, "ruff:E722"),
        ("web/cart.ts", 4, "shape:inner-html"),
    }
    card = parts["data-card"]["data"]
    assert (card["title"], card["subtitle"]) == ("Text becomes code", "shop/cart.py:22")
    assert card["badges"] == [{"label": "high", "tone": "danger"}]
    assert parts["text"]["text"] == "Not yet."


@pytest.mark.parametrize("version", ["5", "6", "7"])
async def test_reload_at_any_event_shows_the_complete_review(
    system: System, ai: AiClient, name: str, version: Version
) -> None:
    await system.upstream.script(
        name,
        [
            [call(1, "find_problems", {})],
            [call(2, "report_finding", FINDING)],
            [{"text": ["Not ", "yet."]}],
        ],
    )

    async def reload(cut: int) -> None:
        page = await ai.send(
            ai=version,
            api=system.chat,
            chat=f"{name}-{cut}",
            text=PLANTED,
            body={"model": name, "agent": "code_review"},
            cut_after=cut,
            on_cut="reload",
        )
        assert (page.error, page.status, page.text) == (None, "ready", "Not yet.")
        assert page.message is not None
        cards = [part for part in page.message["parts"] if part["type"] == "data-card"]
        assert [card["data"]["title"] for card in cards] == ["Text becomes code"]

    await asyncio.gather(*map(reload, range(1, 16)))


async def test_clean_diff_has_no_findings(system: System, ai: AiClient, name: str) -> None:
    script = [[call(1, "find_problems", {}), call(2, "analyze_complexity", {})]]
    await system.upstream.script(name, [*script, [{"text": ["It can go in."]}]])
    body = {"model": name, "agent": "code_review"}
    answer = await ai.send(ai="7", api=system.chat, chat=name, body=body, text=CLEAN)

    assert answer.message is not None
    parts = {part["type"]: part for part in answer.message["parts"]}
    assert parts["tool-find_problems"]["output"] == []
    [measured] = parts["tool-analyze_complexity"]["output"]
    assert [function["name"] for function in measured["functions"]] == ["total"]


async def test_finding_on_a_missing_line_is_rejected(
    system: System, ai: AiClient, name: str
) -> None:
    nowhere = [{**FINDING, "line": 900}, {**FINDING, "path": "shop/other.py"}]
    calls = [call(number, "report_finding", finding) for number, finding in enumerate(nowhere)]
    await system.upstream.script(name, [calls, [{"text": ["Sorry."]}]])
    body = {"model": name, "agent": "code_review"}
    answer = await ai.send(ai="7", api=system.chat, chat=name, body=body, text=PLANTED)

    assert answer.message is not None
    reports = [part for part in answer.message["parts"] if part["type"] == "tool-report_finding"]
    assert [part["state"] for part in reports] == ["output-error", "output-error"]
    assert "no line 900" in reports[0]["errorText"]
    assert "web/cart.ts" in reports[1]["errorText"]
    assert not [part for part in answer.message["parts"] if part["type"] == "data-card"]


async def test_attached_file_is_reviewed_under_its_name(
    system: System, sse: SseClient, name: str
) -> None:
    await system.upstream.script(name, [[call(1, "find_problems", {})], [{"text": ["Done."]}]])
    code = b"print(eval(input()))\n"
    file: Json = {
        "type": "file",
        "mediaType": "text/x-python",
        "filename": "tool.py",
        "url": f"data:text/x-python;base64,{b64encode(code).decode()}",
    }
    parts: list[Json] = [file, {"type": "text", "text": "Is it safe?"}]
    messages: list[Json] = [{"id": "m1", "role": "user", "parts": parts}]
    body: Json = {"model": name, "agent": "code_review", "messages": messages}
    events = await sse.answer(system.chat, name, **body)

    chunks = [event.chunk for event in events if event.data != DONE]
    [output] = [chunk for chunk in chunks if chunk["type"] == "tool-output-available"]
    assert [(f["path"], f["rule"]) for f in output["output"]] == [("tool.py", "ruff:S307")]
