"""What the notes are cut into: the section under one heading, or a part of a long one."""

from typing import NamedTuple


class Passage(NamedTuple):
    #: `<path>#<anchor>`, with `-2` and so on where a heading stands again. It is also the citation.
    id: str
    #: Below the notes' folder, with `/`.
    path: str
    #: The document's own title.
    title: str
    #: The headings above the text, from the outermost: `Guide > Resume`.
    heading: str
    text: str
