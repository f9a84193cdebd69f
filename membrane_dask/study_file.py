"""Study files: reads and checks them with the position of every entry, and writes commented YAML."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, overload

from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from membrane_dask.config import BaseStudy, ClusterSettings, without_numpy
from membrane_dask.errors import Problem, Source, StudyError, Where, short
from membrane_dask.former_names import present_settings, warn_caller
from membrane_dask.setting_model import unused_settings
from membrane_dask.setting_problems import problems_of
from membrane_dask.studies.registry import find_kind, kind_names, kinds
from membrane_dask.yaml_files import MAX_DEPTH, parse_yaml, read_mapping

_Study = TypeVar("_Study", bound=BaseStudy)


@overload
def load_study(path: str | Path, overrides: Sequence[str] = (), **values: Any) -> BaseStudy: ...


@overload
def load_study(path: str | Path, overrides: Sequence[str], settings_class: type[_Study], **values: Any) -> _Study: ...


def load_study(
    path: str | Path, overrides: Sequence[str] = (), settings_class: type[BaseStudy] = BaseStudy, **values: Any
) -> BaseStudy:
    """Read and check a study.

    Parameters
    ----------
    path : str or Path
        YAML file.
    overrides : sequence of str
        ``a.b=value`` assignments, as given to ``--set``; the value is YAML.
    settings_class : type
        Class of the study's kind, for type checkers, such as ``load_study(path, [], GradedStudy)``.
    **values
        The same as keywords, for notebooks: ``realizations=5, cluster={"workers": 1}``. A mapping
        changes the named entries of a section and leaves the others. Numbers and arrays of NumPy are taken as theirs.

    Returns
    -------
    BaseStudy
        Of the class of its kind.
        It is frozen, with every default filled in.

    Raises
    ------
    TypeError
        If ``path`` is no path, or ``overrides`` is text.
    StudyError
        With every problem found.
    """
    study, source = load_study_with_source(path, overrides, **values)
    if not isinstance(study, settings_class):
        message = f"is a {type(study).__name__}, not a {settings_class.__name__} (got {study.kind!r})"
        raise StudyError([Problem(("kind",), message)], source)
    return study


def load_study_with_source(path: str | Path, overrides: Sequence[str] = (), **values: Any) -> tuple[BaseStudy, Source]:
    """Like :func:`load_study`, with the position of every entry, for problems that appear later."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path: must be the path of a study file (got {short(path)})")
    if isinstance(overrides, str):
        raise TypeError(f"overrides: must be a list of assignments, such as [{overrides!r}] (got {overrides!r})")
    path = Path(path)
    try:
        data, lines = read_mapping(path)
    except StudyError:
        if _is_data_file(path) and (commands := _commands_for_data(path)):
            message = f"a data file, not a study; write a study that reads it: {' or '.join(commands)}"
            raise StudyError([Problem((), message)], Source(str(path))) from None
        raise
    problems: list[Problem] = []
    marks: dict[Where, str] = {}
    alone = copy.deepcopy(data)
    for text in overrides:
        problem = _apply(data, text, marks)
        if problem:
            problems.append(problem)
    _merge(data, values, marks)
    source = Source(str(path), lines, marks)
    if problems:
        raise StudyError(problems, Source("--set"))
    if "name" not in data or data["name"] == "":
        data["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:80] or "study"
    study = _validated(data, source, path.parent)
    is_stored = path.name == "study.yaml" and (path.parent / "run.json").is_file()
    if not is_stored and (unused := list(unused_settings(study))):
        _refuse_unused(unused, source, alone, path.parent)
    return study, source


def _refuse_unused(problems: Sequence[Problem], source: Source, alone: Mapping[str, Any], base: Path) -> None:
    """Refuse settings without an effect; a warning names those of a file which only overrides leave without one.

    Another method of a search can thus be tried with ``--set`` on a file that has settings of its present method.
    """
    before = _unused_alone(alone, source, base) if source.overrides else {problem.where for problem in problems}
    refused = [problem for problem in problems if problem.where in before or source.is_override(problem.where)]
    if refused:
        raise StudyError(refused, source)
    for problem in problems:
        warn_caller(f"{source.locate(problem.where)}: {problem.field} is not used: {problem.message}", UserWarning)


def _unused_alone(alone: Mapping[str, Any], source: Source, base: Path) -> set[Where]:
    """Fields of a file without its overrides that have no effect; none of a file that needs the overrides."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # former names were reported already
        try:
            study = _validated(alone, Source(source.name, source.lines), base)
        except StudyError:
            return set()
    return {problem.where for problem in unused_settings(study)}


def _is_data_file(path: Path) -> bool:
    """Whether a file that cannot be read as a study is not meant as one: it names no kind."""
    with contextlib.suppress(OSError):  # for example a name that is too long
        if path.is_dir():
            return True
        if path.is_file():
            with path.open("rb") as stream:
                return re.search(rb"^kind\s*:", stream.read(1_000_000), re.MULTILINE) is None
    return False


def _commands_for_data(path: Path) -> list[str]:
    """Commands that write a study of a data file, one for each kind that reads such files."""
    import shlex

    names = [kind.name for kind in kinds().values() if path.suffix.lower() in kind.reads]
    return [f"membrane-dask new {name} --input {shlex.quote(str(path))} > study.yaml" for name in names]


def parse_study(data: Mapping[str, Any], source: Source | None = None, base: Path | None = None) -> BaseStudy:
    """Check a study given as a mapping; see :func:`load_study`."""
    source = source or Source()
    study = _validated(data, source, base or Path())
    if problems := list(unused_settings(study)):
        raise StudyError(problems, source)
    return study


def _validated(data: Mapping[str, Any], source: Source, base: Path) -> BaseStudy:
    """The study of a mapping, which may have settings without an effect."""
    kind = data.get("kind")
    if "kind" not in data:
        raise StudyError([Problem((), f"kind: required; one of {', '.join(kind_names())}")], source)
    try:
        model = find_kind(kind).settings_class
    except StudyError as error:
        raise StudyError(error.problems, source) from None
    settings = present_settings(model, data, source)
    try:
        return model.model_validate(settings, context={"base": base})
    except ValidationError as error:
        raise StudyError(problems_of(error, model), source) from None


def parse_cluster(profile: str, overrides: Sequence[str] = ()) -> ClusterSettings:
    """The section ``cluster`` of a study that has only a profile and ``key=value`` assignments.

    Raises
    ------
    StudyError
        With every problem found.
    """
    data: dict[str, Any] = {"profile": profile}
    marks: dict[Where, str] = {}
    problems = [problem for text in overrides if (problem := _apply(data, text.removeprefix("cluster."), marks))]
    if problems:
        raise StudyError(problems, Source("--set"))
    source = Source(profile, {}, marks)
    try:
        return ClusterSettings.model_validate(present_settings(ClusterSettings, data, source))
    except ValidationError as error:
        raise StudyError(problems_of(error, ClusterSettings), source) from None


def _merge(data: dict[str, Any], values: Mapping[str, Any], marks: dict[Where, str], section: Where = ()) -> None:
    """Change entries to the values of keywords, and note these as their positions."""
    for key, value in values.items():
        where = (*section, key)
        if isinstance(value, Mapping) and isinstance(data.get(key), dict):
            _merge(data[key], value, marks, where)
        else:
            data[key] = without_numpy(value)
            marks[where] = f"keyword {'.'.join(map(str, where))}={short(data[key])}"


def _apply(data: dict[str, Any], text: str, marks: dict[Where, str]) -> Problem | None:
    """Apply one assignment ``a.b=value``; returns the problem with it, if there is one."""
    from ruamel.yaml.error import YAMLError

    key, equals, value = text.partition("=")
    where: Where = tuple(key.strip().split("."))
    if not equals or not all(where) or len(where) > MAX_DEPTH:
        return Problem((), f"an assignment like section.field=value is needed (got {short(text)})")
    try:
        parsed = parse_yaml(value)[0]
    except (YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
        return Problem((), f"the value is not YAML (got {short(text)})")
    if where == ("input",) and isinstance(parsed, str):
        try:
            parsed = str(Path.cwd() / Path(parsed).expanduser())  # typed at a prompt, so relative to it
        except RuntimeError as error:
            return Problem(where, f"{error} (got {short(parsed)})")
    node: Any = data
    for name in where[:-1]:
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
        if not isinstance(node, dict):
            return Problem((), f"{name!r} is not a section (got {short(text)})")
    node[where[-1]] = parsed
    marks[where] = f"--set {text}"
    return None


def to_yaml(study: BaseStudy) -> str:
    """The study with all defaults written out, as it is stored in the run directory."""
    return _yaml(study.model_dump(mode="json"), flow_style=None)


def to_short_yaml(study: BaseStudy, changes: Mapping[str, Any]) -> str:
    """The settings of a study that are not left at their defaults, with some of them changed."""
    settings = {"kind": study.kind, **study.model_dump(mode="json", exclude_unset=True), **changes}
    return _yaml(settings, flow_style=False)


def _yaml(settings: Mapping[str, Any], flow_style: bool | None) -> str:
    from io import StringIO

    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = flow_style
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = StringIO()
    writer.dump(dict(settings), stream)
    return stream.getvalue()


def commented_study(kind: str, *, full: bool = False, input_file: str | None = None) -> str:
    """A study of ``kind`` with its essential parameters, their defaults, units, bounds, spellings and sources.

    Parameters
    ----------
    kind : str
        Study kind.
    full : bool
        All parameters instead.
    input_file : str, optional
        Value of the setting ``input``, as the study file names it.

    Raises
    ------
    StudyError
        If there is no such kind, or it has no input.
    """
    model = find_kind(kind).settings_class
    if input_file is not None and "input" not in model.model_fields:
        raise StudyError([Problem(("input",), f"the kind {kind} reads no file (got {input_file!r})")], Source("new"))
    lines = [f"# {(model.__doc__ or '').strip()}"]
    essential = None if full or not model.essential else set(model.essential)
    if essential is not None:
        lines.append(f"# All other parameters: membrane-dask new {kind} --full")
    lines.append(f"kind: {kind}")
    if input_file is not None:
        lines.append(f"input: {json.dumps(input_file, ensure_ascii=False)}")
    _commented(model, lines, (), essential, frozenset({"kind"} if input_file is None else {"kind", "input"}))
    return "\n".join(lines) + "\n"


def _commented(
    model: type[BaseModel],
    lines: list[str],
    where: tuple[str, ...],
    essential: set[str] | None,
    omitted: frozenset[str] = frozenset(),
) -> None:
    """Append a line for each setting of a model; ``essential`` has the dotted keys of those to write, None for all."""
    # The parameters of the kind precede those of all studies.
    common = set(BaseStudy.model_fields) if issubclass(model, BaseStudy) else set()
    order = sorted(model.model_fields, key=lambda name: name in common)
    written = model.model_construct().model_dump(mode="json", warnings=False)
    indent = "  " * len(where)
    for name in order:
        info = model.model_fields[name]
        key = ".".join((*where, name))
        if key in omitted or not (essential is None or any(f"{item}.".startswith(f"{key}.") for item in essential)):
            continue
        comment = "  # " + " ".join(_notes(info))
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        inner = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            lines.append(f"{indent}{name}:{comment}")
            is_whole = essential is not None and key in essential
            _commented(inner, lines, (*where, name), None if is_whole else essential)
        elif "example" in extra:
            lines.append(f"{indent}{name}: {extra['example']}{comment}{' REQUIRED' if info.is_required() else ''}")
        else:
            lines.append(f"{indent}{name}: {json.dumps(written[name])}{comment}")


def _notes(info: FieldInfo) -> list[str]:
    """Meaning, unit, bounds, spellings and source of a setting."""
    extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    notes = [str(info.description)]
    if extra.get("unit") not in ("", "1", None):
        notes.append(f"[{extra['unit']}]")
    if bounds := bounds_text(info.metadata):
        notes.append(f"({bounds})")
    if options := spellings(info.annotation):
        notes.append(f"(one of: {', '.join(options)})")
    if extra.get("source"):
        notes.append(f"- {extra['source']}")
    return notes


def spellings(annotation: Any) -> list[str]:
    """Values that a setting can have, if it has a fixed set of them, as YAML writes them."""
    if annotation is bool:
        return ["true", "false"]
    if get_origin(annotation) is Literal:
        return [str(option) for option in get_args(annotation)]
    return [option for inner in get_args(annotation) for option in spellings(inner)]


def setting_keys(kind: str) -> dict[str, list[str]]:
    """Spellings of each setting of a kind by its dotted key, as ``--set`` takes it; empty where any value can be given.

    Raises
    ------
    StudyError
        If there is no such kind.
    """
    return dict(_keys(find_kind(kind).settings_class, ""))


def _keys(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, list[str]]]:
    for name, info in model.model_fields.items():
        options = (info.annotation, *get_args(info.annotation))
        inner = next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)
        if inner is not None:
            yield from _keys(inner, f"{prefix}{name}.")
        elif name != "kind":
            yield f"{prefix}{name}", spellings(info.annotation)


def bounds_text(metadata: Sequence[Any]) -> str:
    """Bounds of a setting, e.g. ``>= 1, < 10``, from the metadata of its field."""
    signs = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
    bounds = []
    for item in metadata:
        for name, sign in signs.items():
            limit = getattr(item, name, None)
            if limit is not None:
                bounds.append(f"{sign} {limit:g}")
    return ", ".join(bounds)


def json_schema() -> dict[str, Any]:
    """JSON schema of all study kinds, for editors."""
    models = tuple(kind.settings_class for kind in kinds().values())
    union: Any = Union[models]  # noqa: UP007 - the members are known at run time only
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[union, Field(discriminator="kind")] if len(models) > 1 else union)
    schema = adapter.json_schema(mode="validation")
    schema["title"] = "membrane-dask study"
    return schema
