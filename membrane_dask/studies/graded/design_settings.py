"""Settings of the search for the best design: parameters and their ranges, objective, constraints, budget."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from membrane_dask.config import Model, parameter
from membrane_dask.errors import Problem
from membrane_dask.quantities import Number, Numbers, Pressure, Range, Whole, as_tuple, list_as_tuple
from membrane_dask.studies.graded.design_metrics import split_metric
from membrane_dask.studies.graded.variables import METRICS

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


@dataclass(frozen=True)
class Constraint:
    """Limit of the mean of a result variable over all networks of a design.

    Parameters
    ----------
    metric : str
        Name of the variable.
    sign : int
        1 if the variable must be at least the limit, -1 if it must be at most the limit.
    limit : float
        The limit.
    """

    metric: str
    sign: int
    limit: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Read ``NAME <= NUMBER`` or ``NAME >= NUMBER``.

        Raises
        ------
        ValueError
            If the text has another form, or the name is not that of a metric.
        """
        match = re.fullmatch(rf"\s*(\w+)\s*(<=|>=)\s*({_NUMBER})\s*", text)
        if match is None:
            raise ValueError(f"must read 'NAME <= NUMBER' or 'NAME >= NUMBER' (got {text!r})")
        return cls(_metric(match[1]), 1 if match[2] == ">=" else -1, float(match[3]))

    def __str__(self) -> str:
        return f"{self.metric} {'>=' if self.sign > 0 else '<='} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Whether a value is within the limit."""
        return self.sign * (value - self.limit) >= 0


def _metric(name: str) -> str:
    split_metric(name)
    return name


def _one_metric(value: object) -> object:
    if isinstance(value, (list, tuple)):
        names = ", ".join(map(str, value))
        raise ValueError(f"must be one metric; for the trade-off of two write  front: [{names}]  (got {list(value)})")
    return value


def _two_metrics(value: object) -> object:
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        example = "[throughput, log_reduction_value]"
        raise ValueError(f"must be a list of two metrics, for example {example} (got {value!r})")
    return tuple(value)


def _constraint_text(text: str) -> str:
    return str(Constraint.parse(text))


Metric = Annotated[str, Strict(), BeforeValidator(_one_metric), AfterValidator(_metric)]
ConstraintText = Annotated[str, Strict(), AfterValidator(_constraint_text)]


class ParameterRange(Model):
    """Range of a design parameter."""

    range: Range = parameter(..., "smallest and largest value", example="[0.001, 0.01]")

    def _inconsistencies(self) -> Iterator[Problem]:
        if not self.range[0] < self.range[1]:
            yield Problem(("range",), f"must be [low, high] with low < high (got {list(self.range)})")


class RadiusRange(ParameterRange):
    """Range of the pore radii of the bands, each of which is a parameter."""

    range: Range = parameter(..., "smallest and largest radius of a band", unit="W", example="[0.002, 0.02]")
    mean: Annotated[Number, Field(gt=0)] | None = parameter(
        None, "mean of the radii of the bands, held fixed; default any", unit="W"
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        if self.range[0] <= 0:
            yield Problem(("range", 0), f"must be greater than 0 (got {self.range[0]})")
        if self.mean is not None and not self.range[0] < self.mean < self.range[1]:
            yield Problem(("mean",), f"must lie within the range {list(self.range)} (got {self.mean})")


class PressureRange(Model):
    """Range of the transmembrane pressure."""

    range: Annotated[tuple[Pressure, Pressure], BeforeValidator(list_as_tuple)] = parameter(
        ..., "smallest and largest pressure difference", unit="bar, kPa, ...", example="[0.5 bar, 2 bar]"
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if not self.range[0] < self.range[1]:
            yield Problem(("range",), f"must be [low, high] with low < high (got {list(self.range)} Pa)")


class DesignParameters(Model):
    """Parameters of the design that the search may change."""

    radius: RadiusRange | None = parameter(None, "pore radius of every band", unit="W")
    gradient: ParameterRange | None = parameter(None, "pore-radius gradient", unit="W")
    porosity: ParameterRange | None = parameter(None, "porosity of all bands")
    l_max: ParameterRange | None = parameter(None, "largest pore length", unit="W")
    pressure: PressureRange | None = parameter(
        None, "pressure difference; the deposition coefficient is inversely proportional to it", unit="bar, kPa, ..."
    )

    def _inconsistencies(self) -> Iterator[Problem]:
        if not self.names:
            yield Problem((), "names no parameter; give one or more of radius, gradient, porosity, l_max, pressure")
        if self.radius and self.gradient:
            yield Problem(("gradient",), "the radius of every band is a parameter already; leave one of them out")
        if self.porosity and not 0 < self.porosity.range[0] < self.porosity.range[1] < 1:
            message = f"must lie between 0 and 1, both excluded (got {list(self.porosity.range)})"
            yield Problem(("porosity", "range"), message)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters that have a range."""
        return tuple(name for name in type(self).model_fields if getattr(self, name) is not None)


class OptimumSettings(Model):
    """Objective, constraints and stopping rule of the search with `design: optimum`."""

    metric: Metric = parameter("throughput", "metric of the objective", unit="")
    direction: Literal["maximize", "minimize"] = parameter(
        "maximize", "whether the best design has the largest or the smallest metric", unit=""
    )
    parameters: DesignParameters | None = parameter(
        None, "parameters to search and their ranges; default the gradients of `gradient`", unit=""
    )
    constraints: Annotated[tuple[ConstraintText, ...], BeforeValidator(as_tuple)] = parameter(
        (), "limits of the means of metrics, such as `foulant_concentration <= 0.05`", unit=""
    )
    front: Annotated[tuple[Metric, Metric], BeforeValidator(_two_metrics)] | None = parameter(
        None, "two metrics, both larger where better: the largest first one at levels of the second", unit=""
    )
    front_levels: Numbers | None = parameter(
        None, "levels of the second metric of the front; default nine between its ends", unit=""
    )
    evaluations: Whole = parameter(60, "largest number of designs that are simulated", ge=8, le=1000)
    interval: Number = parameter(
        2e-4, "stop at this width of the confidence interval of the best gradient", unit="W", gt=0
    )
    tolerance: Number = parameter(
        0.002, "or stop when the best candidates differ by less than this fraction of the metric", ge=0, lt=1
    )
    confidence: Number = parameter(
        0.95, "confidence level of the intervals and of each constraint; 0.5: a constraint holds for the mean",
        ge=0.5, lt=1,
    )  # fmt: skip
    round: Whole = parameter(10, "networks added to every candidate gradient per round", ge=4, le=10_000)

    @property
    def limits(self) -> tuple[Constraint, ...]:
        """The constraints."""
        return tuple(map(Constraint.parse, self.constraints))

    @property
    def searches_grid(self) -> bool:
        """Whether the gradients of the study's list are compared, rather than designs within a box."""
        only_gradient = self.parameters is None or self.parameters.names == ("gradient",)
        return only_gradient and self.metric in METRICS and self.direction == "maximize" and not (
            self.constraints or self.front
        )  # fmt: skip

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.parameters is None:
            for name in ("constraints", "front"):
                if getattr(self, name):
                    yield Problem((name,), "needs optimum.parameters, the parameters to search and their ranges")
            if self.metric not in METRICS:
                yield Problem(("metric",), f"needs optimum.parameters; without, one of {', '.join(METRICS)}")
            if self.direction == "minimize":
                yield Problem(("direction",), "minimize needs optimum.parameters")
        if self.front is None and self.front_levels is not None:
            yield Problem(("front_levels",), "needs front")
        if self.front and self.front[0] == self.front[1]:
            yield Problem(("front",), f"needs two different metrics (got {list(self.front)})")
        if self.front and self.direction == "minimize":
            yield Problem(("direction",), "front has two metrics that are both larger where better")
        if self.front and self.metric not in ("throughput", self.front[0]):
            yield Problem(("metric",), f"front names the metrics already; leave metric out (got {self.metric!r})")
        if self.front_levels and any(value in self.front_levels[:i] for i, value in enumerate(self.front_levels)):
            yield Problem(("front_levels",), f"repeats a level (got {list(self.front_levels)})")
        yield from self._contradictions()

    def _contradictions(self) -> Iterator[Problem]:
        limits = self.limits
        for i, one in enumerate(limits):
            for other in limits[:i]:
                if one.metric != other.metric:
                    continue
                if one.sign == other.sign:
                    yield Problem(("constraints", i), f"limits {one.metric} a second time ('{other}'); keep one")
                elif one.sign * (other.limit - one.limit) < 0:
                    yield Problem(("constraints", i), f"cannot hold together with '{other}' (got '{one}')")
