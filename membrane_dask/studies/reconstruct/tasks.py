"""Units of a reconstruction: comparison of a trial structure with the micrograph, and slabs of a structure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from membrane_dask.physics.distributions import normal_cdf
from membrane_dask.physics.elementary import exp, log
from membrane_dask.physics.reconstruction.descriptors import half_correlation_length
from membrane_dask.physics.reconstruction.distance_objective import (
    DISTANCE_EDGES,
    distance_features,
    distance_objective,
)
from membrane_dask.physics.reconstruction.macrovoids import Macrovoids, carve
from membrane_dask.physics.reconstruction.matching import Match, initial_structure, match
from membrane_dask.physics.reconstruction.random_field import cut_and_close, gaussian_field, generate_window
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers
from membrane_dask.program import Unit
from membrane_dask.studies.reconstruct.fit_tasks import FIT_SECTIONS, REFITS, fit_work
from membrane_dask.studies.reconstruct.micrograph_group import MicrographGroup
from membrane_dask.studies.reconstruct.model_choice import SELECTIONS, selection_frequencies

#: Planes of the periodic structure in which the paper's program evaluates one section.
_PUBLISHED_PLANES = 5


def _as_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with lists for tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _as_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values with tuples for lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


def as_params(structure: Structure) -> dict[str, Any]:
    """Structure as plain JSON values."""
    values = _as_lists(asdict(structure))
    if structure.macrovoids:
        values["macrovoids"] = _as_lists(values["macrovoids"])
    return {"kind": type(structure).__name__} | values


def from_params(params: Mapping[str, Any]) -> Structure:
    """Structure from plain JSON values."""
    model: type[Structure] = {"TwoLayers": TwoLayers, "Graded": Graded}[params["kind"]]
    values = _as_tuples({name: value for name, value in params.items() if name != "kind"})
    if values.get("macrovoids"):
        values["macrovoids"] = Macrovoids(**_as_tuples(values["macrovoids"]))
    return model(**values)


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compare a trial structure with the micrograph, or generate a slab of a structure.

    Parameters
    ----------
    context : mapping
        ``method`` of the search; ``groups``, the micrographs by pixel size; ``features``, the distance
        distributions of each micrograph, and ``inside``, its pixels that they and those of sections are taken from;
        ``ranges`` of the depth of these; ``knots`` at which results are given; ``pixel_nm``, ``shape`` of the volumes
        and ``block_size``; what :func:`~membrane_dask.studies.reconstruct.fit_tasks.fit_work` needs.
    unit : Unit
        ``params["structure"]`` as of :func:`as_params`. For replicates but the first ``params["model"]`` is the
        structure whose sections perturb the target; with it, ``params["method"]`` replaces that of the search. The
        unit of the task ``selections`` has ``params["structures"]``, ``params["trials"]``, the
        numbers of their trials, and ``params["best"]``, the position of the best.

    Returns
    -------
    values : dict of str to ndarray
        A value for every variable of ``trials`` and ``matches``, or the planes of ``volume``.
    feedback : dict
        ``objective`` and the parameters of a trial, in voxels; ``pore_voxels_0`` to ``_3`` of a slab, by quarter of
        the depth; ``weight_0`` and so on, the probability that the closing and roughness of each trial are drawn.
    """
    noise, perturbation_noise = (int(word) for word in unit.seed_sequence().generate_state(2, np.uint64))
    if unit.task == SELECTIONS:
        structures = [from_params(params) for params in unit.params["structures"]]
        frequencies = selection_frequencies(
            structures, unit.params["best"], context["groups"], noise=noise, image_noise=perturbation_noise
        )
        weights = zip(unit.params["trials"], frequencies, strict=True)
        return {}, {f"weight_{trial}": float(value) for trial, value in weights}
    structure = from_params(unit.params["structure"])
    if unit.task in (FIT_SECTIONS, REFITS):
        return fit_work(context, unit, structure)
    if unit.task not in ("trials", "matches"):
        return _slab(context, unit, structure, noise)
    groups: list[MicrographGroup] = context["groups"]
    magnifications = [one.magnification.seeded(noise) for one in groups]
    targets = [one.target(structure) for one in groups]
    if "model" in unit.params:
        model = from_params(unit.params["model"])
        targets = [one.perturbed_target(structure, model, perturbation_noise) for one in groups]
    method = unit.params.get("method", context["method"])
    if method == "published":
        result = _published_trial(context, unit, structure, noise)
    elif method == "direct":
        result = match(initial_structure(structure, targets, magnifications), targets, magnifications)
    else:
        sigma, _ = structure.parameters()
        initial = initial_structure(structure, targets, magnifications)
        result = match(initial.with_parameters(sigma, initial.parameters()[1]), targets, magnifications, iterations=0)
    return _trial_values(context, unit, result)


def _trial_values(
    context: Mapping[str, Any], unit: Unit, result: Match
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    structure, pixel = result.structure, context["pixel_nm"]
    order = [image for one in context["groups"] for image in one.images]
    differences, porosities = [], []
    for image, solids in zip(order, result.solids, strict=True):
        features = [_distances(context, image, solid) for solid in solids]
        differences.append(distance_objective(np.mean(features, axis=0), context["features"][image]))
        porosities.append(1 - np.mean(solids))
    sigma, porosity = structure.parameters()
    length, anisotropy = result.length, np.ones_like(result.length)
    feedback = {f"sigma_{i}": float(value) for i, value in enumerate(sigma)}
    feedback |= {f"porosity_{i}": float(value) for i, value in enumerate(porosity)}
    roughness = 0.0
    if isinstance(structure, Graded):
        roughness = structure.roughness
        feedback |= {f"knot_{i}": knot for i, knot in enumerate(structure.knots)}
        feedback |= {f"anisotropy_{i}": ratio for i, ratio in enumerate(structure.anisotropy)}
        # Linear between the knots of the structure, which are among those of the results.
        knots = context["knots"]
        sigma, porosity = structure.sigmas(knots)[0], normal_cdf(structure.levels(knots))
        length = exp(np.interp(knots, structure.knots, log(length)))
        anisotropy = structure.anisotropies(knots)
    values: dict[str, Any] = {
        "sigma": sigma * pixel,
        "anisotropy": anisotropy,
        "porosity": np.broadcast_to(porosity, sigma.shape),
        "correlation_length": length * pixel,
        "closing_radius": structure.closing_radius * pixel,
        "roughness": roughness,
        "objective": result.objective,
        "distance_objective": np.mean(differences),
        "section_porosity": np.mean(porosities),
    }
    feedback |= {"objective": result.objective, "closing_radius": structure.closing_radius, "roughness": roughness}
    # The point to the last bit, as the search proposed it: later proposals depend on it.
    feedback |= unit.params.get("point", {})
    return {name: np.asarray(value, dtype=float) for name, value in values.items()}, feedback


def _distances(context: Mapping[str, Any], image: int, solid: np.ndarray) -> np.ndarray:
    """Distance distributions of a section, of the pixels that are used of a micrograph."""
    inside = context["inside"][image]
    return distance_features(solid, edges=DISTANCE_EDGES, sections=context["ranges"], inside=inside)


def _slab(
    context: Mapping[str, Any], unit: Unit, structure: Structure, noise: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    depth, n_planes, width = context["shape"]
    start = unit.index[0] * context["block_size"]
    shape = (depth, min(context["block_size"], n_planes - start), width)
    volume = generate_window(structure, depth=depth, start=(0, start, 0), shape=shape, seed=noise)
    bounds = [round(depth * q / 4) for q in range(5)]
    pores = [float(volume[a:b].size - np.count_nonzero(volume[a:b])) for a, b in itertools.pairwise(bounds)]
    feedback = {f"pore_voxels_{q}": count for q, count in enumerate(pores)}
    if structure.macrovoids:
        void = np.full(shape, 255, np.uint8)
        carve(void, structure.macrovoids, depth=depth, start=(0, start, 0), seed=noise)
        feedback["macrovoid_voxels"] = float(void.size - np.count_nonzero(void))
    return {"volume": volume}, feedback


def _published_trial(context: Mapping[str, Any], unit: Unit, structure: Structure, noise: int) -> Match:
    """Trial of the paper's program: the middle plane of five periodic ones, from noise of its own."""
    (group,) = context["groups"]
    (sections,) = group.magnification.sections
    own_noise = np.random.SeedSequence(entropy=noise, spawn_key=(unit.index[-1],))
    seed = int(own_noise.generate_state(1, np.uint64)[0])
    halo = 2 * math.isqrt(structure.closing_square)
    shape = (sections.depth + 2 * halo, 1 + 2 * halo, sections.width + 2 * halo)
    field = gaussian_field(
        structure, depth=sections.depth, start=(-halo, 2 - halo, -halo), shape=shape, seed=seed,
        period=_PUBLISHED_PLANES,
    )  # fmt: skip
    solid = cut_and_close(structure, field, depth=sections.depth, z_start=-halo)[:, 0] > 0
    scales = group.magnification.scales
    descriptors = group.magnification.windows(structure).target([scales.describe(solid)]).descriptors
    # That program has no open bin, and adds 1 to every fraction in its relative differences.
    target = context["features"][0][..., :-1]
    features = _distances(context, 0, solid)[..., :-1]
    objective = float((np.abs(features - target) / (1 + target)).mean())
    return Match(structure, objective, half_correlation_length(descriptors.correlation, scales.lags), [[solid]])
