"""What the data of each membrane say, and leave open, in words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

#: m s-1 Pa-1 in the unit of the trade, L m-2 h-1 bar-1.
LMH_BAR = 3.6e11
#: A law must predict left-out pressures so many times better than a line, which must miss by so much of the mean flux.
_BETTER, _MISSED = 2.0, 0.05
#: Misfit that is rarer than this is told.
_RARE = 0.05
_MINUS, _TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
_SCALES = {
    "radius": (1e9, "nm", "radius"),
    "porosity": (100, "%", "surface porosity"),
    "pore_number": (1, "", "pore number"),
    "thickness": (1e6, "µm", "thickness"),
}
_WORDS = {
    "rejection_point": "a rejection point",
    "displacement_porometry": "displacement porometry",
    "micrograph_porosity": "the open share of the surface on micrographs",
    "micrograph_count": "a count of pores on micrographs",
    "thickness": "the thickness of the layer on a cross-section",
}


def verdicts(result: Any) -> dict[str, list[str]]:
    """What a porometry run says of each membrane, in sentences.

    Parameters
    ----------
    result : xarray.DataTree
        ``run.result`` of a porometry study.

    Returns
    -------
    dict of str to list of str
        By membrane, in the order of the table; those that failed say so.

    Examples
    --------
    >>> import membrane_dask as md
    >>> run = md.open_run("runs/porometry-quickstart")  # doctest: +SKIP
    >>> md.verdicts(run.result)["M1"]  # doctest: +SKIP
    """
    fits, posteriors = (result[name].to_dataset().load() for name in ("porometry", "posterior"))
    return {
        str(label): _sentences(fits.isel(membrane=k), posteriors.isel(membrane=k))
        for k, label in enumerate(fits.membrane.values)
    }


def _sentences(fit: Any, made: Any) -> list[str]:
    if int(fit.status) != 1:
        return ["Nothing: this membrane was not fitted."]
    found = [_permeability(fit), *_straight(fit), *_threshold(fit)]
    if math.isfinite(fit.hydraulic_permeability):
        found += _structure(fit, made)
    return found


def number(value: float, digits: int = 3) -> str:
    """A number as people write it: 0.00345, 97.6, 6.77 times a power of ten."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else ("∞" if value > 0 else f"{_MINUS}∞")
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    value = round(value, digits - 1 - exponent)
    if -3 <= exponent < 5:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}".replace("-", _MINUS)
    mantissa, power = f"{value:.{digits - 1}e}".replace("-", _MINUS, value < 0).split("e")
    return f"{mantissa} {_TIMES} 10{str(int(power)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def _percent(fit: Any) -> str:
    return f"{fit.attrs['confidence']:.0%}".replace("%", " %")


def _permeability(fit: Any) -> str:
    value = float(fit.hydraulic_permeability) * LMH_BAR
    if not math.isfinite(value):
        return "No hydraulic permeability: no line from the threshold pressure touches the logarithmic branch."
    low, high = (float(fit[f"hydraulic_permeability_{end}"]) * LMH_BAR for end in ("lower", "upper"))
    words = f"Hydraulic permeability {number(value)} L m⁻² h⁻¹ bar⁻¹"
    if not math.isfinite(low):
        return f"{words}; nothing tells how sure that is."
    return f"{words} ({_percent(fit)} interval {number(low)} to {number(high)})."


def _straight(fit: Any) -> list[str]:
    """Whether a line is the right law at all."""
    found = []
    if fit.attrs["curve"] == "linear" and np.isfinite(fit.left_out_error).any():
        best = fit.left_out_error.isel(law=int(fit.left_out_error.argmin("law")))
        line = float(fit.left_out_error.sel(law="linear"))
        if line > _MISSED and line > _BETTER * float(best):
            found.append(
                f"The curve bends: the law {best.law.item()} predicts left-out pressures to {float(best):.1%} of the "
                f"mean flux, a line to {line:.1%}; its slope is an average."
            )
    if float(fit.lack_of_fit) < _RARE:
        found.append(
            f"Replicates agree better than the points follow the line (p = {number(float(fit.lack_of_fit), 2)})."
        )
    return found


def _threshold(fit: Any) -> list[str]:
    zero, low, high = (float(fit[f"threshold_pressure{end}"]) / 1e3 for end in ("", "_lower", "_upper"))
    radius = float(fit.young_laplace_radius_lower) * 1e6
    published = fit.attrs["convention"] == "published"
    if math.isnan(zero):
        return ["No threshold pressure: the cubic has no single root below the data."]
    if float(fit.threshold_resolved) == 1:
        found = [f"Threshold pressure {number(zero)} kPa ({number(low)} to {number(high)})."]
        resolved = float(fit.young_laplace_radius) * 1e6
        if math.isfinite(resolved) and not published:
            found.append(f"As a capillary pressure it would open pores of {number(resolved)} µm.")
        return found
    if not math.isfinite(low) and not math.isfinite(high):
        found = [f"No threshold pressure is resolved: {number(zero)} kPa, and no interval of it can be given."]
    elif high <= 0:
        found = [
            f"There is no threshold pressure: the line has a flux at no pressure ({number(low)} to {number(high)} kPa)."
        ]
    else:
        found = [
            f"No threshold pressure is resolved: {number(zero)} kPa, but {number(low)} to {number(high)} kPa holds 0."
        ]
    if published and zero > 0:
        found.append("The published structure is computed from it all the same.")
    elif math.isfinite(radius):
        found.append(f"A Young-Laplace radius could be anything above {number(radius)} µm.")
    return found


def _structure(fit: Any, made: Any) -> list[str]:
    if int(made.status) != 1:
        return ["What is known of its pores contradicts its permeability; see the run's failures."]
    data = int(made.independent_data)
    if not np.isfinite(made.radius_median):
        return ["Without an error of the permeability nothing is said of its pores."]
    found = []
    if data < 2:
        known = ["nothing", "one datum"][data]
        ratio = float(fit.structure_number)
        found.append(
            f"Its pores are not determined: with {known} known beside the flux, only porosity times radius squared "
            f"over thickness is, {number(ratio)} m."
        )
        if math.isfinite(made.largest_thickness):
            found.append(f"The layer must be thinner than {number(float(made.largest_thickness) * 1e6)} µm.")
        if math.isfinite(made.smallest_radius):
            found.append(f"Pores must be wider than {number(float(made.smallest_radius) * 1e9)} nm.")
    else:
        words = "; ".join(_interval(made, name) for name in _SCALES)
        found.append(f"{words[0].upper()}{words[1:]}.")
    return [*found, *_next(made, data)]


def _interval(made: Any, name: str) -> str:
    scale, unit, words = _SCALES[name]
    median, low, high = (float(made[f"{name}_{end}"]) * scale for end in ("median", "lower", "upper"))
    unit = f" {unit}" if unit else ""
    if high / low < 1 + 1e-6:
        return f"{words} {number(median)}{unit} (given)"
    return f"{words} {number(median)}{unit} ({number(low)} to {number(high)})"


def best_measurement(made: Any) -> tuple[str, np.ndarray, np.ndarray]:
    """The further measurement after which all four intervals together are narrowest, and their factors now and then."""
    factors = np.log(made.interval_factor.values)
    best = int(factors[1:].mean(axis=1).argmin()) + 1
    return str(made.measurement.values[best]), np.exp(factors[0]), np.exp(factors[best])


def _next(made: Any, data: int) -> list[str]:
    name, now, then = best_measurement(made)
    widest = int(now.argmax())
    quantity = _SCALES[str(made.quantity.values[widest])][2]
    among = "" if data >= 2 else ", of all that is plausible,"
    return [
        f"Measured next, {_WORDS[name]} would narrow the intervals most: that of the {quantity}, the widest, from a "
        f"factor of {number(float(now[widest]), 2)}{among} to {number(float(then[widest]), 2)}."
    ]
