"""`make pictures`: records the playground while its worker is killed, and takes screenshots.

The recording shows the pauses of this machine, so nothing else should run meanwhile.
"""

import base64
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from PIL import Image

from tests.support.browser.page import Browser, open_browser
from tests.support.browser.playground_window import PlaygroundWindow, open_playground
from tests.support.system.dev import Dev, dev, until
from web.page import PLAYGROUND, ROOT

IMAGES = ROOT / "docs" / "images"
RECORDING = IMAGES / "playground-recording.webp"
MAX_BYTES = 1_000_000
#: In CSS pixels; GitHub shows a README about as wide. The image has more pixels, for sharp text.
WIDTH, HEIGHT, SCALE = 920, 640, 1.5
_PROMPT = "Count to 250"
_KILL = "Kill the worker"
_SUMMARY = re.compile(r"\d+ events, 0 lost, 0 repeated, digest verified")
_END_SECONDS = 4.0

#: Leaves out the list of chats, and adds a pointer, which screenshots do not contain.
_PREPARE = """
document.querySelector('.sidebar').hidden = true;
document.querySelector('.sidebar').style.display = 'none';
document.querySelector('.columns').style.gridTemplateColumns = 'minmax(0, 1fr) 380px';
const pointer = document.createElement('div');
pointer.id = 'pointer';
Object.assign(pointer.style, {
  position: 'fixed', zIndex: 9, width: '26px', height: '26px', margin: '-13px', borderRadius: '50%',
  background: 'rgb(59 116 217 / 45%)', border: '2px solid rgb(59 116 217)',
  display: 'none', pointerEvents: 'none',
});
document.body.append(pointer);
"""
_POINT = """
(() => {
  const button = [...document.querySelectorAll('button')].find(b => b.innerText.includes(%s));
  const box = button.getBoundingClientRect();
  const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
  const { style } = document.querySelector('#pointer');
  Object.assign(style, {display: '', left: `${x}px`, top: `${y}px`});
})()
"""
#: Keeps the newest entry of the timeline in view.
_SCROLL = "document.querySelector('.side').scrollTop = 9999"
_HIDE_POINTER = "document.querySelector('#pointer').style.display = 'none'"


@dataclass
class FrameRecorder:
    """Takes frames of a page. A frame is shown until the next one was taken."""

    page: PlaygroundWindow
    frames: list[Image.Image] = field(default_factory=list[Image.Image])
    taken_at: list[float] = field(default_factory=list[float])

    def take(self) -> None:
        self.page.window.evaluate(_SCROLL)
        shot = self.page.window.call("Page.captureScreenshot", format="png", optimizeForSpeed=True)
        image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
        if self.frames and self.frames[-1].tobytes() == image.tobytes():
            return
        self.frames.append(image)
        self.taken_at.append(time.monotonic())

    def take_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.take()

    def take_until(self, expression: str) -> None:
        while not self.page.window.evaluate(expression):
            self.take()

    def save(self, path: Path) -> None:
        ends = [*self.taken_at[1:], self.taken_at[-1] + _END_SECONDS]
        milliseconds = [
            round(1000 * (end - start)) for start, end in zip(self.taken_at, ends, strict=True)
        ]
        first, *others = self.frames
        first.save(
            path,
            save_all=True,
            append_images=others,
            duration=milliseconds,
            loop=0,
            lossless=True,
            method=6,
            minimize_size=True,
        )


def record(page: PlaygroundWindow) -> FrameRecorder | None:
    """Return None if the page cannot kill the worker that executes the run."""
    window = page.window
    window.set_color_scheme("light")
    metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": SCALE, "mobile": False}
    window.call("Emulation.setDeviceMetricsOverride", **metrics)
    window.call("Emulation.setScrollbarsHidden", hidden=True)
    window.evaluate(_PREPARE)
    recorder = FrameRecorder(page)
    recorder.take_for(0.5)
    window.click(".composer textarea")
    for character in _PROMPT:
        window.type(character)
        recorder.take()
    recorder.take_for(0.4)
    window.press("Enter")
    recorder.take_until(_shows("answer", "60,"))
    window.evaluate(_POINT % json.dumps(_KILL))
    recorder.take_for(0.6)
    page.break_it(_KILL)
    recorder.take_for(0.4)
    window.evaluate(_HIDE_POINTER)
    if window.text(".break-it [role=alert]"):
        return None
    recorder.take_until(_shows("answer", "250. Done."))
    recorder.take_until(_shows("timeline", "verified"))
    assert "Attempt 2 continues" in window.text(".timeline")
    recorder.take_for(0.3)
    assert _SUMMARY.fullmatch(page.wait_for_summary())
    return recorder


def _shows(part: str, text: str) -> str:
    selector = {"answer": ".message.assistant", "timeline": ".timeline"}[part]
    return f"(document.querySelector('{selector}')?.innerText ?? '').includes({json.dumps(text)})"


def take_screenshots(browser: Browser, url: str) -> None:
    for scheme in ("light", "dark"):
        with open_playground(browser, url, f"chart-{scheme}") as page:
            page.window.set_color_scheme(scheme)
            page.send("Show me a chart")
            page.wait_for_summary()
            page.window.wait_until("document.querySelector('.recharts-rectangle') !== null")
            page.send("Send an email, with my approval")
            page.window.wait_for_text("send_email", ".approval")
            page.wait_for_summary()
            save(page, f"playground-{scheme}")
    with open_playground(browser, url, "recording") as page:
        page.window.set_color_scheme("light")
        page.window.resize(390, 780, phone=True)
        page.wait_for_answer("Done.")
        save(page, "playground-phone")


def save(page: PlaygroundWindow, name: str) -> None:
    page.window.evaluate("new Promise(resolve => setTimeout(resolve, 1500))")
    (IMAGES / f"{name}.webp").write_bytes(page.window.screenshot())


def record_killed_worker(browser: Browser, url: str) -> None:
    """Record chats until one is executed by the worker that the page can kill."""
    while True:
        with open_playground(browser, url, "recording") as page:
            if recorder := record(page):
                return recorder.save(RECORDING)
            page.window.evaluate("localStorage.clear()")
        httpx.delete(f"{url}/chat/recording")


def start_second_worker(running: Dev) -> None:
    """Start a worker that takes over at once. It ends with `running`."""
    found = re.search(r"MAMBA_REDIS__URL=(\S+)", running.output)
    assert found, running.output
    settings = {"MAMBA_REDIS__URL": found[1], "MAMBA_OPENAI__DEMO": "true"}
    output = running.folder / "second"
    command = [sys.executable, "-m", "mamba", "worker"]
    with output.open("wb") as file:
        subprocess.Popen(
            command, cwd=running.folder, env=os.environ | settings, stdout=file, stderr=file
        )
    until(lambda: "worker.started" in output.read_text())


def main() -> None:
    PLAYGROUND.build()
    with tempfile.TemporaryDirectory() as folder, dev(Path(folder)) as running:
        until(running.is_ready)
        start_second_worker(running)
        url = f"http://127.0.0.1:{running.port}"
        with open_browser() as browser:
            record_killed_worker(browser, url)
            take_screenshots(browser, url)
        running.press_ctrl_c()
        running.process.wait()


if __name__ == "__main__":
    main()
