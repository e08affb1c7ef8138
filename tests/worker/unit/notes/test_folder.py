"""Whatever is in the folder, only the file itself is skipped, with its path and the reason."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from worker.notes import index as module
from worker.notes.document import PASSAGE_CHARS, split_document
from worker.notes.folder import NoteFile, NoteSkipped, read_note
from worker.notes.index import NotesIndex


async def found_in(index: NotesIndex, query: str = "zebra") -> list[str]:
    return [hit.passage.path for hit in await index.search(query, 9)]


def binary(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)


def fifo(folder: Path) -> None:
    os.mkfifo(folder / "bad.md")


def link(folder: Path, target: str) -> None:
    (folder / "bad.md").symlink_to(folder / target)


def outside(folder: Path) -> None:
    secret = folder.parent / "secret.md"
    secret.write_text("zebra")
    link(folder, "../secret.md")


def linked_folder(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "a.md").write_text("zebra")
    (folder / "bad").symlink_to(other)


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "nested": (lambda f: binary(f, "bad.html", b"<p>zebra" * 400), "RecursionError"),
    "many tags": (lambda f: binary(f, "bad.html", b"<p>zebra" * 200_000), "50,000 tags"),
    "large": (lambda f: binary(f, "bad.md", b"zebra " * 500_000), "larger than 2,097,152 bytes"),
    "many headings": (lambda f: binary(f, "bad.md", b"# a\nzebra\n" * 9000), "5,000 passages"),
    "zeros": (lambda f: binary(f, "bad.md", bytes(range(256)) * 9), "not a text"),
    "pdf": (lambda f: binary(f, "bad.md", b"%PDF-1.7\nzebra"), "application/pdf"),
    "image": (lambda f: binary(f, "bad.txt", b"\x89PNG\r\n\x1a\nzebra"), "image/png"),
    "fifo": (fifo, "not a file"),
    "folder": (lambda f: (f / "bad.md").mkdir(), "not a file"),
    "loop": (lambda f: link(f, "bad.md"), "Too many levels of symbolic links"),
    "dangling": (lambda f: link(f, "nowhere.md"), "No such file or directory"),
    "outside": (outside, "leads out of the folder"),
    "linked folder": (linked_folder, "a link to a folder"),
}


@pytest.mark.parametrize("case", BAD)
async def test_bad_file_is_skipped_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setattr(module, "_SCAN_SECONDS", 0.0)
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "good.md").write_text("The zebra is striped.")
    create, reason = BAD[case]
    create(folder)

    with capture_logs() as logs:
        async with NotesIndex(folder) as index:
            await index.search("zebra")
            found = await found_in(index)

    assert found == ["good.md"]
    [skipped] = [entry for entry in logs if entry["event"] == "notes.skipped"]
    assert skipped["path"] in ("bad", "bad.md", "bad.html", "bad.txt")
    assert reason in skipped["reason"]


async def test_file_without_permission_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "good.md").write_text("zebra")
    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(NoteSkipped, match="Permission denied"):
        read_note(NoteFile("good.md", tmp_path / "good.md", (0, 0)))


def test_file_that_vanished_is_skipped(tmp_path: Path) -> None:
    with pytest.raises(NoteSkipped, match="No such file"):
        read_note(NoteFile("a.md", tmp_path / "a.md", (0, 0)))


async def test_file_name_that_is_not_utf_8_is_indexed(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.md")).write_text("zebra")

    async with NotesIndex(tmp_path) as index:
        [hit] = await index.search("zebra")
        assert hit.passage.path == "caf\ufffd.md"
        assert await index.read(hit.passage.id) is not None


async def test_notes_beyond_the_limits_are_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SCAN_SECONDS", 0.0)
    monkeypatch.setattr(module, "_MAX_TOTAL_BYTES", 25)
    for name in "abc":
        (tmp_path / f"{name}.md").write_text("zebra 1234")

    with capture_logs() as logs:
        async with NotesIndex(tmp_path) as index:
            await index.search("zebra")
            found = await found_in(index)

    assert found == ["a.md", "b.md"]
    assert [entry["path"] for entry in logs if entry["event"] == "notes.too_many"] == ["c.md"]


TEXT = "# Grüße\nDas Zebra kostet 5 € — „wirklich“.\n"


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("cp1252"),
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode("cp1252"),
        TEXT.replace("\n", "\r").encode(),
    ],
)
async def test_notes_in_other_encodings_are_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.md").write_bytes(content)

    async with NotesIndex(tmp_path) as index:
        [hit] = await index.search("grusse zebra")

    assert (hit.passage.title, hit.passage.heading) == ("Grüße", "Grüße")
    assert hit.passage.text == "Das Zebra kostet 5 € — „wirklich“."


@pytest.mark.parametrize(
    ("meta", "charset"),
    [
        ('<meta charset="windows-1251">', "cp1251"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', "koi8-r"),
        ('<?xml version="1.0" encoding="iso-8859-5"?>', "iso-8859-5"),
        ("<meta charset=shift_jis>", "cp932"),
        ("<meta charset=utf-8>", "utf-8"),
        ("<meta charset=nonsense>", "utf-8"),
    ],
)
async def test_charset_of_html_is_honored(tmp_path: Path, meta: str, charset: str) -> None:
    text = "データ" if charset == "cp932" else "Цена"
    page = f"{meta}<title>{text}</title><p>{text} zebra"
    (tmp_path / "a.html").write_bytes(page.encode(charset))

    async with NotesIndex(tmp_path) as index:
        [hit] = await index.search("zebra")

    assert (hit.passage.title, hit.passage.text) == (text, f"{text} zebra")


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("txt", "word " * 360_000),
        ("md", "x" * 1_800_000),
        ("md", "これは文です。" * 250_000),
        ("html", "これは文です。" * 50_000),
        ("txt", "\n".join(f"line {n}" for n in range(200_000))),
        ("txt", "a\n\n" * 300_000),
        ("md", "# " + " " * 1_000_000 + "x"),
        ("md", "---\ntitle: " + " " * 1_000_000 + "x\n---\n"),
        ("md", "`" * 1_000_000),
        ("md", "\n" * 500_000),
    ],
    ids=range(10),
)
def test_passages_of_any_text_are_bounded(suffix: str, text: str) -> None:
    passages = split_document(f"a.{suffix}", text)

    assert all(len(passage.text) <= PASSAGE_CHARS + 2 for passage in passages)
    assert len(passages) <= 5000
    assert len({passage.id for passage in passages}) == len(passages)


def test_parts_of_a_long_section_refer_to_each_other() -> None:
    first, *_, last = passages = split_document("a.txt", "One sentence. " * 1000)

    assert first.continued == passages[1].id
    assert last.continued == ""
    assert all(passage.text.endswith(".") for passage in passages)
    assert "".join(p.text.replace(" ", "") for p in passages) == "Onesentence." * 1000


MARKUP = st.sampled_from(
    (
        *("# ", "```", "~~~~", "---\n", "title: ", "\n", "\r\n", "- ", "|", "**", "]("),
        *("<p>", "</div>", "<script>", "<!--", "<table><tr><td>", "&amp;"),
        *("漢字", "ไทย", "é", "a", " ", "\0", "\ufeff", "\ud7ff"),
    )
)


@settings(max_examples=settings().max_examples // 3, suppress_health_check=[HealthCheck.too_slow])
@given(
    content=st.lists(MARKUP, max_size=60).map("".join).map(str.encode) | st.binary(max_size=300),
    suffix=st.sampled_from([".md", ".txt", ".html"]),
    query=st.text(max_size=40),
)
def test_any_file_is_indexed_or_skipped(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, suffix: str, query: str
) -> None:
    folder = tmp_path_factory.mktemp("notes")
    (folder / f"any{suffix}").write_bytes(content)
    (folder / "good.md").write_text("The zebra is striped.")

    async def search() -> tuple[list[str], list[str]]:
        async with NotesIndex(folder) as index:
            return await found_in(index), await found_in(index, query)

    assert "good.md" in asyncio.run(search())[0]
