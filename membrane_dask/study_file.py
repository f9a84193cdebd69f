"""Study files: reads and checks YAML with the position of every entry, and writes commented YAML."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from membrane_dask.config import BaseStudy, ClusterSettings
from membrane_dask.errors import Problem, Source, StudyError, Where, nearest
from membrane_dask.former_names import present_settings
from membrane_dask.studies.registry import find_kind, kind_names, kinds


def load_study(path: str | Path, overrides: Sequence[str] = (), **values: Any) -> BaseStudy:
    """Read and check a study.

    Parameters
    ----------
    path : str or Path
        YAML file.
    overrides : sequence of str
        ``a.b=value`` assignments, as given to ``--set``; the value is YAML.
    **values
        The same as keywords, for notebooks: ``realizations=5, cluster={"workers": 1}``. A mapping
        changes the named entries of a section and leaves the others.

    Returns
    -------
    BaseStudy
        Of the class of its kind.
        It is frozen, with every default filled in.

    Raises
    ------
    StudyError
        With every problem found.
    """
    return load_study_with_source(path, overrides, **values)[0]


def load_study_with_source(path: str | Path, overrides: Sequence[str] = (), **values: Any) -> tuple[BaseStudy, Source]:
    """Like :func:`load_study`, with the position of every entry, for problems that appear later."""
    path = Path(path)
    data, lines = read_mapping(path)
    source = Source(str(path), lines)
    problems: list[Problem] = []
    marks: dict[Where, str] = {}
    for text in overrides:
        problem = _apply(data, text, marks)
        if problem:
            problems.append(problem)
    _merge(data, values)
    source = Source(str(path), lines, marks)
    if problems:
        raise StudyError(problems, Source("--set"))
    if "name" not in data or data["name"] == "":
        data["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._") or "study"
    return parse_study(data, source, base=path.parent), source


def parse_study(data: Mapping[str, Any], source: Source | None = None, base: Path | None = None) -> BaseStudy:
    """Check a study given as a mapping; see :func:`load_study`."""
    source = source or Source()
    kind = data.get("kind")
    if "kind" not in data:
        raise StudyError([Problem((), f"kind: required; one of {', '.join(kind_names())}")], source)
    try:
        model = find_kind(kind).settings_class
    except StudyError as error:
        raise StudyError(error.problems, source) from None
    settings = present_settings(model, data, source)
    try:
        return model.model_validate(settings, context={"base": base or Path()})
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


def _merge(data: dict[str, Any], values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(data.get(key), dict):
            _merge(data[key], value)
        else:
            data[key] = value


def _apply(data: dict[str, Any], text: str, marks: dict[Where, str]) -> Problem | None:
    """Apply one assignment ``a.b=value``; returns the problem with it, if there is one."""
    key, equals, value = text.partition("=")
    where: Where = tuple(key.strip().split("."))
    if not equals or not all(where):
        return Problem((), f"an assignment like section.field=value is needed (got {text!r})")
    try:
        parsed = _plain(_yaml().load(value))
    except Exception:
        return Problem((), f"the value is not YAML (got {text!r})")
    if where == ("input",) and isinstance(parsed, str):
        parsed = str(Path.cwd() / Path(parsed).expanduser())  # typed at a prompt, so relative to it
    node: Any = data
    for name in where[:-1]:
        if node.get(name) is None:
            node[name] = {}
        node = node[name]
        if not isinstance(node, dict):
            return Problem((), f"{name!r} is not a section (got {text!r})")
    node[where[-1]] = parsed
    marks[where] = text
    return None


def _yaml() -> Any:
    from ruamel.yaml import YAML

    return YAML(typ="rt")  # YAML 1.2: 1e-3 is a number, `no` is a word; duplicate keys are refused


def read_mapping(path: Path, what: str = "study") -> tuple[dict[str, Any], dict[Where, tuple[int, int]]]:
    """Content of a YAML file, and line and column of every entry.

    Raises
    ------
    StudyError
        If there is no such file, it is not YAML, or it holds something else than a mapping.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    source = Source(str(path))
    if not path.is_file():
        siblings = [str(path.with_name(p.name)) for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(str(path), siblings, n=1)
        hint = f"did you mean {close[0]!r}?" if close else "write one with: membrane-dask new KIND > study.yaml"
        raise StudyError([Problem((), f"no such {what} file; {hint}")], source)
    try:
        document = _yaml().load(path.read_text(encoding="utf-8"))
        plain = _plain(document)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        position: dict[Where, tuple[int, int]] = {(): (mark.line + 1, mark.column + 1)} if mark else {}
        message = (error.problem or "cannot be read").split("\n")[0]
        raise StudyError([Problem((), f"not valid YAML: {message}")], Source(str(path), position)) from None
    except (YAMLError, UnicodeDecodeError, OSError, ValueError, RecursionError) as error:
        message = str(error).split("\n")[0] or type(error).__name__
        raise StudyError([Problem((), f"not valid YAML: {message}")], source) from None
    if not isinstance(plain, dict):
        kind = {list: "a list", str: "text", type(None): "empty"}.get(type(plain), type(plain).__name__)
        raise StudyError(
            [
                Problem(
                    (),
                    f"a {what} is a mapping of names to values, this file is {kind}"
                    + ("; see: membrane-dask new graded" if what == "study" else ""),
                )
            ],
            source,
        )
    lines: dict[Where, tuple[int, int]] = {}
    _positions(document, (), lines)
    return plain, lines


def _plain(node: Any) -> Any:
    """YAML objects with positions -> plain Python values."""
    from ruamel.yaml.scalarbool import ScalarBoolean

    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(value) for value in node]
    if isinstance(node, (bool, ScalarBoolean)):
        return bool(node)
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _positions(node: Any, where: Where, lines: dict[Where, tuple[int, int]]) -> None:
    """Line and column (from 1) of every key and list item."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            position = node.lc.data.get(key) if hasattr(node, "lc") and node.lc.data else None
            if position:
                lines[(*where, str(key))] = (position[0] + 1, position[1] + 1)
            _positions(value, (*where, str(key)), lines)
    elif isinstance(node, list):
        for i, value in enumerate(node):
            position = node.lc.data.get(i) if hasattr(node, "lc") and node.lc.data else None
            if position:
                lines[(*where, i)] = (position[0] + 1, position[1] + 1)
            _positions(value, (*where, i), lines)


_MESSAGES = {
    "missing": "required",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text",
    "finite_number": "must be a finite number",
    "literal_error": "must be one of {expected}",
    "model_type": "must be a section of names and values",
    "tuple_type": "must be a list",
    "too_short": "needs at least {min_length} values",
    "too_long": "takes at most {max_length} values",
    "string_too_long": "takes at most {max_length} characters",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Problems in plain words, from an error of pydantic."""
    problems: list[Problem] = []
    for item in error.errors(include_url=False):
        where: Where = tuple(item["loc"])
        value, context, kind = item.get("input"), item.get("ctx", {}), item["type"]
        got = f" (got {_short(value)})"
        if kind == "inconsistent":
            problems += [Problem((*where, *p.where), p.message) for p in context["problems"]]
            continue
        if kind == "extra_forbidden":
            valid = list(_section(model, where[:-1]).model_fields)
            message = f"unknown key; {nearest(str(where[-1]), valid)}" + got
        elif kind == "missing":
            field_info = _section(model, where[:-1]).model_fields.get(str(where[-1]))
            extra = (field_info.json_schema_extra or {}) if field_info else {}
            example = extra.get("example") if isinstance(extra, dict) else None
            description = field_info.description if field_info else ""
            message = f"required: {description}" + (f"; for example '{example}'" if example else "")
        elif kind == "value_error":
            message = str(context.get("error", item["msg"]))
        else:
            template = _MESSAGES.get(kind)
            message = (template.format(**context) if template else item["msg"]) + got
            if kind == "literal_error" and isinstance(value, str):
                options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
                close = difflib.get_close_matches(value, options, n=1)
                message += f"; did you mean {close[0]!r}?" if close else ""
        problem = Problem(where, message)
        if problem not in problems:
            problems.append(problem)
    return problems


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _section(model: type[BaseModel], where: Where) -> type[BaseModel]:
    """Model of the section at ``where``."""
    for name in where:
        info = model.model_fields.get(str(name))
        if info is None:
            continue
        inner = info.annotation
        if get_origin(inner) is dict:  # entries by name: the next name is that of an entry
            inner = get_args(inner)[1]
        elif get_origin(inner) is tuple:  # a list of sections: the number after this one leads into a section
            inner = get_args(inner)[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return model


def to_yaml(study: BaseStudy) -> str:
    """The study with all defaults written out, as it is stored in the run directory."""
    from io import StringIO

    from ruamel.yaml import YAML

    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = StringIO()
    writer.dump(study.model_dump(mode="json"), stream)
    return stream.getvalue()


def commented_study(kind: str) -> str:
    """A study of ``kind`` with every parameter, its default, unit, bounds and source.

    Raises
    ------
    StudyError
        If there is no such kind.
    """
    model = find_kind(kind).settings_class
    lines = [f"# {(model.__doc__ or '').strip()}", f"kind: {kind}"]
    _commented(model, lines, "")
    return "\n".join(lines) + "\n"


def _commented(model: type[BaseModel], lines: list[str], indent: str) -> None:
    # The parameters of the kind precede those of all studies.
    common = set(BaseStudy.model_fields) if issubclass(model, BaseStudy) else set()
    order = sorted(model.model_fields, key=lambda name: name in common)
    written = model.model_construct().model_dump(mode="json", warnings=False)
    for name in order:
        info = model.model_fields[name]
        if name == "kind":
            continue
        extra = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
        notes = [str(info.description)]
        if extra.get("unit") not in ("", "1", None):
            notes.append(f"[{extra['unit']}]")
        bounds = _bounds(info.metadata)
        if bounds:
            notes.append(f"({bounds})")
        if extra.get("source"):
            notes.append(f"- {extra['source']}")
        inner = info.annotation
        comment = "  # " + " ".join(notes)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            lines.append(f"{indent}{name}:{comment}")
            _commented(inner, lines, indent + "  ")
        elif "example" in extra:
            lines.append(f"{indent}{name}: {extra['example']}{comment}{' REQUIRED' if info.is_required() else ''}")
        else:
            lines.append(f"{indent}{name}: {json.dumps(written[name])}{comment}")


def _bounds(metadata: Sequence[Any]) -> str:
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
