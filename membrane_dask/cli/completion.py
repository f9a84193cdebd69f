"""Completion of arguments by the shell: study kinds, runs, cluster profiles, and keys of ``--set``.

What goes wrong while a line is completed, such as in a study that is not finished, completes nothing: the shell has no
room for a message, and the command that follows names the problem.
"""

from __future__ import annotations

from pathlib import Path

import typer


def complete_kind(incomplete: str) -> list[str]:
    """Installed study kinds."""
    from membrane_dask.studies.registry import kind_names

    return [name for name in kind_names() if name.startswith(incomplete)]


def complete_run(incomplete: str) -> list[str]:
    """Runs in ``runs/`` by name; of a folder that is begun, by path."""
    folder = incomplete[: incomplete.rfind("/") + 1]
    names = sorted(path.parent.name for path in Path(folder or "runs").glob("[!.]*/run.json"))
    return [text for name in names if (text := f"{folder}{name}").startswith(incomplete)]


def complete_profile(incomplete: str) -> list[str]:
    """Cluster profiles."""
    from membrane_dask.engine.cluster.overview import cluster_rows
    from membrane_dask.errors import StudyError

    try:
        names = [row[0] for row in cluster_rows()]
    except (StudyError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_assignment(context: typer.Context, incomplete: str) -> list[str]:
    """Keys of the study that the line names, or of all kinds; after the equals sign values, where these are fixed."""
    from membrane_dask.errors import StudyError
    from membrane_dask.study_file import setting_keys

    keys: dict[str, list[str]] = {}
    # An option that has no value yet ends the parsing of the line: what precedes it is in the arguments.
    for kind in _kinds(context.params.get("path") or next(iter(context.args), None)):
        try:
            keys |= setting_keys(kind)
        except StudyError:
            continue
    key, sign, value = incomplete.partition("=")
    if sign:
        return [f"{key}={option}" for option in keys.get(key, ()) if option.startswith(value)]
    return [f"{name}=" for name in keys if name.startswith(incomplete)]


def _kinds(path: object) -> list[str]:
    """The kind of a study file, or all kinds if it cannot be read."""
    from membrane_dask.errors import StudyError
    from membrane_dask.studies.registry import kind_names
    from membrane_dask.yaml_files import read_mapping

    kinds = kind_names()
    if path is None:
        return kinds
    try:
        kind = read_mapping(Path(str(path)))[0].get("kind")
    except (StudyError, OSError):
        return kinds
    return [kind] if kind in kinds else kinds
