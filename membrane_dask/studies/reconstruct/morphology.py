"""What a micrograph shows beyond an isotropic Gaussian field: pores that are long along the depth, and macrovoids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from membrane_dask.physics.reconstruction.anisotropy import compare_with_isotropic, is_deep_enough, varies_with_depth
from membrane_dask.physics.reconstruction.directional_correlation import half_lengths
from membrane_dask.physics.reconstruction.knot_selection import choose_knots
from membrane_dask.physics.reconstruction.macrovoid_detection import detect_macrovoids
from membrane_dask.physics.reconstruction.macrovoids import Macrovoids, estimate_macrovoids, poisson_interval
from membrane_dask.physics.reconstruction.matching import Magnification, Match, initial_structure, match
from membrane_dask.physics.reconstruction.structures import Graded, Structure
from membrane_dask.studies.reconstruct import KIND
from membrane_dask.studies.reconstruct.config import ReconstructStudy

#: Sections of a model that the micrograph is compared with: of an isotropic one, and of one without macrovoids.
_N_SECTIONS = 30
#: P-value below which a micrograph is anisotropic.
_SIGNIFICANCE = 0.01
#: Largest number of times that macrovoids are looked for: those that are left out of the fit hide others no longer.
_PASSES = 4
#: Macrovoids below which their number is given with an interval.
_FEW = 5


@dataclass(frozen=True)
class Morphology:
    """What the structures of a study have beyond an isotropic Gaussian field.

    Parameters
    ----------
    anisotropy : {"isotropic", "constant", "by_depth"}
        Whether pores may be longer along the depth, alike at all depths or not.
    macrovoids : ObservedMacrovoids, optional
        Macrovoids of the micrograph.
    inside : (depth, width) ndarray of bool, optional
        Pixels of the micrograph that show the other pores; default all.
    messages : tuple of (str, str)
        Property and what was decided about it, in a sentence.
    """

    anisotropy: Literal["isotropic", "constant", "by_depth"] = "isotropic"
    macrovoids: ObservedMacrovoids | None = None
    inside: np.ndarray | None = None
    messages: tuple[tuple[str, str], ...] = ()

    def initial_anisotropy(self, knots: Sequence[float]) -> tuple[float, ...]:
        """Anisotropy with which the fit of a structure with these knots starts: one value, or one for each knot."""
        return (1.0,) * (len(knots) if self.anisotropy == "by_depth" else 1)

    def lengths_z(
        self, solid: np.ndarray, knot_sets: Iterable[tuple[float, ...]]
    ) -> dict[tuple[float, ...], np.ndarray]:
        """Half-correlation lengths of the micrograph along the depth at each set of knots; empty if isotropic."""
        if self.anisotropy == "isotropic":
            return {}
        return {knots: half_lengths([solid], knots=knots, direction="depth", inside=self.inside) for knots in knot_sets}

    def layer(self, study: ReconstructStudy, replicate: int) -> Macrovoids | None:
        """Layer of macrovoids of a replicate: that of the micrograph, or as another image may have shown it."""
        if self.macrovoids is None:
            return None
        if replicate == 0:
            return self.macrovoids.layer
        seed = np.random.SeedSequence(entropy=study.seed, spawn_key=(KIND.seed_key, replicate, 4))
        return self.macrovoids.layer.drawn(self.macrovoids.number, np.random.default_rng(seed))

    def values(self, study: ReconstructStudy, pixel_nm: float) -> dict[str, np.ndarray]:
        """Variables of the macrovoids of all replicates, for the table ``structures``; empty without any."""
        layers = [layer for r in range(study.replicates) if (layer := self.layer(study, r))]
        if not layers:
            return {}
        return {
            "macrovoid_number_density": np.array([layer.number_density for layer in layers]) / (pixel_nm * pixel_nm),
            "macrovoid_half_width": np.array([layer.half_width for layer in layers]) * pixel_nm,
            "macrovoid_half_length": np.array([layer.half_length for layer in layers]) * pixel_nm,
            "macrovoid_band": np.array([layer.band for layer in layers]),
        }


@dataclass(frozen=True)
class ObservedMacrovoids:
    """Macrovoids of a micrograph.

    Parameters
    ----------
    layer : Macrovoids
        The layer that they indicate, lengths in voxels.
    number : int
        How many of them the micrograph shows.
    inside : (depth, width) ndarray of bool
        Pixels that show the other pores.
    """

    layer: Macrovoids
    number: int
    inside: np.ndarray

    def describe(self, pixel_nm: float) -> str:
        """Number and sizes in one sentence."""
        interval = ""
        if self.number < _FEW:
            low, high = (end / self.number for end in poisson_interval(self.number))
            interval = f" (90 % interval: {low:.2g} to {high:.2g} times as many)"
        return (
            f"The micrograph shows {self.number} macrovoid{'s' if self.number > 1 else ''}{interval}, with median "
            f"semi-axes of {self.layer.half_width * pixel_nm:.3g} nm across and "
            f"{self.layer.half_length * pixel_nm:.3g} nm along the depth, between {self.layer.band[0]:.0%} and "
            f"{self.layer.band[1]:.0%} of it; all other properties of the structure are fitted without them."
        )


def observe_morphology(
    study: ReconstructStudy,
    solid: np.ndarray,
    prototype: Structure,
    magnification: Magnification,
    pixel_nm: float,
    inside: np.ndarray | None = None,
) -> Morphology:
    """Find what a study asks for in its micrograph: macrovoids, and then the anisotropy of the other pores.

    Parameters
    ----------
    study : ReconstructStudy
    solid, prototype, magnification, inside
        As of :func:`find_macrovoids`.
    pixel_nm : float
        Pixel size, nm.
    """
    macrovoids, messages = None, []
    anisotropy: Literal["isotropic", "constant", "by_depth"] = "isotropic"
    if study.model.macrovoids == "auto":
        has_fixed_knots = study.model.knots != "auto"
        macrovoids = find_macrovoids(solid, inside, prototype, magnification, has_fixed_knots=has_fixed_knots)
        sentence = macrovoids.describe(pixel_nm) if macrovoids else "The micrograph shows no macrovoids."
        messages.append(("macrovoids", sentence))
        inside = macrovoids.inside if macrovoids else inside
    if study.model.anisotropy != "none" and isinstance(prototype, Graded):
        by_depth = study.model.anisotropy == "by_depth"
        number, message = choose_anisotropy(solid, inside, prototype, magnification, by_depth=by_depth)
        if number:
            anisotropy = "by_depth" if number > 1 else "constant"
        messages.append(("anisotropy", message))
    return Morphology(anisotropy, macrovoids, inside, tuple(messages))


def find_macrovoids(
    solid: np.ndarray,
    inside: np.ndarray | None,
    prototype: Structure,
    magnification: Magnification,
    *,
    has_fixed_knots: bool = False,
) -> ObservedMacrovoids | None:
    """Find the macrovoids of a micrograph.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph, True in the solid.
    inside : (depth, width) ndarray of bool, optional
        Pixels that are used; default all.
    prototype : Structure
        Model of the other pores; only its knots and its closing matter.
    magnification : Magnification
        Sections of trials, which become images like the micrograph.
    has_fixed_knots : bool
        Whether the knots are given by the study; otherwise they are chosen without the macrovoids.

    Returns
    -------
    ObservedMacrovoids or None
        None without any.
    """
    used, result, number = inside, None, -1
    for n in range(_PASSES):
        model = prototype
        if isinstance(prototype, Graded):
            # Knots that were chosen with the macrovoids follow them. Pores long along the depth are no macrovoids.
            knots = prototype.knots
            if not has_fixed_knots:
                knots = choose_knots(solid, magnification.scales, used) if n else (0.0, 1.0)
            ones = (1.0,) * len(knots)
            model = replace(prototype, knots=knots, sigma=ones, porosity=(0.5,) * len(knots), anisotropy=ones)
        fit = _fit(solid, used, model, magnification, along_depth=True)
        margin = float(np.nanmean(fit.length))
        result = detect_macrovoids(solid, _model_sections(fit.structure, magnification), margin)
        used = result.inside if inside is None else inside & result.inside
        if n > 0 and result.number == number:
            break
        number = result.number
    layer = estimate_macrovoids(result) if result else None
    if not result or not layer or used is None:
        return None
    return ObservedMacrovoids(layer, result.number, used)


def choose_anisotropy(
    solid: np.ndarray,
    inside: np.ndarray | None,
    prototype: Graded,
    magnification: Magnification,
    *,
    by_depth: bool,
) -> tuple[int, str]:
    """Choose how the anisotropy of a structure depends on the depth.

    Parameters
    ----------
    solid, inside, magnification
        As of :func:`find_macrovoids`.
    prototype : Graded
        Isotropic model.
    by_depth : bool
        Whether an anisotropy at each knot is asked for; otherwise the micrograph decides.

    Returns
    -------
    number : int
        Values of the anisotropy: 0 for an isotropic structure, 1, or one for each knot.
    message : str
        What was decided, and why.
    """
    knots = prototype.knots
    if by_depth:
        if len(knots) == 1 or is_deep_enough(solid, knots, inside):
            return len(knots), f"Anisotropy at each of {len(knots)} knots, as asked for."
        return 1, "One anisotropy for all depths: the micrograph is less than 20 half-correlation lengths deep."
    fit = _fit(solid, inside, prototype, magnification, along_depth=False)
    test = compare_with_isotropic(solid, _model_sections(fit.structure, magnification), knots, inside)
    low, high = test.expected
    message = (
        f"Pores are {test.ratio:.2f} times as long along the depth as across "
        f"(sections of the isotropic model: {low:.2f} to {high:.2f}): "
    )
    if not test.p_value < _SIGNIFICANCE:
        return 0, message + "the structure is isotropic."
    if len(knots) > 1 and varies_with_depth(solid, knots, inside):
        return len(knots), message + "anisotropy at each knot."
    return 1, message + "one anisotropy for all depths."


def _fit(
    solid: np.ndarray,
    inside: np.ndarray | None,
    prototype: Structure,
    magnification: Magnification,
    *,
    along_depth: bool,
) -> Match:
    """Fit of a structure to the micrograph, also along the depth or as isotropic."""
    length_z = None
    if along_depth and isinstance(prototype, Graded):
        length_z = half_lengths([solid], knots=prototype.knots, direction="depth", inside=inside)
    by_row = magnification.scales.describe(solid, inside)
    targets = [magnification.windows(prototype).target([by_row], length_z)]
    return match(initial_structure(prototype, targets, [magnification]), targets, [magnification])


def _model_sections(structure: Structure, magnification: Magnification) -> list[np.ndarray]:
    """Independent sections of a structure, segmented from images like the micrograph."""
    independent = magnification.sections[0].independent(_N_SECTIONS)
    return independent.observe(structure, independent.fields(structure))
