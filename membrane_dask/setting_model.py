"""Base class of all sections of settings: frozen, closed to unknown keys, and checked between fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from membrane_dask.errors import Problem, Source, StudyError, short
from membrane_dask.setting_problems import problems_of

#: Fields of the section that is being validated that are right alone, by name.
_valid_fields: ContextVar[dict[str, Any]] = ContextVar("_valid_fields")


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    if not TYPE_CHECKING:  # type checkers derive the arguments from the fields

        def __init__(self, **settings: Any) -> None:
            try:
                super().__init__(**settings)
            except ValidationError as error:
                raise StudyError(problems_of(error, type(self)), Source(type(self).__name__)) from None
            if problems := list(unused_settings(self)):
                raise StudyError(problems, Source(type(self).__name__))

        # As that of BaseModel: validation of mappings, which has a context, does not call it.
        __init__.__pydantic_base_init__ = True

    def _inconsistencies(self) -> Iterator[Problem]:
        """What is wrong between fields that are each right alone."""
        return iter(())

    def _unused(self) -> Iterator[Problem]:
        """Settings that were changed although the others leave them without an effect."""
        return iter(())

    def _changed(self, names: Iterable[str], reason: str, *section: str, switch: str = "") -> Iterator[Problem]:
        """Problems of settings that differ from their defaults, although the study does not use them.

        Defaults pass, as a study that a run has stored, or a command has written, names all settings. So does all
        where the section states the setting that turns the others off, ``switch``, such as ``enabled: false``.
        """
        if switch in self.model_fields_set:
            return
        for name in names:
            value = getattr(self, name)
            if value != type(self).model_fields[name].get_default(call_default_factory=True):
                text = short(list(value) if isinstance(value, tuple) else value)
                yield Problem((*section, name), f"{reason}, or leave it out (got {text})")

    @field_validator("*", mode="after")
    @classmethod
    def _note_valid(cls, value: Any, info: ValidationInfo) -> Any:
        _valid_fields.get()[str(info.field_name)] = value
        return value

    @model_validator(mode="wrap")
    @classmethod
    def _consistent(cls, data: Any, handler: ModelWrapValidatorHandler[Model]) -> Model:
        valid: dict[str, Any] = {}
        token = _valid_fields.set(valid)
        try:
            model = handler(data)
        except ValidationError as error:
            problems = list(cls._inconsistencies_of_valid(valid, error))
            if not problems:
                raise
            details = [_details(item) for item in error.errors(include_url=False)]
            details.append({"type": _inconsistent(problems), "input": data})
            raise ValidationError.from_exception_data(error.title, details) from None
        finally:
            _valid_fields.reset(token)
        if problems := list(model._inconsistencies()):
            raise _inconsistent(problems)
        return model

    @classmethod
    def _inconsistencies_of_valid(cls, valid: dict[str, Any], error: ValidationError) -> Iterator[Problem]:
        """What is wrong between the fields that are right alone, up to the first check that reads another field."""
        wrong = {str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"]}
        model = cls.model_construct(**{name: value for name, value in valid.items() if name not in wrong})
        for name in wrong & model.__dict__.keys():
            del model.__dict__[name]
        try:
            yield from model._inconsistencies()
        except AttributeError:
            return


def unused_settings(model: Model, *section: str | int) -> Iterator[Problem]:
    """Settings of a section, and of those within it, that were changed although they have no effect.

    They are no errors of a run that an earlier version has stored.
    """
    for problem in model._unused():
        yield Problem((*section, *problem.where), problem.message)
    for name in type(model).model_fields:
        value = getattr(model, name)
        items: Iterable[tuple[tuple[str | int, ...], Any]] = [((name,), value)]
        if isinstance(value, tuple):
            items = [((name, k), item) for k, item in enumerate(value)]
        for where, item in items:
            if isinstance(item, Model):
                yield from unused_settings(item, *section, *where)


def _inconsistent(problems: list[Problem]) -> PydanticCustomError:
    text = "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    return PydanticCustomError("inconsistent", "{text}", {"text": text, "problems": problems})


def _details(item: Any) -> InitErrorDetails:
    """An error of a field, to be raised once more with further ones."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "inconsistent":
        kind = _inconsistent(context["problems"])
    return {"type": kind, "loc": item["loc"], "input": item["input"], "ctx": context}
