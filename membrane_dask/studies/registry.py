"""The registry of study kinds, which are plug-ins found by entry points."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import ismethod
from typing import TYPE_CHECKING, Any, get_args

from membrane_dask.errors import Problem, ProgramError, Source, StudyError, nearest, short
from membrane_dask.schema import find_table

if TYPE_CHECKING:
    from membrane_dask.config import BaseStudy
    from membrane_dask.program import Program
    from membrane_dask.schema import TableSchema

#: Group of the entry points, e.g. in pyproject.toml: ``[project.entry-points."membrane_dask.studies"]``.
GROUP = "membrane_dask.studies"


@dataclass(frozen=True)
class StudyKind:
    """One kind of study: its settings, what it computes, its result tables and its report.

    All references have the form ``"package.module:name"`` and are imported on first use.

    Parameters
    ----------
    name : str
        Value of ``kind`` in study files; also the name of the entry point.
    model : str
        Class of the settings, derived from :class:`membrane_dask.config.BaseStudy`.
    program : str
        Class derived from :class:`membrane_dask.program.Program`, called with the settings and their source.
    tables : str
        Sequence of :class:`membrane_dask.schema.TableSchema`: all tables and images of its results.
    seed_key : int
        First number of the spawn key of its units' seeds, so that no two kinds use one random stream.
    check : str, optional
        Function of the settings and their source for the command ``check``, which refuses what is wrong with the inputs
        as far as that costs little, and returns what only the program finds, as a sequence of names. Without it, the
        program is built instead.
    report : str, optional
        Function from a run to the sections of its report.
    exports : str, optional
        Function from a run to what of it can be exported: a mapping from names to functions that return a
        :data:`membrane_dask.io.exported_items.Item`. The OME-Zarr volumes of a run need no such function.
    networks : str, optional
        Function from a group of its result to a function of keywords that select one of its networks, and that returns
        the :class:`membrane_dask.physics.networks.pore_network.PoreNetwork`; None if the group has no network.
    provides : tuple of str
        What studies of other kinds can read from its runs: ``"volume"`` for OME-Zarr volumes, ``"network"`` for the
        pore networks of volumes, ``"bench"`` for tables of a virtual bench.
    reads : tuple of str
        Endings of the data files that its setting ``input`` can name, such as ``.csv``.
    """

    name: str
    model: str
    program: str
    tables: str
    seed_key: int
    check: str = ""
    report: str = ""
    exports: str = ""
    networks: str = ""
    provides: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def purpose(self) -> str:
        """Its purpose, in one sentence."""
        return (self.settings_class.__doc__ or "").strip().partition("\n")[0]

    @cached_property
    def settings_class(self) -> type[BaseStudy]:
        """Class of the settings."""
        model: type[BaseStudy] = self._load(self.model)
        field = model.model_fields.get("kind")
        if field is None or get_args(field.annotation) != (self.name,) or field.default != self.name:
            message = f"{self.model} must have the field  kind: Literal[{self.name!r}] = {self.name!r}"
            raise StudyError([Problem((), message)], Source(f"study kind {self.name}"))
        if package := package_of(self.name):
            from membrane_dask.setting_problems import default_problems

            if problems := default_problems(model):
                raise StudyError(problems, Source(f"{self.model} of {package}"))
        return model

    @cached_property
    def schemas(self) -> tuple[TableSchema, ...]:
        """Declarations of all tables."""
        return tuple(self._load(self.tables))

    def check_inputs(self, study: BaseStudy, source: Source | None = None) -> Sequence[str]:
        """Check the inputs of a checked study by :attr:`check`; returns what only its program finds.

        Raises
        ------
        StudyError
            If an input cannot be used.
        """
        unchecked: Sequence[str] = self._load(self.check)(study, source)
        return unchecked

    def build(self, study: BaseStudy, source: Source | None = None) -> Program:
        """Make a checked study ready to run; reads its inputs.

        Raises
        ------
        StudyError
            If an input cannot be used.
        ProgramError
            If the program has a table that the kind does not declare, if its ``work`` is a method, or if a declared
            unit or type is none.
        """
        program: Program = self._load(self.program)(study, source)
        if ismethod(program.work):
            raise ProgramError(f"study kind {self.name!r}: write  work = staticmethod(work)  in {self.program}")
        if package_of(self.name):
            self._require_units()
            self._require_types()
        for name in [
            *(t.name for t in program.tables),
            *(i.name for i in program.images),
            *(d.name for d in program.inputs),
        ]:
            self.require_declared(name)
        return program

    def _require_units(self) -> None:
        """Refuse a declaration whose unit is none; empty stands for text."""
        from membrane_dask.quantities import parse_unit

        for table in self.schemas:
            units = {entry.name: entry.units for entry in table.coordinates}
            units |= {entry.path: entry.units for entry in table.variables}
            for name, text in units.items():
                if text in ("", "1"):
                    continue
                try:
                    parse_unit(text)
                except ValueError as error:
                    message = f"study kind {self.name!r}: {table.name}/{name} in {self.tables}: {error}"
                    raise ProgramError(message) from error

    def _require_types(self) -> None:
        """Refuse a declaration whose type is none of numbers or text; empty stands for that of a file."""
        import numpy as np  # slow to import where kinds are only listed

        for table in self.schemas:
            for variable in table.variables:
                kind: str
                try:
                    kind = np.dtype(variable.dtype).kind if variable.dtype else "f"
                except TypeError:
                    kind = ""
                if not kind or kind not in "biufTU":
                    message = (
                        f"study kind {self.name!r}: {table.name}/{variable.path} in {self.tables}: the type must be "
                        f"one of numbers or text, such as 'f8', 'i8', 'u1' or 'T' (got {short(variable.dtype)})"
                    )
                    raise ProgramError(message)

    def require_declared(self, table: str) -> None:
        """Refuse a table that the kind does not declare.

        Raises
        ------
        ProgramError
            If there is no declaration.
        """
        if find_table(self.schemas, table) is None:
            raise ProgramError(f"study kind {self.name!r}: the table {table!r} is not declared in {self.tables}")

    def _load(self, reference: str) -> Any:
        """What a reference names.

        Raises
        ------
        StudyError
            If the package of another author cannot be imported.
        """
        module, _, name = reference.partition(":")
        try:
            return getattr(import_module(module), name)
        except Exception as error:
            package = package_of(self.name)
            if not package:
                raise
            message = (
                f"{reference} of {package} cannot be imported: {type(error).__name__}: {error}; repair that package"
            )
            raise StudyError([Problem((), message)], Source(f"study kind {self.name}")) from error

    def report_sections(self, run: Any) -> Any:
        """Sections of the report of a run.

        Raises
        ------
        ImportError
            If a plotting library is missing.
        """
        return self._load(self.report)(run)

    def export_items(self, run: Any) -> dict[str, Any]:
        """What of a run can be exported, in addition to its OME-Zarr volumes: functions that return items, by name."""
        return dict(self._load(self.exports)(run)) if self.exports else {}

    def network_reader(self, group: Any) -> Any:
        """Function that returns pore networks of a group of its result, None if the group has none."""
        return self._load(self.networks)(group) if self.networks else None


def package_of(kind: str) -> str:
    """Name and version of the package that another author's kind belongs to; empty for the kinds of this project."""
    for point in _entry_points():
        if point.name == kind and not point.value.startswith("membrane_dask."):
            return f"{point.dist.name} {point.dist.version}" if point.dist else point.module.partition(".")[0]
    return ""


def kind_at_fault(error: BaseException) -> str:
    """Kind and package of another author whose code an exception has passed through; empty if there is none."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages = {frame.f_globals.get("__name__", "").partition(".")[0] for frame in frames}
    for kind in kinds().values():
        references = (kind.model, kind.program, kind.check, kind.tables, kind.report, kind.exports, kind.networks)
        package = package_of(kind.name)
        if package and packages & {one.partition(":")[0].partition(".")[0] for one in references if one}:
            return f"{kind.name!r} ({package})"
    return ""


def kind_names() -> list[str]:
    """Names of all installed study kinds, without importing them."""
    return list(dict.fromkeys(point.name for point in _entry_points()))


@lru_cache(maxsize=1)
def _entry_points() -> list[EntryPoint]:
    # A distribution that is found twice on the path, as an editable one may be, is listed once.
    points = {(point.name, point.value): point for point in entry_points(group=GROUP)}
    # The package's own kinds precede those of others.
    return sorted(points.values(), key=lambda point: (not point.value.startswith("membrane_dask."), point.name))


@lru_cache(maxsize=1)
def _registered() -> tuple[Mapping[str, StudyKind], Mapping[str, str]]:
    """All study kinds that can be imported, and the errors of those that cannot, by name."""
    loaded: dict[str, StudyKind] = {}
    origins: dict[str, str] = {}
    errors: dict[str, str] = {}
    conflicts = []
    for point in _entry_points():
        origin = f"{point.value} of {point.dist.name if point.dist else 'an unknown package'}"
        try:
            kind = point.load()
            if not isinstance(kind, StudyKind):
                raise TypeError(f"it is no StudyKind but {kind!r}")
        except Exception as error:
            errors[point.name] = f"({origin}) cannot be imported: {error}; repair or uninstall that package"
            continue
        if kind.name != point.name:
            conflicts.append(f"{origin} is the study kind {kind.name!r}, but its entry point is called {point.name!r}")
        same = [name for name, other in loaded.items() if name == kind.name or other.seed_key == kind.seed_key]
        for name in same:
            equal = f"the name {name!r}" if name == kind.name else f"the seed key {kind.seed_key}"
            conflicts.append(f"two study kinds have {equal}: {origins[name]}, and {origin}; uninstall one of them")
        if not same:
            loaded[kind.name], origins[kind.name] = kind, origin
    if not loaded and not errors:
        conflicts.append("no study kind is installed; install the package again, for example: pip install -e .")
    if conflicts:
        raise StudyError([Problem((), conflict) for conflict in conflicts], Source("study kinds"))
    return loaded, errors


def kinds() -> Mapping[str, StudyKind]:
    """All installed study kinds, by name; those that cannot be imported are left out.

    Raises
    ------
    StudyError
        If two kinds have one name or one seed key.
    """
    return _registered()[0]


def find_kind(name: object) -> StudyKind:
    """The study kind of a name.

    Raises
    ------
    StudyError
        If there is none, or if it cannot be imported.
    """
    registered, errors = _registered()
    if isinstance(name, str) and name in errors:
        raise StudyError([Problem(("kind",), f"the study kind {name!r} {errors[name]}")])
    if not isinstance(name, str) or name not in registered:
        hint = nearest(str(name), list(registered))
        raise StudyError([Problem(("kind",), f"unknown study kind; {hint} (got {short(name)})")])
    return registered[name]
