"""Texts in headers of files and of microscopes: their encodings, and units of length as programs spell them."""

from __future__ import annotations

import re
import unicodedata

#: Symbols and short names of units of length, in nanometres; as Unicode normalises them.
_UNITS = {
    "m": 1e9, "dm": 1e8, "cm": 1e7, "mm": 1e6, "\u03bcm": 1e3, "um": 1e3, "\u03bc": 1e3, "micron": 1e3, "microns": 1e3,
    "nm": 1.0, "pm": 1e-3, "in": 25.4e6, "inch": 25.4e6, "inches": 25.4e6, "\u00e5": 0.1, "angstrom": 0.1,
    "angstroms": 0.1, "\u00e5ngstr\u00f6m": 0.1, "\u00e5ngstrom": 0.1,
}  # fmt: skip
#: Prefixes of spelled-out units.
_PREFIXES = {"": 1e9, "deci": 1e8, "centi": 1e7, "milli": 1e6, "micro": 1e3, "nano": 1.0, "pico": 1e-3}
#: A character that Java escapes, as ImageJ does.
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
#: Code pages in which microscopes write where they do not write UTF-8 or UTF-16, the most frequent first.
_CODE_PAGES = ("latin-1", "cp932", "gbk", "big5", "euc_kr", "cp437", "mac_roman")
#: A length in a unit with a letter that is not of ASCII, which shows that a code page is the right one.
_LENGTH = re.compile(r"\d\s*(?:\u03bc[mM]?|\u00c5)(?!\w)")


def nanometres(unit: object) -> float | None:
    """Nanometres in a unit of length as files spell it: ``um``, ``micrometer``, ``metres``; None for others."""
    text = normalised(_ESCAPED.sub(lambda match: chr(int(match[1], 16)), str(unit))).strip().lower()
    if match := re.fullmatch(r"([a-z]*?)met(?:er|re)s?", text):
        return _PREFIXES.get(match[1])
    return _UNITS.get(text)


def normalised(text: str) -> str:
    """Text with one character for each of those that look the same, such as the two of the micro sign."""
    return unicodedata.normalize("NFKC", text)


def decoded_text(content: bytes) -> str:
    """Text of a file in UTF-8, UTF-16 with or without a byte order mark, or in a code page of a microscope."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace")
    for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if content and content[first::2].count(0) > len(content) // 4:  # most characters are of ASCII
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        texts = [content.decode(page, "replace") for page in _CODE_PAGES]
        return next((text for text in texts if _LENGTH.search(normalised(text))), texts[0])
