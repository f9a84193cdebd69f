"""Text for terminals and tables: control characters, which data of others may hold, are spelled out; natural order."""

from __future__ import annotations

import re
import unicodedata

#: Directions of text, which make a terminal show characters in another order; and separators of lines and paragraphs.
_DIRECTIONS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff"
_CONTROL = {chr(code) for code in range(0x100) if unicodedata.category(chr(code)) == "Cc"}
_SURROGATES = {chr(code) for code in range(0xD800, 0xE000)}  # they cannot be encoded


def _escape(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"


_IN_TEXT = str.maketrans({c: _escape(c) for c in (_CONTROL - {"\n", "\t"}) | set(_DIRECTIONS) | _SURROGATES})
_IN_LINE = {**_IN_TEXT, ord("\n"): "\\n", ord("\t"): "\\t"}


def printable(text: object) -> str:
    r"""Text with escape sequences, such as ``\x1b``, in place of control characters; it keeps its lines."""
    return str(text).translate(_IN_TEXT)


def printable_line(text: object) -> str:
    """Like :func:`printable`, in one line."""
    return str(text).translate(_IN_LINE)


def shortened(text: str, length: int) -> str:
    """Printable text of at most about ``length`` characters; of a longer one the beginning, with ``...``."""
    text = text.strip()
    return printable(text if len(text) <= length else f"{text[: length - 4].rstrip()} ...")


def natural_order(name: str) -> list[tuple[int, int, str]]:
    """Sort key by which numbers in names count as numbers: ``structure-2`` precedes ``structure-10``."""
    pieces = re.split(r"([0-9]+)", name)
    return [(1, int(piece), piece) if piece.isdecimal() else (0, 0, piece) for piece in pieces]
