"""Decoding of texts whose encoding is not certain: attachments, notes, keys and request bodies."""

import codecs
import re
import unicodedata
from encodings import normalize_encoding
from encodings.aliases import aliases

from charset_normalizer import from_bytes

#: Longer marks first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: The first bytes of ZIP files, which include Office documents. They can lack zero bytes.
_ZIP = b"PK\x03\x04"
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
#: Python's names of text encodings. Names from clients are looked up here first, because Python
#: caches each unknown name that it looks up.
_KNOWN = frozenset({*aliases.values(), "cp874", "koi8_u"}) - {
    *("base64_codec", "bz2_codec", "hex_codec", "quopri_codec", "rot_13", "uu_codec"),
    *("mbcs", "utf_7", "zlib_codec"),
    *("utf_16", "utf_32"),  # their byte order is detected
}
#: As in the WHATWG Encoding Standard, a name stands for the encoding of Windows that extends it.
_EXTENDED = {
    "ascii": "cp1252",
    "latin_1": "cp1252",
    "iso8859_9": "cp1254",
    "iso8859_11": "cp874",
    "tis_620": "cp874",
    "windows_874": "cp874",
    "shift_jis": "cp932",
    "x_sjis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "big5": "cp950",
}
#: Encodings of languages whose letters are not Latin, and the one of those whose letters are.
_CANDIDATES = [
    *("cp1252", "cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp874"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
#: In Latin scripts, letters outside ASCII are rare neighbors. Rulers repeat one character.
_FOREIGN_WORD = re.compile(rb"([\x80-\xff])(?!\1\1)[\x80-\xff]{2,}")
#: Shorter texts do not suffice for a detection.
_MIN_HIGH_BYTES = 8
_ASCII_WITH_ZEROS = re.compile(rb"[\0\t-\r -~]*")
_SAMPLE_BYTES = 65_536
_WIDE_SAMPLE_BYTES = 4096


def holds_text(content: bytes) -> bool:
    """Return whether `content` is a text in some encoding, and not binary data."""
    if content.startswith(tuple(mark for mark, _ in _MARKS)):
        return True
    if content.startswith(_ZIP):
        return False
    return b"\0" not in content or _wide_encoding(content) is not None


def decode_text(content: bytes, charset: str | None = None) -> str:
    """Decode a text by its byte order mark, else by its declared charset, else by its content.

    A declared charset is ignored if it is unknown or does not fit. Bytes that the encoding does not
    define become U+FFFD.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    declared = _known_encoding(charset)
    if declared and (text := _decode_strictly(content, declared)) is not None:
        return text
    if (wide := _wide_encoding(content)) is not None:
        return content.decode(wide, "replace")
    if (text := _decode_strictly(content, "utf-8")) is not None:
        return text
    damaged = content.decode("utf-8", "replace")
    if _mostly_valid(damaged):
        return damaged
    return content.decode(_legacy_encoding(content), "replace")


def _decode_strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeError:
        return None


def _known_encoding(charset: str | None) -> str | None:
    """Return Python's name of a declared charset; None if it is unknown."""
    name = normalize_encoding((charset or "").strip("\"' ")).lower()
    name = aliases.get(name, name)
    name = _EXTENDED.get(name, name)
    return name if name in _KNOWN else None


def _wide_encoding(content: bytes) -> str | None:
    """Recognize UTF-16 and UTF-32 without a byte order mark by the zero bytes of ASCII characters.

    With the wrong byte order, few characters or none are Latin.
    """
    zeros = content.count(0)
    if not zeros or (zeros * 3 < len(content) and _ASCII_WITH_ZEROS.fullmatch(content)):
        return None
    counts = {encoding: _count_latin(content, encoding) for encoding in _WIDE}
    best = max(counts, key=lambda encoding: counts[encoding])
    return best if counts[best] else None


def _count_latin(content: bytes, encoding: str) -> int:
    """Return how many characters of the beginning are Latin; 0 if it is no readable text."""
    if len(content) % (4 if "32" in encoding else 2):
        return 0
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content[:_WIDE_SAMPLE_BYTES])
    except UnicodeError:
        return 0
    readable = all(char.isspace() or unicodedata.category(char)[0] != "C" for char in text)
    return sum(char < "\u0100" for char in text) if readable else 0


def _mostly_valid(damaged: str) -> bool:
    """Return whether a text is UTF-8 with few invalid bytes, as in a file that was cut."""
    outside_ascii = len(damaged) - len(damaged.encode("ascii", "ignore"))
    return outside_ascii > 2 * damaged.count("\ufffd")


def _legacy_encoding(content: bytes) -> str:
    """Return the encoding of a text that is not UTF-8: Windows-1252 if its script is Latin."""
    lines = [line for line in content.split(b"\n") if not line.isascii()]
    sample = b"\n".join(lines)[:_SAMPLE_BYTES]
    if not _may_be_foreign(sample):
        return "cp1252"
    detected = from_bytes(sample, cp_isolation=_CANDIDATES).best()
    return detected.encoding if detected else "cp1252"


def _may_be_foreign(sample: bytes) -> bool:
    """Return whether the script may not be Latin, of a text long enough to detect its encoding."""
    high = sum(byte > 0x7F for byte in sample)
    in_words = sum(len(word[0]) for word in _FOREIGN_WORD.finditer(sample))
    # Second bytes of Shift JIS are often ASCII letters.
    return high >= _MIN_HIGH_BYTES and (
        in_words * 2 >= high or _decode_strictly(sample, "cp932") is not None
    )
