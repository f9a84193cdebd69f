"""Readers of the small files of a run directory, which may be damaged or come from a stranger: each checks all entries.

A file that lacks an entry which a later version added is an ordinary case; entries that are not declared here are kept.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Required, TypeVar  # Pydantic needs this one before Python 3.12

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from membrane_dask.errors import UnreadableRunError
from membrane_dask.files import read_bytes

#: Version of the layout of run directories; 1 is that of version 0.1.
SCHEMA = 2
#: Largest file, in bytes; the file with the starts and stops of 10,000 drivers has 20 MB.
MAX_FILE_SIZE = 64_000_000
_CHECKSUM = re.compile(rb', "crc32": "([0-9a-f]{8})"}\s*$')
_STRICT = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

# No text that is printed or used in a name holds control characters (Unicode category C).
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=200)]
_Word = Annotated[str, StringConstraints(pattern=r"^\P{C}*$", max_length=1000)]
_Key = Annotated[str, StringConstraints(pattern=r"^\P{C}+$", max_length=1000)]
# A file or folder of the results, below the run.
_Path = Annotated[
    str, StringConstraints(pattern=r"^(result\.zarr|volumes|tables)(/[^/\x00.][^/\x00]*)*$", max_length=1000)
]
_Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,128}$")]
_Count = Annotated[int, Field(ge=0, lt=2**63)]
_Seconds = Annotated[float, Field(ge=0)]


@with_config(_STRICT)
class _Layout(TypedDict):
    schema: Annotated[int, Field(ge=1)]


@with_config(_STRICT)
class RunRecord(TypedDict):
    """``run.json``: what a run is."""

    schema: int
    kind: _Name
    identity: _Digest
    seed: int
    units: dict[_Name, _Count]
    batch: dict[_Name, Annotated[int, Field(ge=1)]]
    settings: NotRequired[dict[_Word, Any]]
    task_identities: NotRequired[dict[_Name, _Digest]]


@with_config(_STRICT)
class StorageRecord(TypedDict, total=False):
    """Where the units of a task are stored: in a table, an image or scratch files."""

    table: _Path
    batch: Annotated[int, Field(ge=1)]
    variables: dict[_Word, Annotated[int, Field(ge=0, le=32)]]
    image: _Path
    variable: _Word
    shape: list[_Count]
    axis: Annotated[int, Field(ge=0, le=32)]
    thickness: Annotated[int, Field(ge=1)]
    scratch: _Name
    temporary: bool


@with_config(_STRICT)
class LayoutRecord(TypedDict):
    """``layout.json``: where units are stored, and digests of the files that no unit writes, by path below the run."""

    storage: dict[_Name, StorageRecord]
    layout: dict[_Path, _Digest]
    collected: dict[_Path, _Digest]


@with_config(_STRICT)
class DriverRecord(TypedDict):
    """``driver.json`` and ``logs/drivers/N.json``: who drives a run, and, of the former, the last heartbeat."""

    host: _Word
    pid: Annotated[int, Field(ge=1, lt=2**31)]
    machine: NotRequired[_Word]
    started: NotRequired[float | None]
    born: NotRequired[float | None]
    beat: NotRequired[float]
    in_flight: NotRequired[_Count]
    dashboard: NotRequired[_Word | None]
    measuring: NotRequired[bool]
    end: NotRequired[tuple[float, float]]
    inode: NotRequired[int]


@with_config(_STRICT)
class FailureRecord(TypedDict):
    """``failures/KEY.json``: a unit that failed."""

    key: _Key
    error: str
    traceback: str
    task: NotRequired[_Word]
    params: NotRequired[dict[str, Any]]
    seed: NotRequired[list[int]]
    attempts: NotRequired[_Count]
    killed_its_worker: NotRequired[bool]
    permanent: NotRequired[bool]
    replay: NotRequired[str]


@with_config(_STRICT)
class ProvenanceRecord(TypedDict, total=False):
    """``provenance.json``: versions, machine, inputs, and every start and stop."""

    created: str
    starts: list[dict[str, Any]]
    stops: list[dict[str, Any]]
    imports: list[ImportRecord]


@with_config(_STRICT)
class ExportedStatus(TypedDict):
    """State of a run when it was exported."""

    state: _Word
    done: _Count
    failed: _Count


@with_config(_STRICT)
class ExportRecord(TypedDict):
    """``exported-run.json``: what an exported run is and holds."""

    schema: Annotated[int, Field(ge=1)]
    name: _Word
    kind: _Name
    identity: _Digest
    status: ExportedStatus
    volumes: list[_Name]
    result: bool
    exported: _Word
    settings: NotRequired[dict[_Word, Any]]


@with_config(_STRICT)
class ImportRecord(TypedDict):
    """A run from which units are imported: its directory, and the digest of all that decides its result.

    In the provenance with the number of units, in the journal with the digests of their values in that run.
    """

    run: _Word
    identity: _Digest
    units: NotRequired[_Count]
    sha256: NotRequired[list[_Digest]]


@with_config(_STRICT)
class JournalRecord(TypedDict, total=False):
    """A line of the journal."""

    time: Required[_Word]
    done: list[_Key]
    seconds: list[_Seconds]
    cpu_seconds: list[_Seconds]
    memory: list[_Count]
    sha256: list[_Digest]
    task: _Word
    index: list[list[_Count]]
    feedback: dict[_Key, dict[str, int | float]]
    address: list[_Digest]
    imported: ImportRecord
    worker: _Word
    versions: dict[_Word, _Word]
    attempt: _Count
    failed: list[_Key]
    error: str
    retry: list[_Key]
    reopened: list[_Key]
    collected: bool


@with_config(_STRICT)
class _Summary(TypedDict, total=False):
    summary: list[_Word]
    outcomes: list[_Word]
    inconclusive: Literal[0, 1]


@with_config(_STRICT)
class _GroupRecord(TypedDict):
    """``zarr.json`` of a group of the result."""

    attributes: _Summary


_MESSAGES = {
    "json_invalid": "it is not JSON",
    "dict_type": "must be a mapping of names to values",
    "list_type": "must be a list",
    "string_type": "must be text",
    "string_pattern_mismatch": "has characters that this entry never has",
    "missing": "is missing",
}
_T = TypeVar("_T")
_READERS: dict[type, TypeAdapter[Any]] = {}


def parse(record: type[_T], text: bytes) -> _T:
    """A record from its JSON text.

    Raises
    ------
    ValueError
        With the entry that is wrong, in words.
    """
    reader = _READERS.get(record)
    if reader is None:
        reader = _READERS[record] = TypeAdapter(record)
    try:
        value: _T = reader.validate_json(text)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        entry = ".".join(str(name) for name in problem["loc"])[:100]
        message = _MESSAGES.get(problem["type"], str(problem["msg"]).replace("Input should be ", "must be ", 1))
        raise ValueError(f"{entry!r} {message}" if entry else message) from None
    return value


def journal_line(record: Mapping[str, Any]) -> str:
    """A line of the journal with its checksum."""
    text = json.dumps(record, allow_nan=False)[:-1]
    return f'{text}, "crc32": "{zlib.crc32(text.encode()):08x}"}}\n'


def parse_journal_line(text: bytes) -> JournalRecord:
    """A line of the journal, with its checksum, which earlier versions do not write.

    Raises
    ------
    ValueError
        If it is damaged; with the entry that is wrong.
    """
    checksum = _CHECKSUM.search(text, max(0, len(text) - 40))
    if checksum is not None and zlib.crc32(text[: checksum.start()]) != int(checksum[1], 16):
        raise ValueError("it does not have its checksum")
    record = parse(JournalRecord, text)
    if "done" in record:
        for name in ("seconds", "memory", "sha256"):
            values: Any = record.get(name, ())
            if len(values) != len(record["done"]):
                raise ValueError(f"{name!r} must have a value for each of {len(record['done'])} units")
        for name in ("index", "cpu_seconds", "address"):  # earlier versions do not write them
            if name in record and len(record[name]) != len(record["done"]):  # type: ignore[literal-required]
                raise ValueError(f"{name!r} must have a value for each of {len(record['done'])} units")
    return record


def read(record: type[_T], path: Path, remedy: str) -> _T | None:
    """A record from its file; None where there is none.

    Parameters
    ----------
    record : type
        One of the classes of this module.
    path : Path
        The file.
    remedy : str
        What the user can do if it is damaged.

    Raises
    ------
    UnreadableRunError
        If it is damaged; with the file and the entry that is wrong.
    """
    try:
        if not path.exists():
            return None
        if not path.is_file():
            raise ValueError("it is no file")
        if path.stat().st_size > MAX_FILE_SIZE:
            raise ValueError(f"it is larger than {MAX_FILE_SIZE // 1_000_000} MB")
        return parse(record, read_bytes(path))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UnreadableRunError(f"{path} is damaged: {error}; {remedy}") from None


def read_run(path: Path) -> RunRecord | None:
    """``run.json`` of a run directory; None where there is none.

    Raises
    ------
    UnreadableRunError
        If it is damaged, or of a later layout.
    """
    remedy = "restore it from a copy of the run, or run the study anew with --fresh, which moves this run away"
    layout = read(_Layout, path / "run.json", remedy)
    if layout is not None and layout["schema"] > SCHEMA:
        raise UnreadableRunError(
            f"{path} was made by a later version of membrane-dask (its layout has the number {layout['schema']}, this "
            f"version reads up to {SCHEMA}); install that version: pip install --upgrade membrane-dask"
        )
    return read(RunRecord, path / "run.json", remedy)


def failure_path(root: Path, key: str) -> Path:
    """Description of a quarantined unit."""
    return root / "failures" / f"{re.sub(r'[^A-Za-z0-9=.,_+-]', '_', key)[:240]}.json"


def read_failure(root: Path, key: str) -> Mapping[str, Any]:
    """Record of a unit that failed; where its file is missing or damaged, the error says so."""
    path = failure_path(root, key)
    try:
        record = read(FailureRecord, path, "")
    except (UnreadableRunError, OSError):
        record = None
    if record is None or record["key"] != key:
        message = f"its record failures/{path.name} is missing or damaged; the unit can be retried nevertheless"
        return {"key": key, "error": message, "traceback": ""}
    return record


def read_findings(root: Path) -> list[str]:
    """What the results of a run say in words: the attribute ``summary`` of the groups that have one."""
    return [sentence for attributes in _group_attributes(root) for sentence in attributes.get("summary", [])]


def read_outcomes(root: Path) -> list[str]:
    """The findings on which nobody needs to act: the attribute ``outcomes`` of the groups that have one."""
    return [sentence for attributes in _group_attributes(root) for sentence in attributes.get("outcomes", [])]


def is_inconclusive(root: Path) -> bool:
    """Whether a group of the result says that the study has not found what it looks for."""
    return any(attributes.get("inconclusive") for attributes in _group_attributes(root))


def _group_attributes(root: Path) -> Iterator[_Summary]:
    """Attributes of the groups of a result, without those that cannot be read."""
    for path in sorted(root.glob("result.zarr/*/zarr.json")):
        try:
            record = read(_GroupRecord, path, "")
        except (UnreadableRunError, OSError):  # the check of the result reports it
            continue
        if record is not None:
            yield record["attributes"]
