"""Goodness of fit of a reconstruction: which units it takes, and the tables that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from membrane_dask.physics.elementary import log
from membrane_dask.physics.reconstruction.distance_objective import DISTANCE_EDGES, distance_distributions
from membrane_dask.physics.reconstruction.goodness_of_fit import NOTHING_FLAGGED, Comparison, compare, summary
from membrane_dask.physics.reconstruction.section_statistics import Statistics
from membrane_dask.program import Dataset, Scratch, Unit
from membrane_dask.studies.reconstruct.config import GoodnessOfFit
from membrane_dask.studies.reconstruct.fit_tasks import FIT_SECTIONS, REFITS
from membrane_dask.studies.reconstruct.variables import DISTANCE_DISTRIBUTIONS, GOODNESS_OF_FIT

#: Replicates that sections are taken from at most, and the fewest that show how a match differs from the truth.
_MAX_REPLICATES, _MIN_REPLICATES = 8, 3
#: The level of a test with sections of the best match alone is this many times smaller, as the best match differs from
#: the truth by more than its sections from each other.
_BEST_MATCH_LEVEL = 5
#: Sections of a unit.
_UNIT_SECTIONS = 8
#: Quantiles of the pointwise envelope of the distance distributions.
_ENVELOPE = (0.05, 0.95)


@dataclass(frozen=True)
class FitInput:
    """What is compared with sections of the model.

    Parameters
    ----------
    solid : (depth, width) ndarray of bool
        Segmented micrograph.
    statistics : mapping of str to mapping of str to float
        Statistics of the micrograph.
    features : ndarray
        Distance distributions of the micrograph.
    ranges : sequence of (float, float)
        Ranges of the depth of these distributions.
    pixel_nm : float
        Pixel size, nm.
    """

    solid: np.ndarray
    statistics: Statistics
    features: np.ndarray
    ranges: Sequence[tuple[float, float]]
    pixel_nm: float


@dataclass(frozen=True)
class FitProgram:
    """What the goodness of fit adds to a reconstruction.

    Parameters
    ----------
    settings : GoodnessOfFit
        Settings of the study.
    replicates : int
        Replicates of the study.
    refits : bool
        Whether objectives of matches to sections of the best match are compared, as for searches by fixed-point
        iteration.
    seed : tuple of int
        Entropy and spawn key that no other unit has.
    images : int
        Number of micrographs.
    """

    settings: GoodnessOfFit
    replicates: int
    refits: bool
    seed: tuple[int, ...]
    images: int = 1

    @property
    def sources(self) -> int:
        """Number of replicates that sections are taken from, the best match first."""
        return min(self.replicates, _MAX_REPLICATES) if self.replicates >= _MIN_REPLICATES else 1

    @property
    def _chunks(self) -> list[tuple[int, int]]:
        """Number of the micrograph and of the sections of each unit of a replicate."""
        n = -(-self.settings.sections // self.sources)
        chunks = [min(_UNIT_SECTIONS, n - first) for first in range(0, n, _UNIT_SECTIONS)]
        return [(image, chunk) for image in range(self.images) for chunk in chunks]

    @property
    def scratch(self) -> list[Scratch]:
        """Where units leave their results."""
        if not self.settings.enabled:
            return []
        refits = [Scratch(REFITS, (self.settings.refits,))] if self.refits and self.settings.refits else []
        return [Scratch(FIT_SECTIONS, (self.sources, len(self._chunks))), *refits]

    def units(self, structures: Sequence[Mapping[str, Any] | None]) -> list[Unit]:
        """Units for the matched structures of the replicates, as plain JSON values; None for one that failed."""
        if not self.settings.enabled:
            return []
        units = [
            Unit(
                f"{FIT_SECTIONS},replicate={replicate},unit={number}", FIT_SECTIONS, (replicate, number),
                {"structure": structure, "image": image, "sections": n}, (*self.seed, 0, replicate, number),
            )
            for replicate, structure in enumerate(structures[: self.sources])
            if structure
            for number, (image, n) in enumerate(self._chunks)
        ]  # fmt: skip
        if self.refits and structures[0]:
            units += [
                Unit(f"{REFITS},number={k}", REFITS, (k,), {"structure": structures[0]}, (*self.seed, 1, k))
                for k in range(self.settings.refits)
            ]
        return units

    def tables(
        self,
        read: Callable[[str], Any],
        micrographs: Sequence[FitInput],
        objective: float,
    ) -> list[Dataset]:
        """Tables of the finished units; none before there are any.

        Parameters
        ----------
        read : callable
            Of :meth:`membrane_dask.program.Program.collect`.
        micrographs : sequence of FitInput
            Data of the micrographs.
        objective : float
            Of the best match.
        """
        units = dict(sorted(read(FIT_SECTIONS).items())) if self.settings.enabled else {}
        if not any(index[0] == 0 for index in units):
            return []
        sources = {index[0] for index in units}
        level = self.settings.significance / (1 if len(sources) >= _MIN_REPLICATES else _BEST_MATCH_LEVEL)
        refits = [float(arrays["objective"]) for _, arrays in sorted(read(REFITS).items())] if self._has_refits else []
        comparisons: list[tuple[str, Comparison]] = []
        sentences: list[str] = []
        distances, n_sections = [], 0
        for image, micrograph in enumerate(micrographs):
            own = {index: arrays for index, arrays in units.items() if self._chunks[index[1]][0] == image}
            if not any(index[0] == 0 for index in own):
                return []
            statistics = np.concatenate([arrays["statistics"] for arrays in own.values()])
            columns = iter(statistics.T)
            observed = micrograph.statistics
            predicted = {group: {name: next(columns) for name in names} for group, names in observed.items()}
            if image == 0 and len(refits) >= _MIN_REPLICATES:
                observed = {**observed, "objective": {"best match": float(log(max(objective, 1e-6)))}}
                predicted["objective"] = {"best match": log(np.maximum(refits, 1e-6))}
            compared = compare(observed, predicted, significance=level / self.images)
            prefix = f"Image {image}: " if self.images > 1 else ""
            comparisons += [(prefix.lower(), one) for one in compared]
            own_sentences = summary(compared, micrograph.solid, micrograph.pixel_nm)
            if any(one.flagged for one in compared):
                sentences += [prefix + sentence for sentence in own_sentences]
            elif image == self.images - 1 and not sentences:
                sentences = own_sentences
            best = np.concatenate([arrays["distributions"] for index, arrays in own.items() if index[0] == 0])
            everything = np.concatenate([arrays["distributions"] for arrays in own.values()])
            name = f"distance_distributions-{image}" if self.images > 1 else "distance_distributions"
            distances.append(_distance_table(micrograph, best, everything, name))
            n_sections += len(statistics)
        return [_fit_table(comparisons, sentences, level, n_sections, len(sources)), *distances]

    @property
    def _has_refits(self) -> bool:
        return len(self.scratch) > 1


def _fit_table(
    labelled: Sequence[tuple[str, Comparison]],
    sentences: Sequence[str],
    level: float,
    sections: int,
    replicates: int,
) -> Dataset:
    comparisons = [one for _, one in labelled]
    values = {
        "group": np.array([one.group for one in comparisons], "T"),
        "observed": np.array([one.observed for one in comparisons]),
        "predicted_mean": np.array([one.mean for one in comparisons]),
        "predicted_standard_deviation": np.array([one.standard_deviation for one in comparisons]),
        "p_value": np.array([one.p_value for one in comparisons]),
        "group_p_value": np.array([one.group_p_value for one in comparisons]),
        "flagged": np.array([one.flagged for one in comparisons], "u1"),
    }
    outcomes = [sentence for sentence in sentences if sentence == NOTHING_FLAGGED]
    attrs = {"summary": list(sentences), "outcomes": outcomes, "significance": level}
    attrs |= {"sections": sections, "replicates": replicates}
    labels = {"statistic": np.array([f"{prefix}{one.group}: {one.name}" for prefix, one in labelled], "T")}
    return Dataset(GOODNESS_OF_FIT, values, (), labels, attrs)


def _distance_table(micrograph: FitInput, best: np.ndarray, sections: np.ndarray, name: str) -> Dataset:
    """Distributions of the micrograph, and of sections ``(n_sections, section, phase, distance)``."""
    low, high = np.nanquantile(sections, _ENVELOPE, axis=0)
    values = {
        "micrograph": distance_distributions(micrograph.features),
        "best_match": np.nanmean(best, axis=0),
        "envelope_low": low,
        "envelope_high": high,
    }
    ranges = [f"{top:.0%} to {bottom:.0%} of the depth" for top, bottom in micrograph.ranges]
    return Dataset(
        DISTANCE_DISTRIBUTIONS,
        {name: array.swapaxes(0, 1) for name, array in values.items()},
        labels={"distance": DISTANCE_EDGES * micrograph.pixel_nm},
        attrs={"section_meanings": ranges, "phase_meanings": "pore solid"},
        name=name,
    )
