"""Notes are found by questions in their language, whatever its script."""

from pathlib import Path

import pytest

from worker.notes.index import NotesIndex
from worker.notes.terms import query_terms

NOTES = {
    "backup-de.md": "# Datensicherung\nDie Datenbank wird jede Nacht um zwei Uhr gesichert. "
    "Die Sicherungen werden dreißig Tage aufbewahrt.\n",
    "holiday-de.md": "# Urlaub\nDen Antrag stellen Sie bei der Personalabteilung in Köln.\n",
    "backup-ru.md": "# Резервные копии\nРезервное копирование базы данных выполняется каждую ночь. "
    "Ещё раз проверьте журнал.\n",
    "holiday-ru.md": "# Отпуск\nЗаявление на отпуск подаётся начальнику отдела.\n",
    "backup-ja.md": "# バックアップ\n"
    "データベースは毎晩二時に保存されます。復元の手順は次の通り。\n",
    "holiday-ja.md": "# 休暇\n休暇の申請は上司に提出してください。\n",
    "backup-zh.md": "# 备份\n数据库每天凌晨两点自动备份。恢复之前请先停止服务。\n",
    "holiday-zh.md": "# 假期\n请假申请需要提前一周提交给经理。\n",
    "backup-th.md": "# การสำรองข้อมูล\nฐานข้อมูลจะถูกสำรองทุกคืนเวลาสองนาฬิกา\n",
    "holiday-th.md": "# วันลา\nพนักงานต้องส่งใบลาล่วงหน้าหนึ่งสัปดาห์\n",
    "backup-ko.md": "# 백업\n데이터베이스는 매일 밤 두 시에 저장됩니다.\n",
    "backup-el.md": "# Αντίγραφα\nΗ βάση δεδομένων αποθηκεύεται κάθε νύχτα.\n",
    "backup-ar.md": "# النسخ الاحتياطي\nيتم حفظ قاعدة البيانات كل ليلة.\n",
    "backup-hi.md": "# बैकअप\nडेटाबेस हर रात दो बजे सहेजा जाता है।\n",
    "backup-fr.md": "# Sauvegardes\n"
    "La base de données est sauvegardée chaque nuit à deux heures.\n",
    "width.md": "# ＡＰＩキー\nＴｏｋｅｎは ﾊﾟｽﾜｰﾄﾞ と同じです。\n",
}

QUESTIONS = [
    ("Wann werden die Datenbanken gesichert?", "backup-de.md"),
    ("Wie lange bewahren wir eine Sicherung auf?", "backup-de.md"),
    ("urlaubsantrag stellen koln", "holiday-de.md"),
    ("DREISSIG", "backup-de.md"),
    ("Когда выполняются резервные копии баз данных?", "backup-ru.md"),
    ("еще", "backup-ru.md"),
    ("Как подать заявления на отпуска?", "holiday-ru.md"),
    ("データベースはいつ保存されますか?", "backup-ja.md"),
    ("復元", "backup-ja.md"),
    ("休暇を申請したい", "holiday-ja.md"),
    ("数据库什么时候备份?", "backup-zh.md"),
    ("恢复", "backup-zh.md"),
    ("怎么请假", "holiday-zh.md"),
    ("夜", None),
    ("ฐานข้อมูลสำรองเมื่อไร", "backup-th.md"),
    ("ใบลา", "holiday-th.md"),
    ("데이터베이스를 언제 저장합니까?", "backup-ko.md"),
    ("ΒΆΣΕΙΣ ΔΕΔΟΜΈΝΩΝ", "backup-el.md"),
    ("قواعد البيانات", "backup-ar.md"),
    ("डेटाबेस", "backup-hi.md"),
    ("Quand la base est-elle sauvegardee?", "backup-fr.md"),
    ("api token", "width.md"),
    ("パスワード", "width.md"),
    ("晩", "backup-ja.md"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in NOTES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(("question", "note"), QUESTIONS)
async def test_question_finds_the_note(folder: Path, question: str, note: str | None) -> None:
    async with NotesIndex(folder) as index:
        found = [hit.passage.path for hit in await index.search(question)]

    assert found[:1] == ([note] if note else [])


async def test_excerpt_shows_the_match_in_a_long_text(tmp_path: Path) -> None:
    filler = "これは長い前置きです。" * 60
    (tmp_path / "long.md").write_text(
        f"{filler}解約の方法は次の通りです。{filler}", encoding="utf-8"
    )

    async with NotesIndex(tmp_path) as index:
        [hit, *_] = await index.search("解約")

    assert "解約の方法" in hit.snippet
    assert len(hit.snippet) < 400


async def test_exact_word_ranks_above_a_word_with_the_same_stem(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("The universe is large and full of stars.\n")
    (tmp_path / "b.md").write_text("The university is large and full of people.\n")

    async with NotesIndex(tmp_path) as index:
        hits = await index.search("university")

    assert hits[0].passage.path == "b.md"


def test_common_words_count_only_alone() -> None:
    assert query_terms("How do I do it") == query_terms("how do i do it")
    assert "how" not in query_terms("How is it restored")
    assert "how" in query_terms("how")
