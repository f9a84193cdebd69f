"""Problems of settings in the words of a study file, from errors of pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from membrane_dask.errors import MAX_PROBLEMS, Problem, Where, closest, nearest, short

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
    "dict_type": "must be a section of names and values",
    "tuple_type": "must be a list",
    "too_short": "needs at least {min_length} values",
    "too_long": "takes at most {max_length} values",
    "string_too_long": "takes at most {max_length} characters",
}


def problems_of(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Problems in plain words, from an error of pydantic."""
    return _problems(error.errors(include_url=False), model)


def _problems(items: Sequence[Any], model: type[BaseModel]) -> list[Problem]:
    problems: list[Problem] = []
    for item in items[:MAX_PROBLEMS]:
        where: Where = tuple(item["loc"])
        value, context, kind = item.get("input"), item.get("ctx", {}), item["type"]
        got = f" (got {short(value)})"
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
            if where[:-1] and isinstance(value, dict):  # what the section has instead
                message += got
        elif kind == "value_error":
            message = str(context.get("error", item["msg"]))
        else:
            template = _MESSAGES.get(kind)
            message = (template.format(**context) if template else item["msg"]) + got
            if kind == "literal_error" and isinstance(value, str):
                options = re.findall(r"'([^']*)'", str(context.get("expected", "")))
                message += closest(value, options)
        problem = Problem(where, message + _decimal_sign(value))
        if problem not in problems:
            problems.append(problem)
    if len(items) > MAX_PROBLEMS:
        problems.append(Problem((), f"and {len(items) - MAX_PROBLEMS} further problems"))
    return problems


def default_problems(model: type[BaseModel], where: Where = ()) -> list[Problem]:
    """Defaults that a study must not contain: pydantic does not check them, and a new study writes them out."""
    problems: list[Problem] = []
    for name, info in model.model_fields.items():
        for section in _sections(info.annotation):
            problems += default_problems(section, (*where, name))
        if info.is_required():
            continue
        try:
            written = model.model_construct().model_dump(mode="json", include={name}, warnings="error")
            model.model_validate(written)
        except ValidationError as error:  # other fields may be required, and checks between fields need them
            items = [item for item in error.errors(include_url=False) if item["loc"][:1] == (name,)]
            items = [item for item in items if item["type"] not in ("missing", "inconsistent")]
            problems += [
                Problem((*where, *p.where), f"the default is not allowed: {p.message}") for p in _problems(items, model)
            ]
        except PydanticSerializationError:
            default = short(info.get_default(call_default_factory=True))
            problems.append(
                Problem(
                    (*where, name), f"the default is not allowed: it has another type than the setting (got {default})"
                )
            )
    return list(dict.fromkeys(problems))


def _sections(annotation: Any) -> Iterator[type[BaseModel]]:
    """Models of the sections that a setting can have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _sections(inner)


def _decimal_sign(value: object) -> str:
    """Advice on a value that was refused and has a comma between digits."""
    if not isinstance(value, str) or not re.search(r"\d,\d", value):
        return ""
    comma = r"(?<=[0-9]),(?=[0-9])"
    advice = f"; write the decimal sign as a point: {short(re.sub(comma, '.', value))}"
    if re.search(r"\d,\d{3}(?!\d)", value):
        advice += f", and thousands without a sign: {short(re.sub(comma, '', value))}"
    return advice


def _section(model: type[BaseModel], where: Where) -> type[BaseModel]:
    """Model of the section at ``where``."""
    for name in where:
        info = model.model_fields.get(str(name))
        if info is None:
            continue
        inner = info.annotation
        if type(None) in get_args(inner):  # a section that may be absent
            inner = next(option for option in get_args(inner) if option is not type(None))
        if get_origin(inner) is dict:  # entries by name: the next name is that of an entry
            inner = get_args(inner)[1]
        elif get_origin(inner) is tuple:  # a list of sections: the number after this one leads into a section
            inner = get_args(inner)[0]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return model
