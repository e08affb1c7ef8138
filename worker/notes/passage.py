"""The unit of search: the section under one heading, or a part of a long section."""

from typing import NamedTuple


class Passage(NamedTuple):
    #: `<path>#<anchor>`. Repeated headings add `-2` and so on. Citations use it too.
    id: str
    #: Relative to the notes folder, with `/`.
    path: str
    #: The document's title.
    title: str
    #: The headings above the text, outermost first: `Guide > Resume`.
    heading: str
    text: str
    #: The id of the passage with the rest of the section; empty if there is none.
    continued: str = ""
