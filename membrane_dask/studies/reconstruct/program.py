"""Reconstruction: the three-dimensional structure that belongs to one micrograph (Chamani).

Trials are units of the first kind: each compares a few sections of a trial structure with the
micrograph. When a replicate's search is over, the slabs of its best structure follow. The first
replicate is the best match; the others are matched to the micrograph as other sections of that match
would have shown it, so that all together are a sample of the structures it may come from.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.io.micrographs import read_micrograph
from membrane_dask.physics.imaging.micrograph import Segmentation, segment
from membrane_dask.physics.reconstruction.descriptors import DescriptorScales, half_correlation_length
from membrane_dask.physics.reconstruction.distance_objective import distance_features, distance_objective
from membrane_dask.physics.reconstruction.knot_selection import choose_knots
from membrane_dask.physics.reconstruction.matching import (
    Match,
    Sections,
    Target,
    initial_structure,
    match,
)
from membrane_dask.physics.reconstruction.random_field import (
    cut_and_close,
    gaussian_field,
    generate_window,
    working_bytes,
)
from membrane_dask.physics.reconstruction.structures import Graded, Structure, TwoLayers
from membrane_dask.program import Dataset, History, Image, Program, Proposer, Table, Unit
from membrane_dask.studies.reconstruct.config import ReconstructStudy
from membrane_dask.studies.reconstruct.search import BayesianSearch, CandidateSearch, Progress
from membrane_dask.studies.reconstruct.variables import (
    CHAMANI,
    MICROGRAPH_TABLE,
    STRUCTURE_IMAGE,
    STRUCTURES_TABLE,
    TRIALS_TABLE,
)

#: Enters every spawn key, so that no two study kinds share a random stream.
_KIND = 2
#: Share of a section that either phase must cover for its distances to mean anything.
_LEAST_PHASE = 0.005
#: Ranges of the paper's program, in voxels: widths of both fields, porosity before closing, closing radius.
_PUBLISHED = {"sigma_0": (0.2, 4.01), "sigma_1": (0.2, 10.01), "porosity_0": (0.06, 0.52), "closing_radius": (1.0, 4.0)}
#: Range of the widths in a Bayesian search, as shares of what theory says of a field that is not closed.
_NARROWEST, _WIDEST = 0.3, 1.3
#: Planes of the structure, closed to a ring, in which the paper's program looks at one section.
_PUBLISHED_PLANES = 5
#: Edges of the paper's histograms of distances, in pixels.
_EDGES = np.linspace(1.0, 30.0, 51)


class ReconstructProgram(Program):
    """Trials until the search is over, then the slabs of the best structure, for every replicate.

    Parameters
    ----------
    study : ReconstructStudy
        Checked study.
    source : Source, optional
        Where the study's words stand, for the errors.

    Raises
    ------
    StudyError
        If the micrograph cannot be used.
    """

    kind = "reconstruct"

    def __init__(self, study: ReconstructStudy, source: Source | None = None) -> None:
        self.study = study
        image, pixel = _read(study, source)
        segmented = _segmented(study, image, source)
        solid = segmented.solid
        depth, width = solid.shape
        self.layers = study.model.depth == "layers" or study.search.method == "published"
        parts = ((0.0, study.model.skin), (1.0 - study.model.support, 1.0))
        self._check_phases(solid, parts if self.layers else ((0.0, 1.0),), source)
        try:
            scale = DescriptorScales.suited_to(solid)
        except ValueError as error:
            raise StudyError([Problem(("input",), f"{error} (got {str(study.input)!r})")], source) from error
        self._structure = self._prototype(
            choose_knots(solid, scale) if study.model.knots == "auto" else study.model.knots
        )
        slices, wide = study.volume.slices, study.volume.width or width
        n_sections = min(study.search.slices, slices)
        planes = tuple(int(slices * (i + 0.5) / n_sections) for i in range(n_sections))
        sections = Sections(depth, width, planes, 0, parts)
        target = sections.windows(self._structure).target(scale.describe(solid))
        if isinstance(self._structure, Graded):
            self._check_knots(self._structure.knots, target.porosity, source)
        features = distance_features(solid, edges=_EDGES, sections=parts)
        self.context: Mapping[str, Any] = {
            "method": study.search.method,
            "sections": sections,
            "scale": scale,
            "target": target,
            "features": features,
            "pixel": pixel,
            "shape": (depth, slices, wide),
            "block": study.volume.block,
        }
        search = self._search(0)
        self.trials = search.trials if isinstance(search, CandidateSearch) else study.search.trials
        self.attrs: Mapping[str, Any] = {
            "title": "Reconstruction of a membrane from one micrograph",
            "references": CHAMANI,
            "seed": study.seed,
            "voxel_size_nm": pixel,
        }
        knots = self._structure.knots if isinstance(self._structure, Graded) else (0.0, 1.0)
        coords = {
            "replicate": np.arange(study.replicates),
            "trial": np.arange(self.trials),
            "knot": np.array(knots) * max(depth - 1, 1) * pixel,
        }
        self.tables: Sequence[Table] = (Table(TRIALS_TABLE, ("replicate", "trial"), coords),)
        voxels = {axis: np.arange(n) * pixel for axis, n in zip("zyx", (depth, slices, wide), strict=True)}
        self.images: Sequence[Image] = tuple(
            Image(STRUCTURE_IMAGE, voxels, "y", study.volume.block, pixel, name=f"structure-{r}")
            for r in range(study.replicates)
        )
        self.inputs: Sequence[Dataset] = (_micrograph_dataset(image, segmented, features, pixel),)

    @staticmethod
    def _check_phases(solid: np.ndarray, parts: Sequence[tuple[float, float]], source: Source | None) -> None:
        for top, bottom in parts:
            rows = solid[round(top * len(solid)) : round(bottom * len(solid))]
            share = float(rows.mean()) if rows.size else 0.0
            if not _LEAST_PHASE <= share <= 1 - _LEAST_PHASE:
                words = "almost all solid" if share > 0.5 else "almost all pore" if rows.size else "empty"
                message = (
                    f"after segmentation the micrograph is {words} from {top:.0%} to {bottom:.0%} of its depth "
                    f"({share:.1%} solid); try another segmentation.method, .sensitivity or .pores"
                )
                raise StudyError([Problem(("input",), message)], source)

    @staticmethod
    def _check_knots(knots: Sequence[float], porosity: np.ndarray, source: Source | None) -> None:
        for knot, share in zip(knots, porosity, strict=True):
            if not _LEAST_PHASE <= share <= 1 - _LEAST_PHASE:
                words = "hardly any pores" if share < 0.5 else "hardly any solid"
                message = (
                    f"the micrograph shows {words} about {knot:.0%} of its depth ({share:.1%} pores); crop what is not "
                    "membrane, or set model.knots to depths that show both"
                )
                raise StudyError([Problem(("input",), message)], source)

    def _prototype(self, knots: tuple[float, ...]) -> TwoLayers | Graded:
        """What all trial structures have in common."""
        model = self.study.model
        closing = model.closing_depth if model.closing_depth is not None else 0.25 if self.layers else 0.0
        if self.layers:
            plain = self.study.search.method == "published"
            return TwoLayers(
                closing_depth=closing, truncate=model.truncate, blend_power=model.blend_power, keep_variance=not plain
            )
        return Graded(
            closing_depth=closing,
            truncate=model.truncate,
            knots=knots,
            sigma=(1.0,) * len(knots),
            porosity=(0.5,) * len(knots),
        )

    def _search(self, replicate: int) -> BayesianSearch | CandidateSearch:
        search = self.study.search
        roughness = (0.0,) if self.layers else search.roughness
        if search.method == "direct":
            return CandidateSearch(search.closing_radius, roughness)
        seed = np.random.SeedSequence(entropy=self.study.seed, spawn_key=(_KIND, replicate, 1))
        if search.method == "published":
            return BayesianSearch(_PUBLISHED, search.initial, search.in_flight, seed)
        guess = initial_structure(self._structure, self.context["target"], self.context["scale"]).parameters()[0]
        ranges = [search.sigma or (_NARROWEST * sigma, _WIDEST * sigma) for sigma in guess]
        bounds = {f"log_sigma_{i}": (math.log(low), math.log(high)) for i, (low, high) in enumerate(ranges)}
        for name, values in (("closing_radius", search.closing_radius), ("roughness", roughness)):
            if len(values) > 1:
                bounds[name] = (min(values), max(values))
        return BayesianSearch(bounds, search.initial, search.in_flight, seed)

    def structure(self, point: Mapping[str, float]) -> Structure:
        """Structure of a point that the search proposed, or of what is known of a trial; lengths in voxels."""
        sigma, porosity = (np.array(values) for values in self._structure.parameters())
        for i in range(len(sigma)):
            sigma[i] = point.get(f"sigma_{i}", math.exp(point.get(f"log_sigma_{i}", 0.0)))
        for i in range(len(porosity)):
            porosity[i] = point.get(f"porosity_{i}", porosity[i])
        found = self._structure.with_parameters(sigma, porosity)
        found = replace(found, closing_radius=point.get("closing_radius", min(self.study.search.closing_radius)))
        if isinstance(found, Graded):
            found = replace(found, roughness=point.get("roughness", min(self.study.search.roughness)))
        return found

    def proposer(self) -> Proposer:
        """Trials of every search that may be proposed, and the slabs of the structures that are found."""
        best = _Replicate(self, 0, None)
        others: list[_Replicate] = []

        def propose(history: History) -> list[Unit]:
            units = best.propose(history)
            apart = self.study.search.method == "published"  # its replicates know nothing of each other
            if not others and self.study.replicates > 1 and (best.over or apart):
                model = self.structure(best.found) if best.found and not apart else None
                others.extend(_Replicate(self, r, model) for r in range(1, self.study.replicates))
            return units + [unit for replicate in others for unit in replicate.propose(history)]

        return propose

    def unit(self, task: str, replicate: int, number: int, params: Mapping[str, Any]) -> Unit:
        """A trial or a slab. Both have the replicate's own noise, so a trial sees the volume's sections."""
        trial = task == "trials"
        index = (replicate, number) if trial else (number,)
        key = f"trial,replicate={replicate},trial={number}" if trial else f"{task},block={number}"
        return Unit(key, task, index, params, (self.study.seed, _KIND, replicate))

    def pilots(self) -> Sequence[Unit]:
        """A trial and a slab in the middle of what is searched."""
        middle = self.structure(
            {"log_sigma_0": 1.0, "closing_radius": float(np.median(self.study.search.closing_radius))}
        )
        target = self.context["target"]
        likely = as_params(initial_structure(middle, target, self.context["scale"]))
        return [self.unit("trials", 0, 0, {"structure": likely}), self.unit("structure-0", 0, 0, {"structure": likely})]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a slab and of a trial, for the widest structure that is likely."""
        search = self.study.search
        widest = initial_structure(self._structure, self.context["target"], self.context["scale"])
        sigma, porosity = widest.parameters()
        widths = np.full(len(sigma), search.sigma[1]) if search.sigma else 2.0 * sigma
        widest = replace(widest.with_parameters(widths, porosity), closing_radius=max(search.closing_radius))
        depth, slices, width = self.context["shape"]
        slab = working_bytes(widest, (depth, min(self.context["block"], slices), width))
        sections = self.context["sections"]
        halo = 4 * int(widest.closing_radius)
        fields = 4 * len(sections.planes) * (depth + halo) * (1 + halo) * (sections.width + halo)
        return {"structure": slab, "trials": fields + working_bytes(widest, (depth, 1, sections.width))}

    def collect(self, read: Callable[[str], Any], history: History) -> Sequence[Dataset]:
        """The structure that was chosen for each replicate, and its porosity."""
        trials = read("trials").load()
        objective = np.nan_to_num(trials["objective"].values, nan=np.inf)
        best = objective.argmin(axis=1)
        rows = np.arange(len(best))
        values: dict[str, np.ndarray] = {"best_trial": best.astype("i4")}
        for name in (
            "sigma",
            "porosity",
            "correlation_length",
            "closing_radius",
            "roughness",
            "objective",
            "distance_objective",
        ):
            values[name] = trials[name].values[rows, best]
        depth, slices, width = self.context["shape"]
        rows_of = np.diff([round(depth * q / 4) for q in range(5)])
        quarters = np.full((len(best), 4), np.nan)
        for r, volume in enumerate(self.images):
            keys = [f"{volume.name},block={b}" for b in range(volume.unit_shape[0])]
            if all(history[key].status == "done" for key in keys):
                pores = [sum(history[key].feedback[f"pore_voxels_{q}"] for key in keys) for q in range(4)]
                quarters[r] = np.array(pores) / (rows_of * slices * width)
        values["quarter_porosity"] = quarters
        values["volume_porosity"] = quarters @ rows_of / depth
        labels = {"replicate": self.tables[0].labels["replicate"], "knot": self.tables[0].labels["knot"]}
        return [Dataset(STRUCTURES_TABLE, values, ("replicate",), labels)]


class _Replicate:
    """One search and its volume: how far they have been replayed."""

    def __init__(self, program: ReconstructProgram, number: int, model: Structure | None) -> None:
        self.program, self.number = program, number
        self._model = as_params(model) if model else None
        self._progress = Progress(program._search(number), program.trials)
        self.over = False
        #: What is known of the best trial, once the search is over; empty if all failed.
        self.found: Mapping[str, float] = {}

    def propose(self, history: History) -> list[Unit]:
        if self.over:
            return []
        program, number = self.program, self.number
        keys = [f"trial,replicate={number},trial={n}" for n in range(program.trials)]
        outcomes = [history[key].feedback if key in history else None for key in keys]
        units = []
        for trial, point in self._progress.propose(outcomes):
            params: dict[str, Any] = {"structure": as_params(program.structure(point)), "point": point}
            if number and self._model:
                params["model"] = self._model
            units.append(program.unit("trials", number, trial, params))
        if all(outcome is not None for outcome in outcomes):
            self.over = True
            known = [outcome for outcome in outcomes if outcome]
            self.found = min(known, key=lambda outcome: outcome["objective"], default={})
            volume = program.images[number]
            slab = {"structure": as_params(program.structure(self.found))} if self.found else {}
            units += [program.unit(volume.name, number, b, slab) for b in range(volume.unit_shape[0])]
        return units


def interval(values: Any, confidence: float = 0.9) -> tuple[Any, Any]:
    """Interval of a property that each replicate of a reconstruction gives.

    Parameters
    ----------
    values : xarray.DataArray
        With the dimension ``replicate``: any variable of the group ``structures``, or what was computed of
        the volumes.
    confidence : float
        Chance, between 0 and 1, that the interval holds the truth.

    Returns
    -------
    low, high : xarray.DataArray
        Without the dimension ``replicate``; NaN with fewer than three.

    Notes
    -----
    The other replicates are spread about the first, the best match, as the truth is: Student's interval about the
    first from their mean squared difference to it.
    """
    from scipy.stats import t as student

    best = values.isel(replicate=0, drop=True)
    away = values.isel(replicate=slice(1, None)) - best
    n = away.notnull().sum("replicate").where(lambda n: n > 1)
    half = np.sqrt((away**2).mean("replicate")) * student.ppf((1 + confidence) / 2, n)
    return best - half, best + half


def as_params(structure: Structure) -> dict[str, Any]:
    """A structure as plain values, to send and to keep."""
    return {"kind": type(structure).__name__} | {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(structure).items()
    }


def from_params(params: Mapping[str, Any]) -> Structure:
    """The structure that was sent."""
    kind = {"TwoLayers": TwoLayers, "Graded": Graded}[params["kind"]]
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in params.items() if name != "kind"
    }
    return kind(**values)


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compare a trial structure with the micrograph, or compute a slab of the chosen one.

    Parameters
    ----------
    context : mapping
        Sizes, sections, and what was measured of the micrograph.
    unit : Unit
        ``params["structure"]`` as of :func:`as_params`; ``params["model"]``, of replicates but the first, is the
        structure whose sections tell how much the micrograph might have been another.

    Returns
    -------
    values : dict of str to ndarray
        One value for every variable of ``membrane_dask.variables.TRIALS``, or ``volume``.
    feedback : dict
        ``objective`` and the parameters of a trial, in voxels; ``pore_voxels_0`` to ``_3`` of a slab, by quarter of
        the depth.
    """
    if "structure" not in unit.params:
        raise RuntimeError("there is no structure to build: every trial of this replicate failed")
    structure = from_params(unit.params["structure"])
    noise, other_noise = (int(word) for word in unit.seed_sequence().generate_state(2, np.uint64))
    if unit.task != "trials":
        return _slab(context, unit, structure, noise)
    sections: Sections = replace(context["sections"], seed=noise)
    target: Target = context["target"]
    if "model" in unit.params:
        model = from_params(unit.params["model"])
        target = target.perturbed(*_pair(model, replace(sections, seed=other_noise), context["scale"]))
    if context["method"] == "published":
        found = _as_published(context, unit, structure, noise)
    elif context["method"] == "direct":
        found = match(initial_structure(structure, target, context["scale"]), target, context["scale"], sections)
    else:
        sigma, _ = structure.parameters()
        structure = structure.with_parameters(sigma, target.porosity)
        found = match(structure, target, context["scale"], sections, iterations=0)
    features = [distance_features(solid, edges=_EDGES, sections=sections.ranges) for solid in found.solids]
    sigma, porosity = found.structure.parameters()
    roughness = getattr(found.structure, "roughness", 0.0)
    values: dict[str, Any] = {
        "sigma": sigma * context["pixel"],
        "porosity": np.broadcast_to(porosity, sigma.shape),
        "correlation_length": found.length * context["pixel"],
        "closing_radius": found.structure.closing_radius * context["pixel"],
        "roughness": roughness,
        "objective": found.objective,
        "distance_objective": distance_objective(np.mean(features, axis=0), context["features"]),
        "section_porosity": 1 - np.mean(found.solids),
    }
    feedback = {"objective": found.objective, "closing_radius": found.structure.closing_radius, "roughness": roughness}
    feedback |= {f"sigma_{i}": float(value) for i, value in enumerate(sigma)}
    feedback |= {f"porosity_{i}": float(value) for i, value in enumerate(porosity)}
    feedback |= unit.params.get("point", {})  # exactly as it was proposed: what follows depends on it
    return {name: np.asarray(value, dtype=float) for name, value in values.items()}, feedback


def _slab(
    context: Mapping[str, Any], unit: Unit, structure: Structure, noise: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    depth, planes, wide = context["shape"]
    start = unit.index[0] * context["block"]
    shape = (depth, min(context["block"], planes - start), wide)
    volume = generate_window(structure, depth=depth, start=(0, start, 0), shape=shape, seed=noise)
    bounds = [round(depth * q / 4) for q in range(5)]
    pores = [float(volume[a:b].size - np.count_nonzero(volume[a:b])) for a, b in itertools.pairwise(bounds)]
    return {"volume": volume}, {f"pore_voxels_{q}": count for q, count in enumerate(pores)}


def _pair(model: Structure, sections: Sections, scale: DescriptorScales) -> tuple[Target, Target]:
    """Two sections of a structure that know nothing of each other."""
    apart = replace(sections, planes=(0, 1 << 18))
    one, two = (apart.windows(model).target(scale.describe(solid)) for solid in apart.cut(model, apart.fields(model)))
    return one, two


def _as_published(context: Mapping[str, Any], unit: Unit, structure: Structure, noise: int) -> Match:
    """A trial of the paper's program: the middle of five planes that close to a ring, in noise of its own."""
    sections: Sections = context["sections"]
    own = np.random.SeedSequence(entropy=noise, spawn_key=(unit.index[-1],))
    seed = int(own.generate_state(1, np.uint64)[0])
    halo = 2 * math.isqrt(structure.closing_square)
    field = gaussian_field(
        structure, depth=sections.depth, start=(-halo, 2 - halo, -halo),
        shape=(sections.depth + 2 * halo, 1 + 2 * halo, sections.width + 2 * halo), seed=seed, period=_PUBLISHED_PLANES,
    )  # fmt: skip
    solid = cut_and_close(structure, field, depth=sections.depth, z_start=-halo)[:, 0] > 0
    scale: DescriptorScales = context["scale"]
    descriptors = sections.windows(structure).target(scale.describe(solid)).descriptors
    # Its distances end with the last edge, and 1 is added to every share.
    target = context["features"][..., :-1]
    found = distance_features(solid, edges=_EDGES, sections=sections.ranges)[..., :-1]
    objective = float((np.abs(found - target) / (1 + target)).mean())
    return Match(structure, objective, half_correlation_length(descriptors.correlation, scale.lags), [solid])


def _read(study: ReconstructStudy, source: Source | None) -> tuple[np.ndarray, float]:
    """The micrograph, cropped, and the size of its pixels in nm."""

    def refused(words: str, *where: str) -> StudyError:
        return StudyError([Problem(where, words)], source)

    try:
        found = read_micrograph(study.input, study.page)
    except ValueError as error:
        field, words = (
            ("page", str(error).removeprefix("page: ")) if str(error).startswith("page: ") else ("input", str(error))
        )
        raise refused(f"{words} (got {str(study.input)!r})", field) from error
    pixel = study.pixel_size or found.pixel_nm
    if pixel is None:
        raise refused(f"required: {found.source}; for example pixel_size: 3 nm", "pixel_size")
    rows, columns = found.image.shape
    crop = study.crop
    image = found.image[crop.top : rows - crop.bottom, crop.left : columns - crop.right]
    if not image.size:
        raise refused(f"leaves nothing of an image of {rows} x {columns} pixels", "crop")
    return image, pixel


def _segmented(study: ReconstructStudy, image: np.ndarray, source: Source | None) -> Segmentation:
    """Pores and solid of the micrograph."""
    settings = study.segmentation
    try:
        return segment(
            image,
            method=settings.method,
            sensitivity=settings.sensitivity,
            presmooth=settings.presmooth,
            median=settings.median,
            pores=settings.pores,
        )
    except ValueError as error:
        raise StudyError([Problem(("input",), f"{error} (got {str(study.input)!r})")], source) from error


def _micrograph_dataset(image: np.ndarray, segmented: Segmentation, features: np.ndarray, pixel: float) -> Dataset:
    """The input and what was read from it, kept with the result."""
    values = {"image": image, "solid": np.where(segmented.solid, 255, 0).astype("u1"), "distance_features": features}
    coords = {
        "z": np.arange(image.shape[0]) * pixel,
        "x": np.arange(image.shape[1]) * pixel,
        "section": np.arange(features.shape[0]),
        "phase": np.arange(features.shape[1]),
        "distance": _EDGES * pixel,
    }
    attrs = {
        f"segmentation_{name}": getattr(segmented, name)
        for name in ("method", "shading", "curtaining", "separation", "bias")
    }
    return Dataset(MICROGRAPH_TABLE, values, (), coords, attrs)


ReconstructProgram.work = staticmethod(work)
