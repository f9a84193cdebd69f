"""Reconstruction: the three-dimensional structure that belongs to one micrograph (Chamani).

Trials are units of the first kind: each compares a few sections of a trial structure with the
micrograph. When a replicate's search is over, the slabs of its best structure follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from membrane_dask.config import ReconstructStudy
from membrane_dask.errors import Problem, Source, StudyError
from membrane_dask.physics.micrograph import distance_features, distance_objective, segment
from membrane_dask.physics.structure import Structure, block, working_bytes
from membrane_dask.program import Dataset, History, Proposer, Table, Unit, Volume, Work
from membrane_dask.studies.search import BayesianSearch
from membrane_dask.variables import CHAMANI, STRUCTURES, TRIALS, Variable
from membrane_dask.volume.ome import read_micrograph

#: Enters every spawn key, so that no two study kinds share a random stream.
_KIND = 2
#: What a failed trial is told to the search as: no objective is larger.
_WORST = 2.0
#: Smaller objectives are told as this: one pixel in a section of a million.
_LEAST = 1e-6
#: Share of a section that either phase must cover for its distances to mean anything.
_LEAST_PHASE = 0.005

SEARCHED = ("sigma_1", "sigma_2", "porosity", "closing_radius")
_LENGTHS = ("sigma_1", "sigma_2", "closing_radius")


class ReconstructProgram:
    """Trials in rounds, then the slabs of the best structure, for every replicate.

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
        image, solid = _segmented(study, source)
        depth, width = solid.shape
        pixel = study.pixel_size
        last_edge = study.features.max_distance / pixel if study.features.max_distance else 30.0
        if last_edge <= 1:
            problem = Problem(
                ("features", "max_distance"),
                f"must be greater than a pixel, {pixel:g} nm (got {last_edge * pixel:g} nm)",
            )
            raise StudyError([problem], source)
        edges = np.linspace(1.0, last_edge, study.features.bins + 1)
        sections = ((0.0, study.features.skin), (1.0 - study.features.support, 1.0))
        target = distance_features(solid, edges=edges, sections=sections)
        self._check_sections(solid, sections, source)

        slices, wide = study.volume.slices, study.volume.width or width
        n_sections = min(study.search.slices, slices)
        self.context: Mapping[str, Any] = {
            "depth": depth,
            "width": width,
            "planes": [int(slices * (i + 0.5) / n_sections) for i in range(n_sections)],
            "edges": edges,
            "sections": sections,
            "target": target,
            "pixel": pixel,
            "shape": (depth, slices, wide),
            "block": study.volume.block,
        }
        self.work: Work = work
        self.attrs: Mapping[str, Any] = {
            "title": "Reconstruction of a membrane from one micrograph",
            "references": CHAMANI,
            "seed": study.seed,
            "voxel_size_nm": pixel,
        }
        self.tables: Sequence[Table] = (
            Table(
                "trials",
                ("replicate", "trial"),
                TRIALS,
                {"replicate": np.arange(study.replicates), "trial": np.arange(study.search.trials)},
            ),
        )
        self.volumes: Sequence[Volume] = tuple(
            Volume(f"structure-{r}", (depth, slices, wide), study.volume.block, pixel) for r in range(study.replicates)
        )
        self.static: Sequence[Dataset] = (_micrograph_dataset(image, solid, target, edges, pixel),)

    @staticmethod
    def _check_sections(solid: np.ndarray, sections: Any, source: Source | None) -> None:
        for name, (top, bottom) in zip(("skin", "support"), sections, strict=True):
            rows = solid[round(top * len(solid)) : round(bottom * len(solid))]
            share = float(rows.mean()) if rows.size else 0.0
            if not _LEAST_PHASE <= share <= 1 - _LEAST_PHASE:
                words = "almost all solid" if share > 0.5 else "almost all pore" if rows.size else "empty"
                message = (
                    f"after segmentation the {name} of the micrograph is {words} ({share:.1%} solid); try another "
                    "segmentation.method, segmentation.sensitivity or segmentation.pores"
                )
                raise StudyError([Problem(("input",), message)], source)

    def proposer(self) -> Proposer:
        """Next round of every search that is not over, and the slabs of those that are."""
        replicates = [_Replicate(self, r) for r in range(self.study.replicates)]
        return lambda history: [unit for replicate in replicates for unit in replicate.propose(history)]

    def structure(self, point: Mapping[str, float]) -> Structure:
        """Structure of a searched point, in voxels."""
        fixed = self.study.model
        return Structure(
            **{name: float(point[name]) for name in SEARCHED},
            blend_power=fixed.blend_power,
            closing_depth=fixed.closing_depth,
            truncate=fixed.truncate,
        )

    def unit(self, task: str, replicate: int, number: int, structure: Structure | None) -> Unit:
        """A trial or a slab. Both have the replicate's own noise, so a trial sees the volume's sections."""
        index = (replicate, number) if task == "trials" else (number,)
        key = f"trial,replicate={replicate},trial={number}" if task == "trials" else f"{task},block={number}"
        params = asdict(structure) if structure else {}
        return Unit(key, task, index, params, (self.study.seed, _KIND, replicate))

    def pilots(self) -> Sequence[Unit]:
        """A trial and a slab in the middle of what is searched."""
        search = self.study.search
        middle = self.structure({name: sum(getattr(search, name)) / 2 for name in SEARCHED})
        return [self.unit("trials", 0, 0, middle), self.unit("structure-0", 0, 0, middle)]

    def memory(self) -> Mapping[str, int]:
        """Peak bytes of a slab and of a trial, for the widest structure that is searched."""
        search = self.study.search
        widest = self.structure({name: getattr(search, name)[1] for name in SEARCHED})
        depth, slices, wide = self.context["shape"]
        slab = working_bytes(widest, (depth, min(self.context["block"], slices), wide))
        return {"structure": slab, "trials": working_bytes(widest, (depth, 1, self.context["width"]))}

    def collect(self, read: Callable[[str], Any], history: History) -> Mapping[str, Any]:
        """The structure that was chosen for each replicate, and its porosity."""
        trials = read("trials").load()
        objective = np.nan_to_num(trials["objective"].values, nan=np.inf)
        best = objective.argmin(axis=1)
        rows = np.arange(len(best))
        values: dict[str, np.ndarray] = {"best_trial": best.astype("i4")}
        for name in (*SEARCHED, "objective"):
            values[name] = trials[name].values[rows, best]
        voxels = float(np.prod(self.context["shape"]))
        pores = np.full(len(best), np.nan)
        for volume in self.volumes:
            number = int(volume.name.rsplit("-", 1)[1])
            keys = [f"{volume.name},block={b}" for b in range(volume.unit_shape[0])]
            if all(history[key].status == "done" for key in keys):
                pores[number] = sum(history[key].feedback["pore_voxels"] for key in keys) / voxels
        values["volume_porosity"] = pores
        return {"structures": (STRUCTURES, ("replicate",), values)}


class _Replicate:
    """One search and its volume: how far its rounds have been replayed."""

    def __init__(self, program: ReconstructProgram, number: int) -> None:
        self.program, self.number = program, number
        search = program.study.search
        seed = np.random.SeedSequence(entropy=program.study.seed, spawn_key=(_KIND, number, 1))
        self._search = BayesianSearch({name: getattr(search, name) for name in SEARCHED}, search.initial, seed)
        self._round: list[tuple[str, dict[str, float]]] = []
        self._asked = 0
        self._best: tuple[float, dict[str, float]] = (np.inf, {})
        self._over = False

    def propose(self, history: History) -> list[Unit]:
        program, total = self.program, self.program.study.search.trials
        found: list[Unit] = []
        while not self._over and all(key in history for key, _ in self._round):
            self._learn(history)
            if self._asked < total:
                size = self._search.initial if self._asked == 0 else program.study.search.batch
                points = self._search.ask(min(size, total - self._asked))
                units = [
                    program.unit("trials", self.number, self._asked + i, program.structure(point))
                    for i, point in enumerate(points)
                ]
                self._round = [(unit.key, point) for unit, point in zip(units, points, strict=True)]
                self._asked += len(points)
            else:
                self._over = True
                structure = program.structure(self._best[1]) if self._best[1] else None
                volume = program.volumes[self.number]
                units = [program.unit(volume.name, self.number, b, structure) for b in range(volume.unit_shape[0])]
            found += units
        return found

    def _learn(self, history: History) -> None:
        """Tell the search the round that has come back, in the order in which it was asked."""
        if not self._round:
            return
        values = [history[key].feedback.get("objective", _WORST) for key, _ in self._round]
        # On the logarithm differences near the optimum count as much as those far from it: the best of
        # 30 trials came down from 0.105 to 0.077, in the mean over six searches of the quickstart's image.
        self._search.tell([point for _, point in self._round], list(np.log(np.maximum(values, _LEAST))))
        for value, (key, point) in zip(values, self._round, strict=True):
            if value < self._best[0] and history[key].status == "done":
                self._best = (value, point)
        self._round = []


def work(context: Mapping[str, Any], unit: Unit) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute a trial's objective, or a slab of the chosen structure.

    Parameters
    ----------
    context : mapping
        Sizes, planes, and the micrograph's features.
    unit : Unit
        ``params`` are those of :class:`membrane_dask.physics.structure.Structure`, in voxels.

    Returns
    -------
    values : dict of str to ndarray
        One value for every variable of ``membrane_dask.variables.TRIALS``, or ``volume``.
    feedback : dict
        ``objective`` of a trial, ``pore_voxels`` of a slab.
    """
    if not unit.params:
        raise RuntimeError("there is no structure to build: every trial of this replicate failed")
    structure = Structure(**unit.params)
    noise = int(unit.seed_sequence().generate_state(1, np.uint64)[0])
    depth, planes, wide = context["shape"]
    if unit.task != "trials":
        start = unit.index[0] * context["block"]
        shape = (depth, min(context["block"], planes - start), wide)
        volume = block(structure, depth=depth, start=(0, start, 0), shape=shape, seed=noise)
        return {"volume": volume}, {"pore_voxels": float((volume == 0).sum())}
    features, pores = [], []
    for plane in context["planes"]:
        section = block(structure, depth=depth, start=(0, plane, 0), shape=(depth, 1, context["width"]), seed=noise)
        solid = section[:, 0, :] > 0
        features.append(distance_features(solid, edges=context["edges"], sections=context["sections"]))
        pores.append(1 - solid.mean())
    objective = float(distance_objective(np.mean(features, axis=0), context["target"]))
    values: dict[str, Any] = {name: unit.params[name] for name in SEARCHED}
    values |= {name: values[name] * context["pixel"] for name in _LENGTHS}
    values |= {"objective": objective, "section_porosity": np.mean(pores)}
    return {name: np.asarray(value, dtype=float) for name, value in values.items()}, {"objective": objective}


def _segmented(study: ReconstructStudy, source: Source | None) -> tuple[np.ndarray, np.ndarray]:
    """The micrograph as it is and as pores and solid."""
    settings = study.segmentation
    try:
        image = read_micrograph(study.input)
        solid = segment(
            image,
            method=settings.method,
            sensitivity=settings.sensitivity,
            presmooth=settings.presmooth,
            median=settings.median,
            pores=settings.pores,
        )
    except ValueError as error:
        raise StudyError([Problem(("input",), f"{error} (got {str(study.input)!r})")], source) from error
    return image, solid


def _micrograph_dataset(
    image: np.ndarray, solid: np.ndarray, target: np.ndarray, edges: np.ndarray, pixel: float
) -> Dataset:
    """The input and what was read from it, kept with the result."""
    flags = {"flag_values": [0, 255], "flag_meanings": "pore solid"}
    grey = Variable("image", ("z", "x"), image.dtype.str, "1", "micrograph as it was read")
    phases = Variable("solid", ("z", "x"), "u1", "1", "micrograph after segmentation", attrs=flags)
    features = Variable(
        "distance_features",
        ("section", "phase", "distance"),
        "f8",
        "1",
        "share of a section's pixels in each bin of distance to the other phase; the last bin is open",
        CHAMANI,
        attrs={"section_meanings": "skin support", "phase_meanings": "pore solid"},
    )
    values = {"image": image, "solid": np.where(solid, 255, 0).astype("u1"), "distance_features": target}
    variables = {v.name: (v.dims, values[v.name], v.attributes()) for v in (grey, phases, features)}
    coords = {
        "z": np.arange(image.shape[0]) * pixel,
        "x": np.arange(image.shape[1]) * pixel,
        "section": np.arange(target.shape[0]),
        "phase": np.arange(target.shape[1]),
        "distance": edges * pixel,
    }
    return Dataset("micrograph", variables, coords)
