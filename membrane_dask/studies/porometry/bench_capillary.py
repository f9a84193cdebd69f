"""Methods of the bench that open pores by a pressure, on readings in memory: the numbers of a study without a file.

Readings are arrays, lists, columns of a data frame, or quantities of pint. Plain numbers are in the units that each
function states; a quantity, the attribute ``units`` and the name of a column (``pressure [kPa]``) state others, which
the findings name.
Conditions may also be written with a unit and a standard deviation, ``"16 +- 0.3 mN/m"``. NaN stands for no reading.
Messages count readings from row 1, and write a setting as a study does: ``area: 34 cm2`` is ``area="34 cm2"`` here.
Each function evaluates one membrane.

All return a dataset whose variables have the names, units and meanings of the table ``porometry`` of a study, with the
ends of intervals in ``_low`` and ``_high``; curves end in ``_curve``; the attribute ``findings`` lists in sentences
what was left out and what the readings do not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import xarray as xr

from membrane_dask.studies.porometry.bench_arrays import evaluate_arrays


def bubble_point(
    pressure: Any,
    *,
    liquid: str | None = None,
    surface_tension: Any = None,
    temperature: Any = None,
    contact_angle: Any = None,
    shape_factor: float | None = None,
) -> xr.Dataset:
    """Radius of the largest pore from bubble points that an instrument or a person has read.

    Parameters
    ----------
    pressure : array_like or scalar
        Bubble points, bar, > 0; their mean is evaluated.
    liquid : str, optional
        Wetting liquid, such as Porefil; it, or its surface tension, is needed.
    surface_tension : scalar, optional
        mN/m, with its standard deviation as in ``"16 +- 0.3 mN/m"``; default by the name of the liquid.
    temperature : scalar, optional
        degC.
    contact_angle : scalar, optional
        Degrees; default 0, as the liquid wets.
    shape_factor : float, optional
        Factor of the radius, in (0, 1]; default 1.

    Returns
    -------
    xarray.Dataset
        ``bubble_point_pressure`` (bar), ``bubble_point_radius`` (nm) and ``shape_factor``.

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Washburn, Proc. Natl. Acad. Sci. 7, 115 (1921): radius by Young-Laplace.

    Examples
    --------
    >>> import membrane_dask as md
    >>> print(f"{md.bubble_point(1.2, liquid='Porefil').bubble_point_radius:.1f} nm")
    266.7 nm
    """
    return evaluate_arrays(
        "bubble point", {"pressure": pressure}, liquid=liquid, surface_tension=surface_tension,
        temperature=temperature, contact_angle=contact_angle, shape_factor=shape_factor,
    )  # fmt: skip


def capillary_flow_porometry(
    pressure: Any,
    wet_flow: Any,
    dry_flow: Any = None,
    *,
    half_dry_flow: Any = None,
    dry: str | None = None,
    liquid: str | None = None,
    surface_tension: Any = None,
    contact_angle: Any = None,
    shape_factor: float | None = None,
    temperature: Any = None,
    gas: str | None = None,
    flow_at: Mapping[str, Any] | None = None,
    area: Any = None,
    thickness: Any = None,
    first_flow: Any = None,
    permeate_pressure: Any = None,
    seed: int = 2023,
) -> xr.Dataset:
    """Bubble point, mean flow pore and pore-size distribution from flows of gas through a wet and a dry membrane.

    Parameters
    ----------
    pressure : (n,) array_like
        Pressure difference, bar, > 0.
    wet_flow, dry_flow : (n,) array_like
        L/min; the dry flow may be NaN where it was not read.
    half_dry_flow : (n,) array_like, optional
        Half of the dry flow, L/min, in place of it.
    dry : {"extrapolated"}, optional
        Without a dry flow: a line through the origin and the last wet reading.
    liquid, surface_tension, contact_angle, shape_factor
        As of :func:`bubble_point`.
    temperature : scalar, optional
        degC, of liquid and gas.
    gas : str, optional
        Gas that flows, for slip and for numbers of pores.
    flow_at : mapping, optional
        ``temperature`` (degC, or ``"row"``) and absolute ``pressure`` (bar) at which flows are counted.
    area : scalar, optional
        Membrane area, cm2.
    thickness : scalar, optional
        Length of the path through a pore, um, with its standard deviation as in ``"50 +- 5 um"``.
    first_flow : scalar, optional
        Flow at which the bubble point is read, L/min; default by the readings without flow.
    permeate_pressure : scalar, optional
        Absolute, bar; with it ``pressure`` is absolute too, and the difference of both is evaluated.
    seed : int
        Of the simulated errors; the default is that of a study.

    Returns
    -------
    xarray.Dataset
        ``bubble_point_radius``, ``mean_flow_pore_radius``, ``smallest_flow_pore_radius``, ``number_median_radius``,
        ``hydraulic_radius``, ``flow_median_radius`` (nm), ``log_sd``, ``fit_misfit``, ``filter_flow_maximum``,
        ``porosity_over_path_length`` (m-1), ``pore_number_density`` (m-2), and curves of the flows and of the
        distribution.

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Jena and Gupta, Fluid/Particle Separation J. 14, 227 (2002).

    Examples
    --------
    >>> import membrane_dask as md
    >>> pressure = [0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2.0, 2.4]
    >>> wet = [0.0, 0.06, 0.32, 1.07, 2.63, 5.13, 8.36, 11.8, 15.4, 21.3, 25.6, 32.3]
    >>> dry = [10.0, 11.3, 12.6, 13.9, 15.3, 16.6, 18.0, 19.4, 20.8, 23.4, 26.2, 32.2]
    >>> flow = md.capillary_flow_porometry(pressure, wet, dry, liquid="Porefil")
    >>> print(f"{flow.mean_flow_pore_radius:.0f} {flow.mean_flow_pore_radius.units}")
    225 nm
    """
    return evaluate_arrays(
        "capillary flow",
        {"pressure": pressure, "wet_flow": wet_flow, "dry_flow": dry_flow, "half_dry_flow": half_dry_flow},
        dry=dry, liquid=liquid, surface_tension=surface_tension, contact_angle=contact_angle,
        shape_factor=shape_factor, temperature=temperature, gas=gas, flow_at=flow_at, area=area, thickness=thickness,
        first_flow=first_flow, permeate_pressure=permeate_pressure, seed=seed,
    )  # fmt: skip


def liquid_displacement(
    pressure: Any,
    flux: Any,
    *,
    interfacial_tension: Any,
    viscosity: Any = None,
    contact_angle: Any = None,
    thickness: Any = None,
    permeate_pressure: Any = None,
) -> xr.Dataset:
    """Pore-size distribution from the flux of a liquid that displaces another one.

    Parameters
    ----------
    pressure : (n,) array_like
        Pressure difference, bar, > 0.
    flux : (n,) array_like
        Of the displacing liquid, L m-2 h-1.
    interfacial_tension : scalar
        Of both liquids at mutual saturation, mN/m, with its standard deviation as in ``"1.7 +- 0.05 mN/m"``.
    viscosity : scalar, optional
        Of the displacing liquid, mPa s, for numbers of pores.
    contact_angle : scalar, optional
        Degrees; default 0.
    thickness, permeate_pressure
        As of :func:`capillary_flow_porometry`.

    Returns
    -------
    xarray.Dataset
        ``final_permeance`` (L m-2 h-1 bar-1), ``largest_pore_radius``, ``number_median_radius``, ``hydraulic_radius``,
        ``flow_median_radius`` (nm), ``log_sd``, ``fit_misfit``, ``porosity_over_path_length`` (m-1),
        ``pore_number_density`` (m-2), and curves of the permeance and of the distribution.

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Grabar and Nikitine, J. Chim. Phys. 33, 721 (1936); Munari et al., Desalination 53, 11 (1985).

    Examples
    --------
    >>> import membrane_dask as md
    >>> pressure = [2.0, 2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 4.0, 4.5, 5.0, 6.0]
    >>> flux = [0.91, 4.12, 13.1, 31.7, 61.9, 103, 152, 206, 260, 356, 434, 555]
    >>> pores = md.liquid_displacement(pressure, flux, interfacial_tension="1.7 +- 0.05 mN/m")
    >>> print(f"{pores.flow_median_radius:.1f} nm")
    9.5 nm
    """
    return evaluate_arrays(
        "liquid displacement", {"pressure": pressure, "flux": flux}, interfacial_tension=interfacial_tension,
        viscosity=viscosity, contact_angle=contact_angle, thickness=thickness, permeate_pressure=permeate_pressure,
    )  # fmt: skip


def mercury_intrusion(
    pressure: Any,
    intruded_volume: Any,
    *,
    surface_tension: Any = None,
    contact_angle: Any = None,
    skeleton_density: Any = None,
    lowest_pressure: Any = None,
) -> xr.Dataset:
    """Radii of throats by the volume of mercury behind them.

    Parameters
    ----------
    pressure : (n,) array_like
        Absolute, bar, > 0.
    intruded_volume : (n,) array_like
        Cumulative volume per mass of sample, mL/g.
    surface_tension : scalar, optional
        mN/m; default 485.
    contact_angle : scalar, optional
        Degrees, > 90; default 140.
    skeleton_density : scalar, optional
        Density of the solid, g/mL, for the porosity.
    lowest_pressure : scalar, optional
        bar, below which mercury fills gaps between pieces of the sample.

    Returns
    -------
    xarray.Dataset
        ``mercury_median_radius`` (nm), ``intruded_volume`` (mL/g), ``mercury_porosity``, and the curve of the volume.

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Washburn, Proc. Natl. Acad. Sci. 7, 115 (1921).

    Examples
    --------
    >>> import membrane_dask as md
    >>> mercury = md.mercury_intrusion([1, 5, 10, 20, 40, 80], [0, 0.02, 0.4, 0.9, 1.05, 1.1], skeleton_density=1.4)
    >>> print(f"{mercury.mercury_median_radius:.0f} nm, porosity {mercury.mercury_porosity:.2f}")
    604 nm, porosity 0.61
    """
    return evaluate_arrays(
        "mercury", {"pressure": pressure, "intruded_volume": intruded_volume}, surface_tension=surface_tension,
        contact_angle=contact_angle, skeleton_density=skeleton_density, lowest_pressure=lowest_pressure,
    )  # fmt: skip


def entry_pressure(
    pressure: Any,
    *,
    contact_angle: Any,
    liquid: str | None = None,
    surface_tension: Any = None,
    temperature: Any = None,
) -> xr.Dataset:
    """Radius of the largest pore from the pressure at which a liquid that does not wet enters a membrane.

    Parameters
    ----------
    pressure : array_like or scalar
        Entry pressures, bar, > 0; their mean is evaluated.
    contact_angle : scalar
        Degrees, with its standard deviation as in ``"118 +- 2"``; below 90 the radius is NaN, with a finding.
    liquid, surface_tension, temperature
        As of :func:`bubble_point`; the liquid that enters.

    Returns
    -------
    xarray.Dataset
        ``largest_pore_radius`` (nm).

    Raises
    ------
    ValueError
        With all problems of the readings.

    References
    ----------
    Franken et al., J. Membr. Sci. 33, 315 (1987), Eq. 5.

    Examples
    --------
    >>> import membrane_dask as md
    >>> entry = md.entry_pressure(2.34, contact_angle="118 +- 2", liquid="water", temperature=25)
    >>> print(f"{entry.largest_pore_radius:.0f} nm")
    289 nm
    """
    return evaluate_arrays(
        "entry pressure", {"pressure": pressure}, contact_angle=contact_angle, liquid=liquid,
        surface_tension=surface_tension, temperature=temperature,
    )  # fmt: skip
