"""Diagnostics of the clean filters, and notes on designs for which a result means less than it seems."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from membrane_dask.number_text import compact, with_error
from membrane_dask.report.page import Grid, Section
from membrane_dask.studies.graded.common_report import mean_of, slices
from membrane_dask.studies.graded.cylinder_criterion import MAX_NON_CYLINDRICAL, consequence, has_criterion

#: Designs that a note lists.
_MAX_NOTES = 9
_NAMES = {
    "flux_weighted_tortuosity": "tortuosity",
    "pores_per_path": "pores per path",
    "wall_shear_flux_weighted": "wall shear stress",
    "damkohler_number": "Da",
    "non_cylindrical_deposition": "deposition in pores with x > 1",
}
_BAND_NAMES = {"band_surface_area": "wall area per membrane area", "band_coordination_number": "coordination number"}


def run_notes(table: xr.Dataset) -> list[str]:
    """Return notes on the designs of a run: ends of life, particles, cylinder criterion, single networks.

    Parameters
    ----------
    table : xarray.Dataset
        Table ``graded``, sorted by ``l_max`` and ``gradient``.

    Returns
    -------
    list of str
        Sentences.
    """
    notes = [*_low_flux_notes(table), *_pressure_notes(table), *_time_notes(table), *_particle_notes(table)]
    notes += _cylinder_notes(table)
    counts = (table.status == 1).sum("realization").values
    if counts.max() == 1 and np.isfinite(table.gradient).all():
        notes.append("One network for each design: intervals need at least two.")
    elif (counts == 0).any():
        notes.append(f"{int((counts == 0).sum())} of {counts.size} designs have no finished network.")
    return notes


def _design(one: xr.Dataset, table: xr.Dataset) -> str:
    """Return the parameters in which a design differs from others, for the beginning of a note; W is the thickness."""
    symbols = (("l_max", "l_max", " W"), ("gradient", "s", " W"), ("deposition", "λ", ""))
    values = [
        f"{symbol} = {compact(float(one[name]))}{unit}" for name, symbol, unit in symbols if table.sizes[name] > 1
    ]
    return f"{', '.join(values)}: " if values else ""


def _low_flux_notes(table: xr.Dataset) -> Iterator[str]:
    """Yield the designs with a clean flux below the threshold at which a life ends."""
    if table.attrs.get("operation.mode") == "flux":
        return
    threshold = float(table.attrs["flux_threshold"])
    limit = compact(threshold)
    designs = table.isel(deposition=[0])  # the clean flux does not depend on the foulant
    notes = []
    for one in slices(designs, "l_max", "gradient", "deposition"):
        flux = one.initial_flux.values[np.isfinite(one.initial_flux.values)]
        low = flux[flux < threshold]
        if low.size:
            networks = "" if low.size == flux.size else f" in {low.size} of {flux.size} networks"
            value = compact(float(low.mean()), 2)
            notes.append(f"{_design(one, designs)}the clean flux {value} is below flux_threshold {limit}{networks}")
    yield from (f"{note} (both dimensionless): no life to it." for note in notes[:_MAX_NOTES])
    if len(notes) > _MAX_NOTES:
        yield f"The clean flux is below flux_threshold in {len(notes)} designs, of which {_MAX_NOTES} are listed."


def _pressure_notes(table: xr.Dataset) -> Iterator[str]:
    """Yield what the pressure limit of a study at constant flux does: nothing, or ends a life at once."""
    if table.attrs.get("operation.mode") != "flux":
        return
    limit = compact(float(table.attrs["operation.pressure_limit"]))
    if not _ended_by(table, "pressure_limit").any():
        yield f"pressure_limit {limit} P0 never binds."
    lives = _of_finished(table, "lifetime")
    count = int((lives == 0).sum())
    if count:
        verb = "is" if count == 1 else "are"
        yield (
            f"{count} of {lives.size} lives {verb} 0: the flux needs a transmembrane pressure of "
            f"{limit} P0 or more at the start."
        )


def _time_notes(table: xr.Dataset) -> Iterator[str]:
    """Yield whether the time at which lives end by the study ended none of them, or all."""
    if table.attrs.get("end_of_life.time") is None:
        return
    by_time = _ended_by(table, "time")
    if not by_time.any():
        yield "end_of_life.time never binds: all lives end before it."
    elif by_time.all():
        yield "end_of_life.time ended all lives: without it, they last longer."


def _particle_notes(table: xr.Dataset) -> Iterator[str]:
    """Yield whether the particles of a study did nothing."""
    if "n_arrivals" not in table:
        return
    arrivals, passed = (int(_of_finished(table, name).sum()) for name in ("n_arrivals", "n_passed"))
    if not arrivals:
        rate = compact(float(table.attrs["sieving.rate"]))
        yield f"sieving.rate {rate}: no particle arrived within the lives."
    elif passed == arrivals:
        yield f"All {arrivals} particles passed: none met a narrower pore within the lives."


def _of_finished(table: xr.Dataset, name: str) -> np.ndarray:
    """Values of a variable in the finished networks."""
    return np.asarray(table[name].transpose(*table.status.dims, ...).values[(table.status == 1).values])


def _ended_by(table: xr.Dataset, cause: str) -> np.ndarray:
    """Whether each life was ended by a cause."""
    causes = str(table.end_of_life_cause.attrs["flag_meanings"]).split()
    return np.asarray(_of_finished(table, "end_of_life_cause") == causes.index(cause))


def _cylinder_notes(table: xr.Dataset) -> Iterator[str]:
    """Yield the design whose pores stay cylinders least; a study with segments resolves that."""
    if "non_cylindrical_deposition" not in table or not has_criterion(table.attrs):
        return
    designs = list(slices(table, "l_max", "gradient", "deposition"))
    fractions = np.array([float(mean_of(one.non_cylindrical_deposition).value) for one in designs])
    count = int((fractions > MAX_NON_CYLINDRICAL).sum())
    if count:
        largest = int(np.nanargmax(fractions))
        extent = f" (above {100 * MAX_NON_CYLINDRICAL:.0f} % in {count} of {len(designs)} designs)" if count > 1 else ""
        yield (
            f"{_design(designs[largest], table)}{100 * fractions[largest]:.0f} % of the deposition falls in pores with "
            f"x = λ r l/q > 1{extent}: {consequence(table.attrs)}."
        )


def front_cylinder_notes(table: xr.Dataset, evaluations: Sequence[int]) -> list[str]:
    """Return a note on the pores of the simulated designs near a front, if they do not stay cylinders.

    Parameters
    ----------
    table : xarray.Dataset
        Table ``graded`` of a search.
    evaluations : sequence of int
        Numbers of the designs.
    """
    if "non_cylindrical_deposition" not in table or not has_criterion(table.attrs) or not len(evaluations):
        return []
    values = table.non_cylindrical_deposition.isel(deposition=0).sel(evaluation=list(evaluations))
    fractions = mean_of(values.transpose("evaluation", "realization")).value
    count = int((fractions > MAX_NON_CYLINDRICAL).sum())
    if not count:
        return []
    largest = int(np.nanargmax(fractions))
    return [
        f"In design {evaluations[largest]}, {100 * fractions[largest]:.0f} % of the deposition falls in pores with "
        f"x = λ r l/q > 1 (above {100 * MAX_NON_CYLINDRICAL:.0f} % in {count} of {len(evaluations)} simulated designs "
        f"that no other one surpasses in both metrics): {consequence(table.attrs)}."
    ]


def diagnostics_sections(table: xr.Dataset) -> list[Section]:
    """Return the diagnostics of the clean filters; none for a run of a version without them."""
    if "damkohler_number" not in table:
        return []
    points = [name for name in ("l_max", "gradient") if np.isfinite(table[name]).all()]
    several = [*points, *(["deposition"] if table.sizes["deposition"] > 1 else [])]
    rows = []
    for one in slices(table, "l_max", "gradient", "deposition"):
        means = [mean_of(one[name]) for name in _NAMES]
        cells = [with_error(float(mean.value), float(mean.half)) for mean in means]
        rows.append((*(compact(float(one[name]), 4) for name in several), *cells))
    band_rows = [
        (*(compact(float(one[name]), 4) for name in points), *(_by_band(one[name]) for name in _BAND_NAMES))
        for one in slices(table, "l_max", "gradient")
    ]
    symbols = {"l_max": "l_max", "gradient": "s", "deposition": "λ"}
    text = (
        "Means over the pores of the clean filters that carry flow. Tortuosity, pores per path and the wall shear "
        "stress q/(2 r³) are weighted by the flow; the shear stress is in units of the pressure difference. Da is the "
        "uptake by the walls over the flow; the first concentration of the filtrate is at least exp(-Da). A pore stays "
        "a cylinder only if its exponent x = λ r l/q is small."
    )
    caption = "Bands, from the feed to the filtrate side"
    grids = [
        Grid((*(symbols[name] for name in several), *_NAMES.values()), rows),
        Grid((*(symbols[name] for name in points), *_BAND_NAMES.values()), band_rows, caption),
    ]
    return [Section("Diagnostics of the clean filters", text, grids)]


def _by_band(values: xr.DataArray) -> str:
    return " / ".join(compact(value) for value in mean_of(values).value)
