"""Mistakes that authors of study kinds make: each is reported in their words, and none changes a result in silence."""

from __future__ import annotations

import importlib
from importlib.metadata import EntryPoint
from types import MappingProxyType

import numpy as np
import pytest
import toy

from membrane_dask import api
from membrane_dask.engine import layout
from membrane_dask.engine.run import prepare
from membrane_dask.engine.unit_calls import UnitContext, UnitExitError, compute
from membrane_dask.errors import ProgramError, StudyError, Terminated
from membrane_dask.program import Dataset, Program, Table, Unit
from membrane_dask.schema import Coordinate, TableSchema, Variable
from membrane_dask.setting_problems import default_problems
from membrane_dask.studies import registry
from membrane_dask.study_file import parse_study

UNIT = Unit("toy,row=0", "toy", (0,), {}, (1,))
COORDINATES = (Coordinate("temperature", "K", "temperature"), Coordinate("point", "1", "number of the point"))
MEANS = TableSchema("means", (Variable("mean", (), "f8", "1", "mean"),), COORDINATES)


def first_failure(root, work) -> str:
    """Error of the first unit of a run of two units with another ``work``."""
    plan = toy.toy_plan(rows=1, columns=2, cluster={"profile": "sync"}, execution={"retries": 0})
    plan.program.work = work
    run = prepare(plan, root)
    api.execute(run, plan, listener=lambda event: None)
    assert run.status()["failed"] == 2
    return run.failures[0]["error"]


def test_a_unit_cannot_change_the_context_of_the_next():
    context = {"count": 0, "array": np.zeros(2), "nested": {"entries": [np.ones(1)]}}

    def put(shared, unit):
        shared["count"] = 1
        return {}, {}

    def fill(shared, unit):
        shared["array"][0] = 1.0
        return {}, {}

    def fill_inside(shared, unit):
        shared["nested"]["entries"][0][:] = 2.0
        return {}, {}

    def append(shared, unit):
        shared["nested"]["entries"].append(1)
        return {}, {}

    def reshape(shared, unit):
        shared["array"].shape = (1, 2)
        return {}, {}

    with pytest.raises(TypeError, match="item assignment"):
        compute(put, UnitContext(context), UNIT)
    shared_context = UnitContext(context)
    for change in (fill, fill_inside):
        with pytest.raises(ValueError, match="read-only"):
            compute(change, shared_context, UNIT)
    compute(append, shared_context, UNIT)  # of a copy
    compute(reshape, shared_context, UNIT)  # of a view
    unit_context = shared_context.of_unit()
    assert len(unit_context["nested"]["entries"]) == 1
    assert unit_context["array"].shape == (2,)
    assert context["count"] == 0
    assert len(context["nested"]["entries"]) == 1
    assert context["array"][0] == 0.0
    assert context["array"].flags.writeable


def test_a_read_only_context_has_equal_content():
    content = {"list": [1, (2, [3.0])], "array": np.arange(3), "text": "a", "numbers": {"one": 1}}
    protected = UnitContext(content).of_unit()
    assert isinstance(protected, MappingProxyType)
    assert protected["list"] == content["list"]
    assert protected["numbers"] == content["numbers"]
    assert np.shares_memory(protected["array"], content["array"])  # nothing large is copied


def test_the_content_of_lists_is_protected_once_for_all_units():
    context = UnitContext({"pores": [{"radius": 1.0, "ends": (0, 1)}, {"radius": 2.0, "ends": (1, 2)}]})
    first, second = context.of_unit()["pores"], context.of_unit()["pores"]
    assert first is not second
    assert all(a is b for a, b in zip(first, second, strict=True))
    assert isinstance(first[0], MappingProxyType)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"value": np.zeros(())}, "one dictionary, of value; without feedback, return arrays, {}"),
        (None, "got None"),
        ((np.zeros(2), {}), "a tuple of ndarray, dict"),
    ],
)
def test_work_must_return_arrays_and_feedback(tmp_path, returned, message):
    error = first_failure(tmp_path / "run", lambda context, unit: returned)
    assert "work must return (arrays, feedback)" in error
    assert message in error


def test_feedback_that_is_no_number_is_named(tmp_path):
    def work(context, unit):
        return toy.work(context, unit)[0], {"rate": "text"}

    error = first_failure(tmp_path / "run", work)
    assert "the feedback 'rate' must be a finite number (got 'text')" in error


def test_sys_exit_is_a_failure_of_the_unit(tmp_path):
    def leave(context, unit):
        raise SystemExit(3)

    assert "UnitExitError: the unit called sys.exit(3)" in first_failure(tmp_path / "run", leave)
    with pytest.raises(UnitExitError):
        compute(leave, UnitContext({}), UNIT)


def test_the_end_of_the_process_is_no_failure_of_the_unit():
    def terminated(context, unit):
        raise Terminated(75)

    with pytest.raises(Terminated):
        compute(terminated, UnitContext({}), UNIT)


@pytest.mark.parametrize(("dim", "message"), [("temperature", "has the unit 'K'"), ("point", "is no number from 0")])
def test_a_dimension_with_a_unit_or_labels_is_not_numbered(tmp_path, dim, message):
    labels = {"temperature": np.array([298.15, 313.15]), "point": np.array([0.2, 0.4])}
    tables = (Table(MEANS, (dim,), {dim: labels[dim]}),)
    with pytest.raises(layout.ResultError, match=f"dimension '{dim}' {message} and needs labels"):
        layout.create_dataset(tmp_path, Dataset(MEANS, {"mean": np.zeros(2)}, (dim,)), tables)
    layout.create_dataset(tmp_path, Dataset(MEANS, {"mean": np.zeros(2)}, (dim,), {dim: labels[dim]}), tables)


def test_a_dimension_that_counts_is_numbered(tmp_path):
    tables = (Table(MEANS, ("point",), {"point": np.arange(5)}),)
    layout.create_dataset(tmp_path, Dataset(MEANS, {"mean": np.zeros(2)}, ("point",)), tables)
    layout.create_dataset(tmp_path, Dataset(MEANS, {"mean": np.zeros(2)}, ("point",)))


def test_what_collect_cannot_write_is_an_error_of_the_kind(tmp_path):
    plan = toy.toy_plan(rows=1, columns=2, cluster={"profile": "sync"})
    plan.program.collect = lambda read, history: [Dataset(MEANS, {"mean": np.zeros(2)}, ("temperature",))]
    with pytest.raises(ProgramError, match="study kind 'toy': collect: means: the dimension 'temperature'"):
        api.execute(prepare(plan, tmp_path / "run"), plan, listener=lambda event: None)


@pytest.mark.parametrize(
    ("declared", "value", "message"),
    [
        (
            "f4",
            np.array([0.5, 0.1]),
            "float64 that does not fit into the declared float32: 0.1 would become 0.10000000",
        ),
        ("f4", np.array([1e300]), "1e\\+300 would become inf; declare 'f8', or round it: .astype\\('f4'\\)"),
        ("f8", np.array([0.5], "f4"), "was computed in float32 and is declared float64"),
        ("i4", np.array([2**31]), "2147483648 would become -2147483648"),
        ("i4", np.array([1.0]), "holds float64, declared int32"),
        ("U2", np.array(["abc"]), "'abc' would become 'ab'"),
    ],
)
def test_values_that_their_type_cannot_hold_are_refused(tmp_path, declared, value, message):
    schema = TableSchema("means", (Variable("mean", (), declared, "1", "mean"),), COORDINATES)
    with pytest.raises(layout.ResultError, match=f"means/mean .*{message}"):
        layout.create_dataset(tmp_path, Dataset(schema, {"mean": value}, ("point",)))


@pytest.mark.parametrize(
    ("declared", "value"),
    [("f4", [0.5, np.nan, np.inf]), ("f8", [2**53]), ("f8", [True]), ("u1", [True]), ("i8", np.array([3], "i1"))],
)
def test_values_are_converted_if_nothing_is_lost(declared, value):
    np.testing.assert_array_equal(layout.converted(np.asarray(value), np.dtype(declared)), value)


def broken_kind(folder, name, module, monkeypatch):
    """A study kind of a package ``broken_kind`` whose module of settings fails."""
    (folder / f"{name}.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    kind = registry.StudyKind("broken", f"{name}:Settings", f"{name}:Program", f"{name}:TABLES", 4711)
    point = EntryPoint("broken", f"{name}:KIND", registry.GROUP)
    monkeypatch.setattr(registry, "_entry_points", lambda: [point])
    monkeypatch.setattr(registry, "_registered", lambda: ({"broken": kind}, {}))
    return kind


def test_a_module_of_a_kind_that_cannot_be_imported_is_named(tmp_path, monkeypatch):
    kind = broken_kind(tmp_path, "broken_settings", "import no_such_library\n", monkeypatch)
    with pytest.raises(StudyError, match="broken_settings:Settings of broken_settings cannot be imported: Module"):
        _ = kind.settings_class


SETTINGS = """
from typing import Literal
from membrane_dask.config import BaseStudy, Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.quantities import LengthNm, Number, Numbers, Whole

class Wall(Model):
    slip: Number = parameter({slip}, "slip length over the radius", ge=0)

class Settings(BaseStudy):
    kind: Literal["broken"] = "broken"
    table: Number = parameter(..., "required")
    porosity: Number = parameter({porosity}, "porosity", gt=0, lt=1)
    radius: LengthNm = parameter({radius}, "radius", unit="nm")
    log_sd: Numbers = parameter({log_sd}, "standard deviation")
    low: Number = parameter(1.0, "lower")
    high: Number = parameter(2.0, "upper")
    wall: Wall | None = parameter(None, "wall")

    def _inconsistencies(self):
        yield from super()._inconsistencies()
        if self.low >= self.high:
            yield Problem(("low",), f"must be less than high (got {{self.low}})")
        if self.porosity > self.high:
            yield Problem(("porosity",), "must be less than high")

TABLES = ()
"""
VALID = {"slip": 0.0, "porosity": 0.1, "radius": 10.0, "log_sd": (0.2, 0.4)}


@pytest.mark.parametrize(
    ("default", "message"),
    [
        ({"porosity": -1.0}, "porosity: the default is not allowed: must be greater than 0.0 (got -1.0)"),
        ({"radius": "'10 nm'"}, "radius: the default is not allowed: not a quantity"),  # it would not be converted
        ({"log_sd": [1, 2]}, "log_sd: the default is not allowed: it has another type than the setting (got [1, 2])"),
        ({"slip": -1.0}, "wall.slip: the default is not allowed: must be at least 0.0 (got -1.0)"),
    ],
    ids=["bound", "text", "list", "section"],
)
def test_a_default_that_a_study_could_not_have_is_refused(tmp_path, monkeypatch, default, message):
    name = f"default_{'_'.join(default)}"
    kind = broken_kind(tmp_path, name, SETTINGS.format(**VALID | default), monkeypatch)
    with pytest.raises(StudyError) as raised:
        _ = kind.settings_class
    assert str(raised.value).startswith(f"{name}:Settings of {name}: {message}")
    assert len(raised.value.problems) == 1


@pytest.mark.parametrize("kind", sorted(registry.kind_names()))
def test_defaults_of_own_kinds_are_settings_that_a_study_could_have(kind):
    assert default_problems(registry.find_kind(kind).settings_class) == []


def test_settings_that_are_made_in_python_are_refused_like_those_of_a_file(tmp_path, monkeypatch):
    settings = broken_kind(tmp_path, "made_in_python", SETTINGS.format(**VALID), monkeypatch).settings_class
    with pytest.raises(StudyError) as raised:
        settings(table=1.0, porosty=0.2, low=3.0, wall={"slip": -1})
    assert str(raised.value).splitlines() == [
        "Settings: wall.slip: must be at least 0.0 (got -1)",
        "Settings: porosty: unknown key; did you mean 'porosity'? (got 0.2)",
        "Settings: low: must be less than high (got 3.0)",
    ]
    assert settings(table=1.0).porosity == 0.1


def test_checks_between_fields_run_up_to_one_that_needs_a_wrong_field(tmp_path, monkeypatch):
    broken_kind(tmp_path, "between_fields", SETTINGS.format(**VALID), monkeypatch)
    with pytest.raises(StudyError) as raised:  # of the required field, of the bound, and of low and high
        parse_study({"kind": "broken", "porosity": 7, "low": 3, "name": "a b"})
    assert [problem.field for problem in raised.value.problems] == ["table", "porosity", "name", "low"]
    with pytest.raises(StudyError) as raised:
        parse_study({"kind": "broken", "table": 1, "high": "x", "low": 3, "name": "a b"})
    assert [problem.field for problem in raised.value.problems] == ["high", "name"]


def test_an_exception_of_a_kind_is_no_bug_of_this_project(tmp_path, monkeypatch):
    code = "def collect():\n    return 1 / 0\n"
    kind = broken_kind(tmp_path, "broken_program", code, monkeypatch)
    module = importlib.import_module(kind.program.partition(":")[0])
    with pytest.raises(ZeroDivisionError) as raised:
        module.collect()
    assert registry.kind_at_fault(raised.value) == "'broken' (broken_program)"
    with pytest.raises(ZeroDivisionError) as raised:
        _ = 1 / 0
    assert registry.kind_at_fault(raised.value) == ""


def test_a_run_from_before_a_new_setting_names_it_and_the_package(tmp_path, monkeypatch):
    plan = toy.toy_plan(rows=1, columns=2, cluster={"profile": "sync"})
    run = prepare(plan, tmp_path / "run")
    former = {name: value for name, value in run.decisive_settings.items() if name != "switch"}
    monkeypatch.setattr(run, "_metadata", {**run._metadata, "identity": "0" * 64, "settings": former})
    monkeypatch.setattr(type(run), "study", property(lambda run: plan.study))
    monkeypatch.setattr(registry, "package_of", lambda kind: "toy-kind 1.1")
    with pytest.raises(StudyError, match="a version of toy-kind that lacks the settings switch of the present one"):
        run.require_same_study(plan.study)


def test_work_without_staticmethod_and_units_or_types_that_are_none_are_refused(tmp_path, monkeypatch):
    unit = TableSchema("times", (Variable("time", (), "f8", "sekunden", "time"),))
    number = TableSchema("times", (Variable("time", (), "f9", "s", "time"),))

    class Method(Program):
        kind = "broken"

        def work(self, context, unit):
            return {}, {}

    class Static(Method):
        work = staticmethod(toy.work)

    kind = broken_kind(tmp_path, "broken_units", "", monkeypatch)
    module = importlib.import_module("broken_units")
    for table, program, message in (
        (unit, Method, "staticmethod"),
        (unit, Static, "times/time in broken_units:TABLES: not a unit"),
        (number, Static, "times/time in broken_units:TABLES: the type must be .* such as 'f8', .* \\(got 'f9'\\)"),
    ):
        vars(kind).pop("schemas", None)
        module.TABLES = (table,)
        module.Program = lambda study, source, program=program: program()
        with pytest.raises(ProgramError, match=message):
            kind.build(None)
