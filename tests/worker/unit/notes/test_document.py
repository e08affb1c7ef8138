import time

import pytest

from worker.notes.document import split_document


def test_markdown_is_split_at_headings() -> None:
    text = "Intro\n\n# Guide\nAbove\n## First step\nDo it\n### Detail\nMore\n## Last\nDone\n"
    passages = split_document("guide/start.md", text)

    assert [(p.id, p.heading, p.text) for p in passages] == [
        ("guide/start.md#guide", "", "Intro"),
        ("guide/start.md#guide-2", "Guide", "Above"),
        ("guide/start.md#first-step", "Guide > First step", "Do it"),
        ("guide/start.md#detail", "Guide > First step > Detail", "More"),
        ("guide/start.md#last", "Guide > Last", "Done"),
    ]
    assert {p.title for p in passages} == {"Guide"}


def test_front_matter_title_is_used_and_removed() -> None:
    [passage] = split_document("a.md", '---\ntags: [x]\ntitle: "The plan"\n---\nBody\n')

    assert (passage.title, passage.text) == ("The plan", "Body")


def test_comment_in_code_block_is_not_a_heading() -> None:
    [passage] = split_document("a.md", "# Run\n```sh\n# not a heading\nmake\n```\nafter\n")

    assert "# not a heading" in passage.text
    assert "after" in passage.text


def test_html_is_reduced_to_its_visible_text() -> None:
    page = (
        "<html><head><title>Prices</title><style>p{}</style></head><body><nav>Home</nav>"
        "<h1>Plans</h1><p>The <b>small</b> plan costs 5 €.</p><script>track()</script></body>"
    )
    [passage] = split_document("prices.html", page)

    assert (passage.title, passage.heading) == ("Prices", "Plans")
    assert passage.text == "The **small** plan costs 5 €."


def test_plain_text_has_no_headings() -> None:
    [passage] = split_document("notes/todo.txt", "# this is no heading\nbuy milk")

    assert (passage.title, passage.heading) == ("todo", "")
    assert passage.text.startswith("# this")


def test_long_section_is_split_between_paragraphs() -> None:
    text = "# Long\n" + "\n\n".join(f"Paragraph {n}. " + "word " * 100 for n in range(20))
    passages = split_document("long.md", text)

    assert len(passages) > 3
    assert all(p.text.startswith("Paragraph") and len(p.text) <= 2100 for p in passages)
    assert [p.id for p in passages[:3]] == ["long.md#long", "long.md#long-2", "long.md#long-3"]


def test_empty_document_has_no_passages() -> None:
    for name in ("a.md", "a.html", "a.txt"):
        assert split_document(name, "") == []


def test_hashes_are_part_of_a_heading() -> None:
    passages = split_document("a.md", "# C#\none\n## F# #\ntwo\n### #\nthree\n#no heading\n")

    assert [p.heading for p in passages] == ["C#", "C# > F#"]
    assert passages[1].text == "two\n### #\nthree\n#no heading"


def test_headings_with_the_same_anchor_have_distinct_ids() -> None:
    passages = split_document("a.md", "# x\n1\n# x\n2\n# x 2\n3\n# X-2\n4\n")

    assert len({passage.id for passage in passages}) == 4


@pytest.mark.parametrize("unit", ["<a ", "<a href='", '<a href="x" ', " <!-- ", "<a b="])
@pytest.mark.parametrize("end", ["", ">", "-->"])
def test_tags_without_end_are_read_in_bounded_time(unit: str, end: str) -> None:
    started = time.process_time()
    split_document("a.html", f"<p>Mamba</p>{unit * 20_000}{end}")
    assert time.process_time() - started < 10


def test_text_around_tags_and_comments_without_end_is_kept() -> None:
    content = "<p>a <!-- <b>x</b> --> 1 < 2 <i>y</i> and 3 < 4 <!-- z <b"

    [passage] = split_document("a.html", content)
    assert passage.text == "a  1 < 2 *y* and 3 < 4 <!-- z <b"
