"""The images of the documentation are small enough for a README."""

from pathlib import Path

from PIL import Image

from tests.support.browser.playground_pictures import IMAGES, MAX_BYTES, RECORDING


def test_recording_is_small_and_animated() -> None:
    with Image.open(RECORDING) as recording:
        assert getattr(recording, "n_frames", 1) > 20
    assert RECORDING.stat().st_size < MAX_BYTES


def test_images_are_used() -> None:
    root = Path(__file__).parents[2]
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    text = "".join(page.read_text() for page in pages)
    assert [image.name for image in IMAGES.iterdir() if image.name not in text] == []
