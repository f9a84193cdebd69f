"""Confirmation of what a run received from others would do on the user's machines, before it is done.

Some settings of a study are commands, or names of files, hosts and interfaces. Those of a study that the user gives to
``run`` or ``submit`` are the user's own, and their digests are noted in a file of the user. Those that a run directory
brings along are used only if they are noted there, or are in the user's own profile; otherwise the user is asked.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from membrane_dask.config import BaseStudy, ClusterSettings
from membrane_dask.engine.cluster.profiles import Profile, profiles
from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.plain_text import printable_line
from membrane_dask.study_file import load_study

#: Settings of a cluster that are, or become part of, commands.
SETTINGS = ("prologue", "python", "scratch", "interface", "worker_interface", "directives", "queue", "account")


class UnconfirmedError(StudyError):
    """A run directory brings settings along that the user has not confirmed; nothing was started."""


def _file() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "membrane-dask" / "confirmed"


def settings_that_act(settings: ClusterSettings) -> Iterator[tuple[str, str]]:
    """Settings of a study that are commands, files or hosts, other than those of the user's own profile."""
    if "://" in settings.profile:  # a scheduler sends code to its clients
        yield "cluster.profile", settings.profile
    values = {name: value for name in SETTINGS if (value := getattr(settings, name)) is not None}
    if settings.tls is False:
        values["tls"] = "false"
    own = profiles().get(settings.profile, Profile()) if values else Profile()
    for name, value in values.items():
        text = "\n".join(value) if isinstance(value, tuple) else str(value)
        if value != getattr(own, name) and not (name == "tls" and own.tls is False):
            yield f"cluster.{name}", text


def links_out_of(root: Path) -> Iterator[tuple[str, str]]:
    """Links in a run directory, other than chunks, that lead out of it: a driver writes where they point."""
    base = root.resolve()
    for folder, folders, files in os.walk(root):
        names = [*folders, *files]
        if "zarr.json" in files and "c" in folders:
            folders.remove("c")  # chunks of an array; a new chunk replaces a link, and is not written through it
            names = ["zarr.json", "c"]
        for name in names:
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(base):
                yield f"the link {path.relative_to(root)}", str(path.resolve())


def inputs_out_of(root: Path, study: BaseStudy) -> Iterator[tuple[str, str]]:
    """Input files of a run's study that are not those in its directory."""
    for name, path in study.inputs().items():
        if not path.resolve().is_relative_to(root.resolve()):
            yield name, str(path)


def require_confirmed(root: Path, study: BaseStudy | None = None, *, trust: bool = False) -> None:
    """Refuse what a run directory brings along, unless the user has confirmed it.

    Parameters
    ----------
    root : Path
        The run directory.
    study : BaseStudy, optional
        Its study, unless the user gives another copy of it.
    trust : bool
        The user confirms it now.

    Raises
    ------
    UnconfirmedError
        With all that is not confirmed.
    """
    entries = dict(links_out_of(root))
    if study is not None:
        entries |= dict(settings_that_act(study.cluster)) | dict(inputs_out_of(root, study))
    if trust:
        confirm(entries)
        return
    confirmed = _confirmed()
    lines = [
        f"  {name}: {printable_line(line)}"
        for name, value in entries.items()
        if _digest(name, value) not in confirmed
        for line in value.split("\n")
    ]
    if lines:
        message = "\n".join([
            "the run brings along what you have not used before, and what would act on your machines:",
            *lines,
            "read it, and confirm it with --trust (from Python: trust=True), or remove it from the run",
        ])  # fmt: skip
        raise UnconfirmedError([Problem((), message)], Source(str(root)))


def require_own_study(study: object, *, trust: bool = False) -> None:
    """Refuse the study file of a run directory, if it brings along what the user has not confirmed.

    Raises
    ------
    UnconfirmedError
        With all that is not confirmed.
    """
    if isinstance(study, str | Path) and (Path(study).parent / "run.json").is_file():
        require_confirmed(Path(study).parent, load_study(study), trust=trust)


def confirm(entries: Mapping[str, str]) -> None:
    """Note that the user uses these; without a home directory that can be written, they are asked for again."""
    new = {_digest(name, value) for name, value in entries.items()} - _confirmed()
    if new:
        with contextlib.suppress(OSError, RuntimeError):
            _file().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _file().open("a", encoding="ascii") as stream:
                stream.write("".join(f"{digest}\n" for digest in sorted(new)))


def _confirmed() -> set[str]:
    try:
        return set(_file().read_text(encoding="ascii").split())
    except (OSError, ValueError, RuntimeError):
        return set()


def _digest(name: str, value: str) -> str:
    return hashlib.sha256(f"{name}\0{value}".encode(errors="surrogateescape")).hexdigest()
