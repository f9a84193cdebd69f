"""Digests of what a study reads: files, folders, and runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from membrane_dask.files import read_bytes

#: Size of the ``run.json`` of a run, in bytes.
_MAX_METADATA = 10_000_000


_computed: ContextVar[dict[Path, str] | None] = ContextVar("_computed", default=None)


@contextmanager
def digests_computed_once() -> Iterator[None]:
    """Compute the digest of each path once within the block: a volume takes minutes."""
    token = _computed.set({} if _computed.get() is None else _computed.get())
    try:
        yield
    finally:
        _computed.reset(token)


def content_digest(path: Path) -> str:
    """SHA-256 of a file's content; of a folder's files; of a run, the digest of all that decides its result."""
    computed = _computed.get()
    if computed is None:
        return _content_digest(path)
    if path not in computed:
        computed[path] = _content_digest(path)
    return computed[path]


def _content_digest(path: Path) -> str:
    if path.is_file():
        return file_digest(path)
    metadata = path / "run.json"
    if metadata.is_file():
        return _run_identity(metadata)
    sha = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        sha.update(f"{file.relative_to(path).as_posix()}\0{file_digest(file)}\n".encode())
    return sha.hexdigest()


def _run_identity(metadata: Path) -> str:
    """Digest of all that decides the result of a run, from its ``run.json``."""
    try:
        identity = json.loads(read_bytes(metadata, _MAX_METADATA))["identity"]
    except (ValueError, KeyError, TypeError, RecursionError):
        identity = None
    if not isinstance(identity, str) or not re.fullmatch("[0-9a-f]{64}", identity):
        raise ValueError(f"{metadata} is not the description of a run: it names no identity")
    return identity


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
