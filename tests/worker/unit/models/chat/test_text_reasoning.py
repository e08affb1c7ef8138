"""Reasoning that a model writes at the start of the text."""

import pytest

from worker.models.chat.text_reasoning.parser import ReasoningParser

ANALYSIS = "<|channel|>analysis<|message|>"
FINAL = "<|start|>assistant<|channel|>final<|message|>"
PREAMBLE = "<|start|>assistant<|channel|>commentary<|message|>"
CALL = '<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"a":1}'
#: Texts with their reasoning and the text that remains.
REASONING: dict[str, tuple[str, str, str]] = {
    "think": ("<think>\nHm\n</think>\n\nHi", "Hm\n", "Hi"),
    "thinking": ("<thinking>Hm</thinking>Hi", "Hm", "Hi"),
    "thought": ("\n <thought>Hm</thought>\nHi", "Hm", "Hi"),
    "tag of the profile": ("<musing>Hm</musing>Hi", "Hm", "Hi"),
    "other tag inside": ("<think>a</thinking>b < c</think>Hi", "a</thinking>b < c", "Hi"),
    "tag that does not end": ("<thought>Hm</though", "Hm</though", ""),
    "second tag": ("<think>Hm</think>Use <think>x</think>", "Hm", "Use <think>x</think>"),
    "Harmony": (f"{ANALYSIS}Hm<|end|>{FINAL}Hi<|return|>", "Hm", "Hi"),
    "Harmony after a role": (f"<|start|>assistant{ANALYSIS}Hm<|end|>{FINAL}Hi", "Hm", "Hi"),
    "Harmony without an end": (f"{ANALYSIS}Hm{FINAL}Hi<|end|>\n", "Hm", "Hi"),
    "Harmony with a preamble": (
        f"{ANALYSIS}Hm<|end|>{PREAMBLE}Wait.<|end|>{FINAL}Hi",
        "Hm",
        "Wait.Hi",
    ),
    "Harmony with a call": (f"{ANALYSIS}Hm<|end|>{CALL}<|call|>", 'Hm{"a":1}', ""),
    "Harmony with the final message only": ("<|channel|>final<|message|>Hi<|return|>", "", "Hi"),
    "Harmony that is cut": (f"{ANALYSIS}Hm<|end|><|start|>assis", "Hm", ""),
    "Harmony that mentions a token": (
        f"{ANALYSIS}Does <|end|> end it?<|end|>{FINAL}Hi",
        "Does <|end|> end it?",
        "Hi",
    ),
    "Harmony whose answer mentions tokens": (
        f"{ANALYSIS}Hm<|end|>{FINAL}`<|end|>` and <|start|>user<|message|>Hi<|end|> end it",
        "Hm",
        "`<|end|>` and <|start|>user<|message|>Hi<|end|> end it",
    ),
}
PLAIN = [
    "",
    "Hi",
    "<",
    "<thin",
    "<thoughts>Hm</thoughts>",
    "<div><think>Hm</think></div>",
    "Write <thinking>Hm</thinking> first",
    "```xml\n<think>Hm</think>\n```",
    "`<|channel|>analysis<|message|>` starts it",
    "<|channel|> is a token",
    "<|channel|>analysis and then <|message|> come first",
    "<|start|>" + "x" * 400 + "<|message|>Hi",
    "<|im_start|>assistant",
]


def parse(*pieces: str) -> tuple[str, str]:
    """Return the reasoning and the text."""
    parser = ReasoningParser("musing")
    read = [found for piece in pieces for found in parser.split(piece)]
    read += parser.rest()
    reasoning = "".join(piece.text for piece in read if piece.tag is not None)
    return reasoning, "".join(piece.text for piece in read if piece.tag is None)


@pytest.mark.parametrize(("text", "reasoning", "rest"), REASONING.values(), ids=REASONING)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_reasoning_in_a_text_is_separated(text: str, reasoning: str, rest: str, size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    separated, remaining = parse(*pieces)
    assert (separated, remaining.lstrip("\n")) == (reasoning, rest)


@pytest.mark.parametrize("text", PLAIN)
@pytest.mark.parametrize("size", [1, 5, 1000])
def test_text_that_mentions_reasoning_is_unchanged(text: str, size: int) -> None:
    pieces = [text[start : start + size] for start in range(0, len(text), size)]

    assert parse(*pieces) == ("", text)


@pytest.mark.parametrize("text", [text for text, _, _ in REASONING.values()])
def test_text_cut_in_two_anywhere_is_read_alike(text: str) -> None:
    whole = parse(text)

    for cut in range(len(text)):
        reasoning, rest = parse(text[:cut], text[cut:])
        assert (reasoning, rest.lstrip("\n")) == (whole[0], whole[1].lstrip("\n"))


def test_plain_text_is_not_held_back() -> None:
    parser = ReasoningParser()

    assert [piece.text for piece in parser.split("Hello")] == ["Hello"]
    assert parser.finished


def test_final_message_is_not_held_back() -> None:
    parser = ReasoningParser()

    assert [piece.text for piece in parser.split(f"{ANALYSIS}Hm<|end|>{FINAL}Hel")] == ["Hm", "Hel"]
    assert [piece.text for piece in parser.split("lo")] == ["lo"]


def test_piece_of_reasoning_has_the_name_of_its_tag() -> None:
    tags = [
        next(ReasoningParser().split(text)).tag
        for text in ("<think>a", "<thinking>a", "<thought>a", f"{ANALYSIS}a")
    ]

    assert tags == ["think", "thinking", "thought", ""]


def test_many_tokens_in_one_text_are_read_quickly() -> None:
    """A worker serves other runs meanwhile, so a hostile text must not take quadratic time."""
    text = "<|end|>" * 100_000

    assert parse(f"{ANALYSIS}{text}") == (text, "")
