"""Tables of the search for the best design."""

from __future__ import annotations

from collections.abc import Sequence

from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable

#: Parameters of a design: name, dimensions, meaning.
_PARAMETERS = (
    ("radius", ("band",), "pore radius of every band"),
    ("gradient", (), "pore-radius gradient"),
    ("porosity", (), "porosity of all bands"),
    ("l_max", (), "largest pore length"),
    ("pressure", (), "pressure difference"),
)
_BAND = Coordinate("band", "1", "band, 1 at the feed side")


def _parameters() -> list[Variable]:
    units = {"pressure": "Pa"}
    return [Variable(name, dims, "f8", units.get(name, "1"), long_name) for name, dims, long_name in _PARAMETERS]


def _with_interval(variable: Variable, text: str) -> list[Variable]:
    """The ends of the confidence interval of a variable."""
    name, dims, units = variable.name, variable.dims, variable.units
    ends = (("low", "lower"), ("high", "upper"))
    return [
        Variable(
            f"{name}_{suffix}", dims, "f8", units, f"{end} end of the confidence interval of {text}", nullable=True
        )
        for suffix, end in ends
    ]


#: What ``optimum_*`` holds of a search over several parameters, in addition to the gradient.
DESIGN_OPTIMUM = (
    *(
        variable
        for parameter in _parameters()
        if parameter.name != "gradient"
        for variable in (parameter, *_with_interval(parameter, f"the best {parameter.long_name}"))
    ),
    Variable("evaluation", (), "i4", "1", "number of the best design, -1 if none meets the constraints", internal=True),
    Variable("evaluations", (), "i4", "1", "number of simulated designs", internal=True),
)
#: One row for each simulated design.
DESIGN = TableSchema(
    "design",
    (
        *_parameters(),
        Variable("networks", (), "i4", "1", "number of simulated networks of the design", internal=True),
        Variable("feasible", (), "u1", "1", "whether the means of its networks are within all constraints", attrs=FLAG),
    ),
    (Coordinate("evaluation", "1", "number of the design, in the order of the search"), _BAND),
    "designs that a search has simulated, with means of metrics and their standard errors",
)
#: Largest first metric at levels of the second.
FRONT = TableSchema(
    "front",
    (
        *_parameters(),
        Variable("evaluation", (), "i4", "1", "number of the simulated design, -1 for a predicted one", internal=True),
    ),
    (Coordinate("level", "1", "level of the second metric"), _BAND),
    "trade-off of two metrics: the largest first one at levels of the second, according to the response surfaces",
)


def with_metrics(schema: TableSchema, metrics: Sequence[Variable], kind: str) -> TableSchema:
    """A table that also holds metrics by their names.

    Parameters
    ----------
    schema : TableSchema
        The table.
    metrics : sequence of Variable
        Declarations of the metrics.
    kind : {"interval", "error"}
        Further variables of each metric: the ends of its confidence interval, or its standard error.
    """
    present = {variable.name for variable in schema.variables}
    added: list[Variable] = []
    for metric in metrics:
        mean = Variable(metric.name, (), "f8", metric.units, f"mean of: {metric.long_name}", nullable=True)
        if kind == "interval":
            added += [mean, *_with_interval(mean, f"the mean of: {metric.long_name}")]
        else:
            error = Variable(
                f"{metric.name}_error", (), "f8", metric.units, f"standard error of {metric.name}", nullable=True
            )
            added += [mean, error]
    variables = (*schema.variables, *(variable for variable in added if variable.name not in present))
    return TableSchema(schema.name, variables, schema.coordinates, schema.description)
