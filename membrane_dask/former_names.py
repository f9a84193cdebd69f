"""Names of earlier versions, accepted for one release with a warning that gives the present name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from membrane_dask.errors import Problem, Source, StudyError, Where

if TYPE_CHECKING:
    from pydantic import BaseModel

#: First version that refuses the former names.
REFUSED_FROM = "0.3.0"

#: Former names of public functions.
FUNCTIONS: Mapping[str, str] = {
    "interval": "replicate_interval",
    "texture": "compare_descriptors",
    "verdicts": "membrane_summary",
}


def renamed_function(name: str) -> str:
    """Present name of a public function, with a warning if ``name`` is its former one."""
    if name in FUNCTIONS:
        warn(f"membrane_dask.{name} is now membrane_dask.{FUNCTIONS[name]}")
    return FUNCTIONS.get(name, name)


def warn(message: str) -> None:
    """Warn the caller of the package that a former name is used, and until when it is accepted."""
    warn_caller(f"{message}; the former name is accepted until version {REFUSED_FROM}", FutureWarning)


def warn_caller(message: str, category: type[Warning]) -> None:
    """Warn the code that has called the package, whatever of the package lies between."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals["__name__"].partition(".")[0] == "membrane_dask":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def present_settings(
    model: type[BaseModel], settings: Mapping[str, Any], source: Source, where: Where = ()
) -> dict[str, Any]:
    """Settings with present names in place of those of earlier versions.

    Parameters
    ----------
    model : type
        Model that will check them; its fields name their former keys and values.
    settings : mapping
        As read from a file.
    source : Source
        Position of every entry; those of renamed entries are added to it.
    where : tuple of str
        Position of the settings in the file, if they are a section of it.

    Raises
    ------
    StudyError
        If a setting is given under both its names.
    """
    problems: list[Problem] = []
    present = _present(model, settings, source, where, problems)
    if problems:
        raise StudyError(problems, source)
    return present


def _present(
    model: type[BaseModel], settings: Mapping[str, Any], source: Source, where: Where, problems: list[Problem]
) -> dict[str, Any]:
    rename_layout = getattr(model, "_present_layout", None)
    present = dict(rename_layout(settings, source) if rename_layout else settings)
    for name, info in model.model_fields.items():
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        former = str(extra.get("formerly", ""))
        if former and former in present and former not in model.model_fields:
            if name in present:
                message = f"is the former name of {name!r}, which is given as well; keep {name!r}"
                problems.append(Problem((*where, former), message))
                continue
            location = source.locate((*where, former))
            source.rename((*where, former), (*where, name))
            warn(f"{location}: {'.'.join(map(str, (*where, former)))} is now {'.'.join(map(str, (*where, name)))}")
            present = {name if key == former else key: value for key, value in present.items()}
        if name not in present:
            continue
        value, former_values = present[name], extra.get("former_values") or {}
        if isinstance(former_values, Mapping) and isinstance(value, str) and value in former_values:
            location, field = source.locate((*where, name)), ".".join(map(str, (*where, name)))
            warn(f"{location}: {field}: {value} is now {former_values[value]}")
            present[name] = former_values[value]
        section, entries = _section(info.annotation), present[name]
        if section is not None and isinstance(entries, Mapping):
            present[name] = _present(section, entries, source, (*where, name), problems)
    return present


def _section(annotation: Any) -> type[BaseModel] | None:
    """Model of a section of settings; None for a single setting, or for entries by name."""
    from pydantic import BaseModel  # slow to import, and not needed for names of functions

    for candidate in (annotation, *get_args(annotation)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
