"""Files of older messages that the model does not accept."""

import pytest
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    BinaryContent,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserContent,
    UserPromptPart,
)

from worker.models.chat.older_files import check_files, user_contents

IMAGE = BinaryContent(b"png", media_type="image/png")
TEXT = BinaryContent(b"a,b", media_type="text/csv")
NOTE = "[Left out of this message: image/png. The model does not accept images.]"


def check(content: UserContent) -> None:
    if content == IMAGE:
        raise UserError("The model does not accept images.")


def prompt(*content: UserContent) -> ModelMessage:
    return ModelRequest(parts=[UserPromptPart(list(content))])


ANSWER = ModelResponse(parts=[TextPart("I see.")])


@pytest.mark.parametrize("newest", [prompt("Next"), ModelRequest(parts=[UserPromptPart("Next")])])
def test_unsupported_file_of_an_older_message_becomes_a_note(newest: ModelMessage) -> None:
    history = [prompt("Look", IMAGE, TEXT), ANSWER, newest]

    replaced = check_files(history, check)

    assert user_contents(replaced[:1]) == ["Look", NOTE, TEXT]
    assert replaced[1:] == history[1:]
    assert user_contents(history[:1]) == ["Look", IMAGE, TEXT]


def test_unsupported_file_of_the_newest_user_message_is_refused() -> None:
    history = [prompt("Hi"), ANSWER, prompt("Look", IMAGE), ANSWER]

    with pytest.raises(UserError):
        check_files(history, check)
