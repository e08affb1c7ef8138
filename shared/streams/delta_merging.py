"""Merging stored deltas: a client that catches up receives the text of a part in large pieces.

Deltas are recognized by the encoding that workers write, without parsing JSON. All other lines are
left unchanged, for example a delta with more fields, with an escaped ID, or with an escape that may
be half of a surrogate pair.
"""

import re

from shared.streams.event_stream import Entry, parse_entries

_ID = rb'[^"\\\n]*+'
_TEXT = rb'(?:[^"\\\n]++|\\(?:[^u\n]|u00))*+'
#: A delta up to its text, which ends with `"}`.
_HEAD = (
    rb'\{"type":"(?:text-delta","id":"%(id)b","delta'
    rb'|reasoning-delta","id":"%(id)b","delta'
    rb'|tool-input-delta","toolCallId":"%(id)b","inputTextDelta)":"' % {b"id": _ID}
)
#: Two or more lines with deltas of one part. The groups are the first offset, the head, and the
#: attempt and offset of the last one.
_DELTAS = re.compile(
    rb'^\d+-(\d+) (%(head)b)%(text)b"\}(?:\n(\d+)-(\d+) \2%(text)b"\})+$'
    % {b"head": _HEAD, b"text": _TEXT},
    re.MULTILINE,
)
#: What is between the texts of two such lines.
_SEAM = re.compile(rb'"\}\n\d+-\d+ %b' % _HEAD)


def parse_merged(lines: bytes) -> list[Entry]:
    """Parse lines as `parse_entries` does, but merge successive deltas of one part."""
    if b"\n" not in lines:
        return parse_entries(lines)  # a large entry is alone in its page: do not search it
    entries: list[Entry] = []
    parsed = 0
    for found in _DELTAS.finditer(lines):
        first, last = int(found[1]), int(found[4])
        if lines.count(b"\n", *found.span()) != last - first:
            continue  # Redis has lost entries between them: the reader must notice
        entries += parse_entries(lines[parsed : found.start()])
        data = _SEAM.sub(b"", lines[found.start(2) : found.end()])
        entries.append(Entry(int(found[3]), last, data, merged_count=last - first))
        parsed = found.end()
    return entries + parse_entries(lines[parsed:])
