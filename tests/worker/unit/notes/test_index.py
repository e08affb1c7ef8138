import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from worker.notes import index as module
from worker.notes.index import NotesIndex

CORPUS = Path(module.__file__).parent / "corpus"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ops").mkdir()
    (tmp_path / "ops/backup.md").write_text(
        "# Backups\n## Schedule\nThe database is saved each night at two.\n"
        "## Restore\nRun the restore job, then check the counts.\n"
    )
    (tmp_path / "menu.txt").write_text("Crème brûlée on Fridays")
    return tmp_path


@pytest.fixture
async def index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[NotesIndex]:
    monkeypatch.setattr(module, "_SCAN_SECONDS", 0.0)
    async with NotesIndex(folder) as index:
        yield index


async def ids(index: NotesIndex, query: str) -> list[str]:
    return [hit.passage.id for hit in await index.search(query)]


async def test_natural_language_question_finds_the_passage(index: NotesIndex) -> None:
    [hit, *_] = await index.search("When is the database saved?")

    assert hit.passage.id == "ops/backup.md#schedule"
    assert hit.passage.heading == "Backups > Schedule"
    assert "each night at two" in hit.snippet


async def test_search_ignores_inflection_and_accents(index: NotesIndex) -> None:
    assert await ids(index, "restoring") == ["ops/backup.md#restore"]
    assert await ids(index, "creme BRULEE") == ["menu.txt#menu"]


async def test_heading_match_ranks_above_text_match(index: NotesIndex, folder: Path) -> None:
    (folder / "a.md").write_text("# Other\nA word about the restore here, and more words.\n")

    assert (await ids(index, "restore"))[0] == "ops/backup.md#restore"


async def test_query_syntax_is_treated_as_plain_text(index: NotesIndex) -> None:
    for query in ('"', "NEAR(", "title:", "a AND", "*", "-", "", "💥", "' OR 1=1 --"):
        assert isinstance(await index.search(query), list)


async def test_index_follows_folder_changes(index: NotesIndex, folder: Path) -> None:
    assert await ids(index, "zebra") == []

    new = folder / "animals.md"
    new.write_text("# Zebra\nStripes.\n")
    assert await ids(index, "zebra") == ["animals.md#zebra"]

    new.write_text("# Giraffe\nA long neck.\n")
    assert await ids(index, "zebra") == []
    assert await ids(index, "giraffe") == ["animals.md#giraffe"]

    new.unlink()
    assert await ids(index, "giraffe") == []


async def test_passage_is_read_by_id(index: NotesIndex) -> None:
    passage = await index.read("ops/backup.md#restore")

    assert passage is not None
    assert passage.text == "Run the restore job, then check the counts."
    assert await index.read("ops/backup.md#nothing") is None
    assert await index.read("../../etc/passwd") is None


async def test_hidden_large_unsupported_and_linked_files_are_ignored(
    index: NotesIndex, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.md"
    outside.write_text("# Secret\nzebra\n")
    (folder / "link.md").symlink_to(outside)
    (folder / ".hidden.md").write_text("zebra")
    (folder / "zebra.bin").write_text("zebra")
    (folder / "large.md").write_text("zebra " * 500_000)

    assert await ids(index, "zebra") == []


async def test_missing_folder_has_no_results(tmp_path: Path) -> None:
    async with NotesIndex(tmp_path / "none") as index:
        assert await index.search("anything") == []


async def test_file_that_is_not_utf_8_is_found(index: NotesIndex, folder: Path) -> None:
    (folder / "old.txt").write_bytes("caf\xe9 zebra".encode("latin-1"))

    assert await ids(index, "zebra") == ["old.txt#old"]


async def test_unreadable_file_does_not_affect_others(index: NotesIndex, folder: Path) -> None:
    (folder / "dead.md").symlink_to(folder / "nowhere.md")
    os.mkfifo(folder / "pipe.md")

    assert await ids(index, "restoring") == ["ops/backup.md#restore"]


@pytest.mark.parametrize(
    ("question", "note"),
    [
        ("How do I resume a stream after a reload?", "resume.md"),
        ("What happens when a worker is killed?", "workers.md#when-a-worker-is-killed"),
        ("Which cursor is answered with 410?", "resume.md#when-the-answer-is-no-longer-kept"),
        ("How do I stop an answer for good?", "stopping.md"),
        ("Is a rate limit retried?", "failures.md"),
        ("How do I add a provider?", "models.md"),
    ],
)
async def test_bundled_corpus_answers_questions_about_mamba(question: str, note: str) -> None:
    async with NotesIndex(CORPUS) as index:
        assert (await ids(index, question))[0].startswith(note)
