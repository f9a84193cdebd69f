"""Where a report's numbers come from: dates, machines, versions, inputs and commands, as the run has recorded them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from membrane_dask.engine.run import Run
from membrane_dask.errors import StudyError, UnreadableRunError
from membrane_dask.plain_text import printable_line

#: Folders of an absolute path, at the beginning of a text or after an equals sign.
_FOLDERS = re.compile(r"(^|=)/(?:[^/=]*/)*(?=[^/]*$)")


def origin_rows(run: Run) -> list[tuple[str, str]]:
    """Rows of the table: name and text, of which those repeat that several starts differ in.

    The runs that the run reads follow with their inputs, back to the first file.

    Files are named without their folders, which concern nobody but the author.
    """
    try:
        provenance = run.provenance
    except UnreadableRunError as error:
        return [("provenance", printable_line(error))]
    rows = [("identity of the study", run.identity)]
    starts = [start for start in provenance.get("starts", ()) if isinstance(start, Mapping)]
    for name, describe in (("started", _moment), ("command", _command), ("software", _software)):
        texts = dict.fromkeys(text for start in starts if (text := describe(start)))
        rows += [(name, text) for text in texts]
    rows += [("input", text) for text in _inputs(provenance.get("inputs"))]
    rows += _source_rows(run, "", frozenset())
    imports = (record for record in provenance.get("imports", ()) if record.get("units"))
    rows += [
        ("imported", f"{r['units']} units of {PurePath(r['run']).name}, identity {r['identity']}") for r in imports
    ]
    return [(name, printable_line(text)) for name, text in rows]


def _source_rows(run: Run, reader: str, readers: frozenset[PurePath]) -> Iterator[tuple[str, str]]:
    """The runs that a run reads, each followed by its inputs and by the runs that it reads itself."""
    readers = readers | {run.path.resolve()}
    try:
        sources = run.study.sources()
    except (StudyError, UnreadableRunError, OSError):
        return  # a kind that is not installed here
    for field, path in sources.items():
        if not (path / "run.json").is_file() or path.resolve() in readers:
            continue  # a file, which stands among the inputs
        name = f"{reader}{field}"
        try:
            source = Run(path)
            yield name, f"run {path.name} of kind {source.kind}, identity {source.identity}"
            for text in _inputs(source.provenance.get("inputs")):
                yield f"{name}: input", text
        except (StudyError, UnreadableRunError, OSError):
            yield name, f"run {path.name}, which cannot be read"
            continue
        yield from _source_rows(source, f"{name} \N{RIGHTWARDS ARROW} ", readers)


def _moment(start: Mapping[str, Any]) -> str:
    return f"{start.get('time', '')} on {start.get('host', '')}, {start.get('platform', '')}"


def _command(start: Mapping[str, Any]) -> str:
    command = start.get("command")
    if not isinstance(command, list):
        return ""
    return " ".join(_FOLDERS.sub(r"\1", str(text)) for text in command)


def _software(start: Mapping[str, Any]) -> str:
    versions = start.get("versions")
    packages = [f"{name} {version}" for name, version in versions.items()] if isinstance(versions, Mapping) else []
    commit = [f"revision {start['git_commit'][:12]}"] if isinstance(start.get("git_commit"), str) else []
    sources = [f"sources {start['sources']}"] if start.get("sources") else []
    return ", ".join([*packages, *commit, *sources])


def _inputs(inputs: object) -> Iterator[str]:
    if isinstance(inputs, Mapping):
        for name, entry in inputs.items():
            if isinstance(entry, Mapping):
                yield f"{name}: {PurePath(str(entry.get('path', ''))).name}, SHA-256 {entry.get('sha256', '')}"
