"""Sentences on a round trip: what each method of the bench sees of a structure, with the numbers of this one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

#: Methods that see the narrowest place of the best path by a pressure.
_PRESSURE_METHODS = (
    "bubble point", "mean flow pore", "capillary flow", "liquid displacement", "gas permeation", "mercury",
)  # fmt: skip
_WET_CURVES = ("capillary flow", "liquid displacement")


def round_trip_statements(values: Mapping[str, np.ndarray], methods: tuple[str, ...]) -> list[str]:
    """Sentences with the ranges over all replicates.

    Parameters
    ----------
    values : mapping of str to (n_replicates, n_methods) array
        Variables of the table ``round_trip`` with the dimension ``method``, and ``radius_bottleneck`` and
        ``log_sd_structure``, ``(n_replicates,)``.
    methods : tuple of str
        Labels of the methods.

    Returns
    -------
    list of str
        Empty where nothing was inferred.
    """

    def at(name: str, chosen: tuple[str, ...]) -> np.ndarray:
        return values[name][:, [k for k, method in enumerate(methods) if method in chosen]]

    sentences = []
    if number := _range(at("radius_ratio", _PRESSURE_METHODS)):
        text = f"Every pressure method sees the critical path, not the population of throats: its radius is {number} "
        text += "times the number median of the throats"
        if flow := _range(at("radius_flow_ratio", _PRESSURE_METHODS)):
            text += f" and {flow} times their flow median"
        sentences.append(f"{text}. A good number median is an accident of a connected network, not a measurement.")
    width = at("log_sd_inferred", _WET_CURVES) / values["log_sd_structure"][:, None]
    if ratio := _range(width):
        misfit = _range(100 * at("law_misfit", _WET_CURVES), "{:.2g} %")
        sentences.append(
            f"The wet curve is {ratio} times as wide as the throats, as a network leads the flow around narrow ones"
            + (f"; one log-normal law misfits it by {misfit} of the flow." if misfit else ".")
        )
    if porosity := _range(values["porosity_ratio"]):
        sentences.append(
            "Permeance and radius give a porosity only if the pores were straight tubes: it is "
            f"{porosity} times the connected porosity."
        )
    if cut_off := _range(at("radius_inferred", ("rejection, 90 %",)) / values["radius_bottleneck"][:, None]):
        sentences.append(
            "Only the inlets reject in a network that conserves the solute, so that the law of rejection of one "
            f"log-normal membrane misfits and gives no radius; the radius of 90 % rejection is {cut_off} times the "
            "bubble point."
        )
    return sentences


def _range(values: np.ndarray, form: str = "{:.2f}") -> str:
    """The range of the finite values; one number where all are equal as printed."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    low, high = form.format(finite.min()), form.format(finite.max())
    return low if low == high else f"{low} to {high}"
