"""Methods of the bench that measure flows through open pores, on readings in memory.

Units, conditions and results are as of :mod:`membrane_dask.studies.porometry.bench_capillary`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from membrane_dask.studies.porometry.bench_arrays import evaluate_arrays


def water_permeance(
    pressure: Any,
    flux: Any,
    *,
    temperature: Any = None,
    time: Any = None,
    replicate: Any = None,
    permeate_pressure: Any = None,
    viscosity: Any = None,
    reference_temperature: Any = 25.0,
    confidence: float = 0.95,
) -> xr.Dataset:
    """Permeance of pure water from fluxes at one or several pressures, in the order of the measurement.

    Parameters
    ----------
    pressure : array_like or scalar
        Pressure difference, bar, > 0; one value for all readings, or one for each.
    flux : (n,) array_like
        L m-2 h-1, >= 0; 0 where there was no flow. The last digit of the readings limits the interval; where it is a
        zero, which a float does not keep, give texts (``"24.80"``).
    temperature : array_like or scalar, optional
        Of the water, degC, 0 to 100; default the reference temperature, which is one of the findings.
    time : (n,) array_like, optional
        min; six or more readings at one pressure are fitted as a decline.
    replicate : (n,) array_like, optional
        Number or name of the replicate.
    permeate_pressure : scalar, optional
        Absolute, bar; with it ``pressure`` is absolute too, and the difference of both is evaluated.
    viscosity : scalar, optional
        mPa s, of a liquid other than water; default that of water at its temperature.
    reference_temperature : scalar
        degC, 0.01 to 99.8, to which the permeance is converted by the viscosity of water.
    confidence : float
        Of the intervals, in [0.5, 1).

    Returns
    -------
    xarray.Dataset
        ``water_permeance``, ``free_line_slope`` (L m-2 h-1 bar-1), ``hysteresis``, ``threshold_pressure`` (Pa); of
        pressures that rise and fall ``rising_water_permeance``; of a decline ``flux_plateau`` (L m-2 h-1) and
        ``time_constant`` (min).

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Burnham and Anderson, Model Selection and Multimodel Inference, 2nd ed. (2002): averages by weights of Akaike.

    Examples
    --------
    >>> import membrane_dask as md
    >>> water = md.water_permeance([0.5, 1.0, 1.5, 2.0], [24.8, 50.3, 75.1, 99.7], temperature=20)
    >>> print(f"{water.water_permeance:.1f} [{water.water_permeance_low:.1f}, {water.water_permeance_high:.1f}]")
    56.2 [55.7, 56.7]
    >>> water.water_permeance.units
    'L m-2 h-1 bar-1'
    """
    return evaluate_arrays(
        "water",
        {"pressure": pressure, "flux": flux, "temperature": temperature, "time": time, "replicate": replicate},
        permeate_pressure=permeate_pressure, viscosity=viscosity, reference_temperature=reference_temperature,
        confidence=confidence,
    )  # fmt: skip


def gas_permeation(
    mean_pressure: Any = None,
    permeance: Any = None,
    *,
    gas: str,
    temperature: Any,
    flow: Any = None,
    feed_pressure: Any = None,
    permeate_pressure: Any = None,
    area: Any = None,
    flow_at: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Pore radius from the permeance of a gas against its mean pressure, by viscous and Knudsen flow.

    Parameters
    ----------
    mean_pressure : (n,) array_like, optional
        Mean of the absolute pressures of both sides, bar.
    permeance : (n,) array_like, optional
        mol m-2 s-1 Pa-1. In place of both: flow, feed_pressure and area.
    gas : str
        N2, He, air, ...
    temperature : array_like or scalar
        degC.
    flow : (n,) array_like, optional
        mL/min, counted at ``flow_at``.
    feed_pressure, permeate_pressure : array_like or scalar, optional
        Absolute, bar; default of the permeate the atmosphere, which is one of the findings.
    area : array_like or scalar, optional
        Membrane area, cm2.
    flow_at : mapping, optional
        ``temperature`` (degC, or ``"row"``) and absolute ``pressure`` (bar) at which flows are counted; needed unless
        the unit of the flow is a standard one, such as sccm.

    Returns
    -------
    xarray.Dataset
        ``gas_radius`` (nm), ``gas_slope`` (mol m-2 s-1 Pa-2), ``gas_intercept`` (mol m-2 s-1 Pa-1),
        ``porosity_over_path_length`` (m-1), and the curve of the permeance.

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Mason and Malinauskas, Gas Transport in Porous Media: The Dusty-Gas Model (Elsevier, 1983).

    Examples
    --------
    >>> import membrane_dask as md
    >>> permeance = [1.116e-5, 1.160e-5, 1.196e-5, 1.242e-5, 1.277e-5]
    >>> gas = md.gas_permeation([1.2, 1.5, 1.8, 2.1, 2.4], permeance, gas="N2", temperature=25)
    >>> print(f"{gas.gas_radius:.0f} nm")
    64 nm
    """
    return evaluate_arrays(
        "gas permeation",
        {
            "mean_pressure": mean_pressure, "permeance": permeance, "flow": flow, "feed_pressure": feed_pressure,
            "permeate_pressure": permeate_pressure, "temperature": temperature, "area": area,
        },
        gas=gas, flow_at=flow_at,
    )  # fmt: skip


def rejection(
    rejection: Any = None,
    *,
    molar_mass: Any = None,
    solute_radius: Any = None,
    feed_concentration: Any = None,
    permeate_concentration: Any = None,
    solute: str | None = None,
    stokes: str | None = None,
    law: str | None = None,
    log_sd: Any = None,
    flux: Any = None,
    mass_transfer: Mapping[str, Any] | None = None,
    censored: str | None = None,
) -> xr.Dataset:
    """Pore-size distribution and cut-off from the rejection of solutes of several sizes.

    Parameters
    ----------
    rejection : (n,) array_like, optional
        Observed rejections as fractions, at most 1. In place of it: both concentrations.
    molar_mass : (n,) array_like, optional
        Of the solutes, kDa.
    solute_radius : (n,) array_like, optional
        Their Stokes radii, nm; default by the molar masses and the solute.
    feed_concentration, permeate_concentration : (n,) array_like, optional
        mg/L, or both in one other unit.
    solute : str, optional
        Solute of the molar masses, such as dextran.
    stokes : str, optional
        Its Stokes radius by its molar mass M in g/mol, ``"0.033 nm * M^0.463"``.
    law : {"dechadilok-deen", "zeman-wales", "ferry"}, optional
        Law of sieving of one pore; default the first.
    log_sd : float or str, optional
        Standard deviation of the logarithm of the pore radius from elsewhere, for few solutes.
    flux : scalar, optional
        Flux during the measurement, L m-2 h-1, for the polarisation of concentration.
    mass_transfer : mapping, optional
        Mass transfer coefficient in the feed, likewise: ``value`` (m/s), and ``at``, the molar mass or the Stokes
        radius of its solute, ``"10.5 kDa"``.
    censored : {"use", "drop"}, optional
        What happens to permeate concentrations below a limit, which are text such as ``"<2"``.

    Returns
    -------
    xarray.Dataset
        ``rejection_radius_90`` (nm), ``molecular_weight_cut_off``, ``interpolated_cut_off`` (kDa),
        ``number_median_radius``, ``hydraulic_radius``, ``flow_median_radius`` (nm), ``log_sd``, ``fit_misfit``, and
        the curve of the rejection.

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Dechadilok and Deen, Ind. Eng. Chem. Res. 45, 6953 (2006), Eq. 18; Zeman and Wales, Sep. Sci. Technol. 16, 275
    (1981); Ferry, J. Gen. Physiol. 20, 95 (1936).

    Examples
    --------
    >>> import membrane_dask as md
    >>> molar_mass = [1.0, 4.0, 10.0, 20.0, 40.0, 70.0]
    >>> curve = md.rejection([0.12, 0.37, 0.67, 0.87, 0.97, 0.993], molar_mass=molar_mass, solute="dextran")
    >>> print(f"{curve.molecular_weight_cut_off:.0f} kDa")
    24 kDa
    """
    return evaluate_arrays(
        "rejection",
        {
            "rejection": rejection, "molar_mass": molar_mass, "solute_radius": solute_radius,
            "feed_concentration": feed_concentration, "permeate_concentration": permeate_concentration,
        },
        solute=solute, stokes=stokes, law=law, log_sd=log_sd, flux=flux, mass_transfer=mass_transfer,
        censored=censored,
    )  # fmt: skip


def flux_decline(
    time: Any,
    volume_per_area: Any = None,
    *,
    flux: Any = None,
    volume: Any = None,
    area: Any = None,
    pressure: Any = None,
) -> xr.Dataset:
    """Laws of fouling compared on the permeate of a feed at constant pressure.

    Parameters
    ----------
    time : (n,) array_like
        min, >= 0, rising; six or more readings.
    volume_per_area : (n,) array_like, optional
        Cumulative permeate, L m-2. In place of it: ``flux``, or ``volume`` and ``area``.
    flux : (n,) array_like, optional
        L m-2 h-1.
    volume : (n,) array_like, optional
        Cumulative permeate, mL.
    area : array_like or scalar, optional
        Membrane area, cm2.
    pressure : (n,) array_like, optional
        bar, which must be constant within 5 %.

    Returns
    -------
    xarray.Dataset
        By ``law``: ``aicc_difference``, ``initial_permeate_flux`` (L m-2 h-1), ``complete_constant`` (s-1),
        ``standard_constant``, ``intermediate_constant`` (m-1) and ``cake_constant`` (s m-2); and the curve of the
        permeate.

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Bolton, LaCasse and Kuriyel, J. Membr. Sci. 277, 75 (2006); Hermia, Trans. Inst. Chem. Eng. 60, 183 (1982).

    Examples
    --------
    >>> import membrane_dask as md
    >>> time = [0, 5, 10, 15, 20, 30, 40, 50, 60]
    >>> volume_per_area = [0, 14.6, 26.4, 36.6, 45.6, 61.3, 75.0, 87.2, 98.3]
    >>> decline = md.flux_decline(time, volume_per_area)
    >>> decline.law.values[decline.aicc_difference < 2].tolist()
    ['cake-complete', 'cake-intermediate', 'cake-standard']
    """
    return evaluate_arrays(
        "fouling",
        {
            "time": time, "volume_per_area": volume_per_area, "flux": flux, "volume": volume, "area": area,
            "pressure": pressure,
        },
    )  # fmt: skip
