"""Metrics of a filter's life, integrated over its histories of flux, concentration and porosity (Gu, Sec. III)."""

from __future__ import annotations

import numpy as np


def threshold_crossing(flux: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the time at which the flux falls to a threshold, in steps.

    Parameters
    ----------
    flux : (..., n_times) ndarray
        Histories that fall below the threshold, possibly followed by NaN.
    threshold : float
        > 0.

    Returns
    -------
    crossing : (...) ndarray of float
        Time of the crossing with the flux interpolated linearly between steps; 0 where the initial flux is below the
        threshold already.
    below : (...) ndarray of int
        First step with a flux below the threshold.
    """
    below = np.argmax(flux < threshold, axis=-1)
    before, after = (_at_index(flux, np.maximum(below + step, 0)) for step in (-1, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        fraction = np.where(below > 0, (threshold - after) / (before - after), 0.0)
    return below - fraction, below


def _at_index(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Select one index of the last axis for each position of the other axes."""
    return np.asarray(np.take_along_axis(values, np.asarray(index)[..., None], axis=-1)[..., 0])


def accumulated_metrics(
    flux: np.ndarray,
    concentration: np.ndarray,
    porosity: np.ndarray,
    end: np.ndarray | float,
    deposition: float,
    time_step: float,
    quadrature: str = "trapezoid",
    jump: np.ndarray | None = None,
    late_jump: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Integrate the metrics of filters from the start to an end time.

    Parameters
    ----------
    flux, concentration : (..., n_times) ndarray
        Histories; the concentration may be NaN where the flux is 0.
    porosity : (..., n_times, n_bands) ndarray
        Histories of the band porosities.
    end : (...) ndarray or float
        End time in steps, not necessarily an integer, between 0 and ``n_times - 1``.
    deposition, time_step : float
        Deposition coefficient and time step of the histories.
    quadrature : {"trapezoid", "left"}
        Rule for the integrals over time.

    Returns
    -------
    metrics : dict of str to (...) ndarray
        ``throughput`` (Gu, Eq. 28a), ``foulant_concentration`` (Eq. 28b), ``lifetime``, ``porosity_usage`` (Eq. 21b).
    usage : (..., n_bands) ndarray
        Loss of porosity in each band (Eq. 21a).
    """
    end = np.asarray(end, float)
    whole = end.astype(np.int64)
    fraction = end - whole
    following = np.minimum(whole + 1, flux.shape[-1] - 1)

    def integral(values: np.ndarray, factor: np.ndarray | float = 1.0) -> np.ndarray:
        steps = values[..., :-1] if quadrature == "left" else (values[..., :-1] + values[..., 1:]) / 2
        if jump is not None:
            steps = steps + (factor * jump)[..., :-1] / time_step
        sums = np.concatenate([np.zeros_like(values[..., :1]), np.cumsum(steps, axis=-1)], axis=-1)
        start = _at_index(values, whole)
        if late_jump is not None:
            change = _at_index(factor * late_jump, whole) / time_step
            return np.asarray(time_step * (_at_index(sums, whole) + fraction * start + change))
        rise = 0.0 if quadrature == "left" else _at_index(values, following) - start
        return np.asarray(time_step * (_at_index(sums, whole) + fraction * (start + fraction / 2 * rise)))

    flux = np.nan_to_num(flux)
    volume = integral(flux)
    concentration = np.nan_to_num(concentration)
    foulant = integral(flux * concentration, concentration)
    bands = np.moveaxis(porosity, -1, 0)
    final = np.stack(
        [_at_index(band, whole) + fraction * (_at_index(band, following) - _at_index(band, whole)) for band in bands],
        axis=-1,
    )
    usage = porosity[..., 0, :] - final
    with np.errstate(invalid="ignore", divide="ignore"):
        metrics = {
            "throughput": volume / deposition,  # in units of W^3 / (alpha C_0)
            "foulant_concentration": foulant / volume,
            "lifetime": end * time_step,
            "porosity_usage": usage.mean(axis=-1),
        }
    return metrics, usage
