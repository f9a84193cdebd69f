"""Summary of each membrane in sentences: what its data determine, and what remains undetermined."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from membrane_dask.number_text import compact, interval_text, quantity_text
from membrane_dask.physics.elementary import exp, log
from membrane_dask.schema import DONE, FAILED, TODO
from membrane_dask.studies.porometry.prior_intervals import prior_note

#: m s-1 Pa-1 in L m-2 h-1 bar-1.
LMH_BAR = 3.6e11
#: A line is rejected if its cross-validation error exceeds that of the best law by this factor, and this fraction.
_MIN_ERROR_RATIO, _MIN_ERROR = 2.0, 0.05
#: Significance level of the lack-of-fit test.
_SIGNIFICANCE = 0.05
#: Factor from SI units, unit and name of the four unknowns.
_UNKNOWNS = {
    "radius": (1e9, "nm", "radius"),
    "porosity": (100, "%", "surface porosity"),
    "pore_number": (1, "", "pore number"),
    "thickness": (1e9, "nm", "thickness"),
}
_MEASUREMENTS = {
    "rejection_point": "a rejection curve",
    "displacement_porometry": "liquid-liquid displacement porometry",
    "micrograph_porosity": "the surface porosity on micrographs",
    "micrograph_count": "the number of pores on micrographs",
    "thickness": "the selective-layer thickness on a cross-section",
}


def membrane_summary(result: Any) -> dict[str, list[str]]:
    """Summary of a porometry run in sentences.

    Parameters
    ----------
    result : xarray.DataTree
        ``run.result`` of a porometry study.

    Returns
    -------
    dict of str to list of str
        By membrane, in the order of the table; membranes whose fit failed are included.

    Examples
    --------
    >>> import membrane_dask as md
    >>> run = md.open_run("runs/porometry-quickstart")  # doctest: +SKIP
    >>> md.membrane_summary(run.result)["M1, before"]  # doctest: +SKIP
    """
    fits, posteriors = (result[name].to_dataset().load() for name in ("porometry", "posterior"))
    findings = _findings(result)
    return {
        str(label): [*_sentences(fits.isel(membrane=k), posteriors.isel(membrane=k)), *findings.get(str(label), [])]
        for k, label in enumerate(fits.membrane.values)
    }


def _findings(result: Any) -> dict[str, list[str]]:
    """Findings of the evaluation by membrane, as sentences."""
    if "findings" not in result.children:
        return {}
    table = result["findings"].to_dataset().load()
    sentences: dict[str, list[str]] = {}
    for label, text in zip(table.membrane_name.values, table.finding.values, strict=True):
        sentence = str(text)
        sentences.setdefault(str(label), []).append(f"{sentence[:1].upper()}{sentence[1:]}.")
    return sentences


def _sentences(fit: Any, posterior: Any) -> list[str]:
    if int(fit.status) != DONE:
        return [f"No result: the fit {'failed' if int(fit.status) == FAILED else 'is not finished'}."]
    sentences = [*_water_permeance(fit), _permeability(fit), *_linearity(fit), *_threshold(fit)]
    if "contradictory" in posterior and math.isfinite(posterior.contradictory):
        sentences += _joint_structure(posterior)
    elif math.isfinite(fit.hydraulic_permeability):
        sentences += _structure(fit, posterior)
    return [sentence for sentence in sentences if sentence]


def _permeability(fit: Any) -> str:
    value = float(fit.hydraulic_permeability) * LMH_BAR
    if not math.isfinite(value) and fit.attrs["curve"] == "linear":
        return ""
    if not math.isfinite(value):
        return "No hydraulic permeability: no line from the threshold pressure is tangent to the logarithmic branch."
    low, high = (float(fit[f"hydraulic_permeability_{end}"]) * LMH_BAR for end in ("low", "high"))
    sentence = f"Hydraulic permeability {quantity_text(value, 'L m⁻² h⁻¹ bar⁻¹', low, high)}"
    if math.isfinite(low):
        sentence += f" ({100 * fit.attrs['confidence']:.0f} % confidence)"
    else:
        sentence += ", without a standard error"
    if "water_permeance" not in fit or not math.isfinite(fit.water_permeance):
        return f"{sentence}."
    law = "slope of the fitted line" if np.isfinite(fit.intercept_flux) else "limit at zero pressure"
    if fit.attrs["curve"] == "darcy":
        law = "slope of the tangent from the threshold pressure"
    return f"{sentence}: the {law} at the mean temperature of the readings."


def _water_permeance(fit: Any) -> list[str]:
    """Permeance at the reference temperature, of measured fluxes."""
    if "water_permeance" not in fit or not math.isfinite(fit.water_permeance):
        return []
    value, low, high = (float(fit[f"water_permeance{end}"]) for end in ("", "_low", "_high"))
    celsius = float(fit.attrs.get("reference_temperature", 298.15)) - 273.15
    return [
        f"Permeance of water at {celsius:.3g} °C {quantity_text(value, 'L m⁻² h⁻¹ bar⁻¹', low, high)}, the value to "
        "publish: the limit of flux over pressure at zero pressure, or the slope above a threshold pressure, over the "
        "laws that the readings allow."
    ]


def _linearity(fit: Any) -> list[str]:
    """Evidence against a line as the law of the flux."""
    sentences = []
    if fit.attrs["curve"] == "linear" and np.isfinite(fit.leave_one_out_error).any():
        best = fit.leave_one_out_error.isel(law=int(fit.leave_one_out_error.argmin("law")))
        line = float(fit.leave_one_out_error.sel(law="linear"))
        if line > _MIN_ERROR and line > _MIN_ERROR_RATIO * float(best):
            sentences.append(
                f"The flux is not linear: in leave-one-out cross-validation the law {best.law.item()} has an error of "
                f"{100 * float(best):.1f} % of the mean flux, a line {100 * line:.1f} %; the permeability is "
                + ("an average slope." if np.isfinite(fit.intercept_flux) else "the limit at zero pressure.")
            )
    if float(fit.lack_of_fit) < _SIGNIFICANCE:
        sentences.append(
            "Lack of fit: the points deviate from the line by more than the scatter of the replicates explains "
            f"(p = {compact(float(fit.lack_of_fit), 2)})."
        )
    return sentences


def _threshold(fit: Any) -> list[str]:
    threshold, low, high = (float(fit[f"threshold_pressure{end}"]) / 1e3 for end in ("", "_low", "_high"))
    radius = float(fit.young_laplace_radius_low) * 1e9
    published = fit.attrs["convention"] == "published"
    if math.isnan(threshold) and fit.attrs["curve"] == "linear":
        return []
    if math.isnan(threshold):
        return ["No threshold pressure: the cubic does not have exactly one real root below the data."]
    value = quantity_text(threshold, "kPa", low, high)
    if float(fit.threshold_resolved) == 1:
        sentences = [f"Threshold pressure {value}."]
        resolved = float(fit.young_laplace_radius) * 1e9
        if math.isfinite(resolved) and not published:
            sentences.append(f"Pore radius by Young-Laplace {quantity_text(resolved, 'nm')}.")
        return sentences
    if not math.isfinite(low) and not math.isfinite(high):
        sentences = [f"No threshold pressure is resolved: the value is {value}, and its interval is unbounded."]
    elif high <= 0:
        sentences = [f"No threshold pressure exists: the line has a flux at zero pressure ({value})."]
    else:
        sentences = [f"No threshold pressure is resolved: the value is {value}, and its interval includes 0."]
    if published and threshold > 0:
        sentences.append("The published structure is computed from it nevertheless.")
    elif math.isfinite(radius):
        sentences.append(f"The pore radius by Young-Laplace is at least {quantity_text(radius, 'nm')}.")
    return sentences


def _structure(fit: Any, posterior: Any) -> list[str]:
    if int(posterior.status) != DONE:
        state = {TODO: "the posterior is not finished", FAILED: "the priors contradict the permeability"}
        return [f"No pore structure: {state[int(posterior.status)]}."]
    if not np.isfinite(posterior.radius_median):
        return ["No pore structure: the permeability has no standard error."]
    priors = int(posterior.independent_data)
    if priors >= 2:
        values = "; ".join(_value(posterior, name) for name in _UNKNOWNS)
        return [f"{values[0].upper()}{values[1:]}.", _best_measurement_sentence(posterior)]
    count = ("no prior", "one prior")[priors]
    sentences = [
        f"The pore structure is not determined: with {count}, only surface porosity times radius squared over "
        f"thickness is, {_structure_number(fit)}."
    ]
    # The stored bounds belong to the medians of the prior and of the permeability. The sentences state them at the ends
    # of both intervals, each of which is passed with half of the remaining probability: together they hold with all.
    lowest = float(fit.hydraulic_permeability_low) / float(fit.hydraulic_permeability)
    has_interval = 0 < lowest <= 1
    confidence = f" ({100 * fit.attrs['confidence']:.0f} %)" if has_interval else ""
    lowest = lowest if has_interval else 1.0
    if math.isfinite(posterior.largest_thickness):
        ratio = float(posterior.radius_high) / float(posterior.radius_median)
        thickness = quantity_text(float(posterior.largest_thickness) * ratio * ratio / lowest * 1e9, "nm")
        sentences.append(
            f"The selective layer is thinner than {thickness}{confidence}, if the prior of the radius holds."
        )
    if math.isfinite(posterior.smallest_radius):
        ratio = math.sqrt(lowest * float(posterior.thickness_low) / float(posterior.thickness_median))
        radius = quantity_text(float(posterior.smallest_radius) * ratio * 1e9, "nm")
        sentences.append(f"The pore radius is larger than {radius}{confidence}, if the prior of the thickness holds.")
    return [*sentences, _best_measurement_sentence(posterior)]


def _structure_number(fit: Any) -> str:
    """Porosity times radius squared over thickness, which is in proportion to the permeability, with its interval."""
    value, permeability = float(fit.structure_number), float(fit.hydraulic_permeability)
    low, high = (value * float(fit[f"hydraulic_permeability_{end}"]) / permeability for end in ("low", "high"))
    return quantity_text(value, "m", low, high)


def _joint_structure(posterior: Any) -> list[str]:
    """Pore structure by all methods together; what they leave open, and contradictions, stand in the findings."""
    if float(posterior.contradictory) == 1:
        return ["No pore structure: the methods contradict one another."]
    names = [name for name in _UNKNOWNS if math.isfinite(float(posterior[f"{name}_median"]))]
    values = "; ".join(_value(posterior, name) for name in names)
    width = interval_text(*(float(posterior[f"log_sd_{end}"]) for end in ("median", "low", "high")))
    width += _noted(posterior, "log_sd")
    return [f"By all methods together: hydraulic {values}; log-standard deviation {width}."]


def _value(posterior: Any, name: str) -> str:
    scale, unit, description = _UNKNOWNS[name]
    median, low, high = (float(posterior[f"{name}_{end}"]) * scale for end in ("median", "low", "high"))
    if high / low < 1 + 1e-6:
        return f"{description} {quantity_text(median, unit)} (exact)"
    return f"{description} {quantity_text(median, unit, low, high)}{_noted(posterior, name)}"


def _noted(posterior: Any, name: str) -> str:
    note = prior_note(posterior, name)
    return f" ({note})" if note else ""


def _best_measurement_sentence(posterior: Any) -> str:
    """The candidate measurement after which the four intervals are narrowest on average."""
    factors = log(posterior.interval_factor.values)
    best = int(factors[1:].mean(axis=1).argmin()) + 1
    now, after = exp(factors[0]), exp(factors[best])
    widest = int(now.argmax())
    quantity = _UNKNOWNS[str(posterior.quantity.values[widest])][2]
    return (
        f"Best further measurement: {_MEASUREMENTS[str(posterior.measurement.values[best])]}. It would narrow the "
        f"intervals most, that of the {quantity}, the widest, from a factor of {compact(float(now[widest]), 2)} "
        f"to {compact(float(after[widest]), 2)}."
    )
