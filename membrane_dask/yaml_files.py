"""Reads YAML files of bounded size, with the position of every entry."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from membrane_dask.errors import Problem, Source, StudyError, Where, closest
from membrane_dask.files import read_bytes
from membrane_dask.plain_text import printable

#: Size of a file, in bytes.
MAX_BYTES = 500_000
#: Names and values of a file, with those that aliases (``*name``) repeat.
MAX_NODES = 10_000
#: Sections and lists inside one another.
MAX_DEPTH = 30
#: Characters of a number.
MAX_DIGITS = 100

_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "timestamp", "seq", "map", "merge")
)


def parse_yaml(text: str) -> tuple[Any, dict[Where, tuple[int, int]]]:
    """Plain values of a YAML 1.2 text, and line and column, from 1, of every entry.

    Raises
    ------
    ruamel.yaml.error.YAMLError
        If it is not YAML, repeats a key, or exceeds a limit of this module.
    ValueError
        If a value cannot be read.
    """
    from ruamel.yaml import YAML

    loader = YAML(typ="safe", pure=True)  # YAML 1.2: 1e-3 is a number, `no` is a word; duplicate keys are refused
    loader.Composer = _bounded_composer()
    document = loader.compose(text)
    value = None if document is None else loader.constructor.construct_document(document)
    lines: dict[Where, tuple[int, int]] = {}
    if document is not None:
        _positions(document, (), lines)
    return _with_text_keys(value), lines


def read_mapping(path: Path, what: str = "study") -> tuple[dict[str, Any], dict[Where, tuple[int, int]]]:
    """Content of a YAML file, and line and column of every entry.

    Raises
    ------
    StudyError
        If there is no such file, it is not YAML or exceeds a limit of this module, or it holds something else than a
        mapping.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    def error(message: str, position: tuple[int, int] | None = None) -> StudyError:
        return StudyError([Problem((), message)], Source(str(path), {(): position} if position else {}))

    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8-sig")
        plain, lines = parse_yaml(text)
    except (FileNotFoundError, NotADirectoryError) as missing:
        hint = closest(str(path), _yaml_files(path.parent))
        hint = hint or ("; write one with: membrane-dask new KIND > study.yaml" if what == "study" else "")
        raise error(f"no such {what} file{hint}") from missing
    except OSError as failed:
        raise error(f"cannot be read: {failed.strerror or failed}") from failed
    except UnicodeDecodeError as failed:
        raise error(f"is not UTF-8 text (byte {failed.start + 1}); save it as UTF-8") from failed
    except MarkedYAMLError as failed:
        mark = failed.problem_mark or failed.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else None
        message = ", ".join(_first_line(text) for text in (failed.context, failed.problem) if text)
        raise error(f"not valid YAML: {message}", position) from failed
    except (YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError) as failed:
        raise error(f"not valid YAML: {_first_line(failed) or type(failed).__name__}") from failed
    if not isinstance(plain, dict):
        kind = {list: "a list", str: "text", type(None): "empty"}.get(type(plain), type(plain).__name__)
        advice = "; see: membrane-dask new graded --full" if what == "study" else ""
        raise error(f"a {what} is a mapping of names to values, this file is {kind}{advice}")
    return plain, lines


def _first_line(error: object) -> str:
    return printable(next(iter(str(error or "").splitlines()), ""))


def _yaml_files(folder: Path) -> list[str]:
    try:
        return sorted(str(folder / name) for name in os.listdir(folder) if name.endswith((".yaml", ".yml")))
    except OSError:
        return []


def _bounded_composer() -> Any:
    """Composer of ruamel.yaml that refuses what exceeds the limits, where it stands, before values are made of it."""
    from ruamel.yaml.composer import Composer, ComposerError
    from ruamel.yaml.nodes import MappingNode, ScalarNode

    class BoundedComposer(Composer):
        def __init__(self, loader: Any = None) -> None:
            super().__init__(loader)
            self.levels, self.count = 0, 0
            self.sizes: dict[int, int] = {}

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.parser.peek_event()

            def refuse(message: str) -> None:
                raise ComposerError(None, None, message, event.start_mark)

            self.levels, self.count = self.levels + 1, self.count + 1
            if self.levels > MAX_DEPTH:
                refuse(f"sections and lists are nested more than {MAX_DEPTH} levels deep")
            if self.count > MAX_NODES:
                refuse(f"more than {MAX_NODES:,} names and values; a file holds at most so many")
            is_key = isinstance(parent, MappingNode) and index is None
            tag = getattr(event, "tag", None)
            node = super().compose_node(parent, index)
            self.levels -= 1
            if tag and tag != "!" and str(tag) not in _TAGS:
                refuse(f"the tag {str(tag)!r} is not supported; write plain text, numbers, lists or sections")
            if is_key and not isinstance(node, ScalarNode):
                refuse("a name before a colon must be one word, not a list or a section")
            if isinstance(node, ScalarNode):
                kind = str(node.tag).rpartition(":")[2]
                if kind in ("int", "float") and len(node.value) > MAX_DIGITS:
                    refuse(f"a number of {len(node.value):,} characters; at most {MAX_DIGITS} are read")
                return node
            if node.flow_style and (number := _decimal_comma(node)):
                refuse(
                    f"{number} may be one number or two; write {number.replace(',', '.')} for one, and a space after "
                    "each comma of a list"
                )
            if id(node) not in self.sizes:
                if node.end_mark is None:  # an alias inside of its own anchor
                    refuse("the alias stands inside of what it repeats")
                children = [n for item in node.value for n in (item if isinstance(item, tuple) else (item,))]
                self.sizes[id(node)] = 1 + sum(self.sizes.get(id(child), 1) for child in children)
            if self.sizes[id(node)] > MAX_NODES:
                refuse(f"its aliases (*name) repeat more than {MAX_NODES:,} names and values")
            return node

    return BoundedComposer


def _decimal_comma(node: Any) -> str | None:
    """The first ``0,5`` in braces, or in a list with spaces after its other commas: there it may be a decimal comma."""
    from ruamel.yaml.nodes import MappingNode, ScalarNode

    if isinstance(node, MappingNode):  # {radius: 12,5 nm} has a name "5 nm" without a value
        pairs = [(value, name) for (_, value), (name, empty) in pairwise(node.value) if empty.value == ""]
        has_spaces = True
    else:
        pairs = list(pairwise(node.value))
        has_spaces = any(after.start_mark.index - before.end_mark.index > 1 for before, after in pairs)
    for before, after in pairs if has_spaces else []:
        is_tight = after.start_mark.index - before.end_mark.index == 1
        if is_tight and isinstance(before, ScalarNode) and isinstance(after, ScalarNode):
            whole, decimals = re.fullmatch(r"[-+]?\d+", before.value), re.match(r"\d+", after.value)
            if whole and decimals:
                return f"{whole[0]},{decimals[0]}"
    return None


def _with_text_keys(value: Any) -> Any:
    """The same values, with names as text: ``1: a`` is named ``"1"``."""
    if isinstance(value, dict):
        return {str(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def _positions(node: Any, where: Where, lines: dict[Where, tuple[int, int]]) -> None:
    """Line and column (from 1) of every key and list item."""
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    entries: list[tuple[str | int, Any, Any]] = []
    if isinstance(node, MappingNode):
        entries = [(key.value, key.start_mark, value) for key, value in node.value]
    elif isinstance(node, SequenceNode):
        entries = [(k, item.start_mark, item) for k, item in enumerate(node.value)]
    for name, mark, value in entries:
        lines[(*where, name)] = (mark.line + 1, mark.column + 1)
        _positions(value, (*where, name), lines)
