"""Distributed batch simulation of porous filtration membranes.

The notebook face: ``load_study``, ``plan``, ``run``, ``submit``, ``open_run``, ``list_runs``. Importing the
package loads neither Dask nor Matplotlib; they come with the first call that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_FACE = {
    "load_study": "membrane_dask.study_file",
    "ClusterError": "membrane_dask.errors",
    "StudyError": "membrane_dask.errors",
    "plan": "membrane_dask.api",
    "run": "membrane_dask.api",
    "submit": "membrane_dask.api",
    "retry": "membrane_dask.api",
    "replay": "membrane_dask.api",
    "cancel": "membrane_dask.api",
    "open_run": "membrane_dask.api",
    "list_runs": "membrane_dask.api",
    "Run": "membrane_dask.api",
    "write_report": "membrane_dask.report",
    "at_flux_threshold": "membrane_dask.studies.graded",
    "interval": "membrane_dask.studies.reconstruct",
    "texture": "membrane_dask.studies.texture",
    "pore_network": "membrane_dask.studies.characterize",
    "verdicts": "membrane_dask.studies.verdicts",
    "read_statoil": "membrane_dask.volume.networks",
    "write_statoil": "membrane_dask.volume.networks",
    "write_vtk": "membrane_dask.volume.networks",
}

__all__ = ["__version__", *sorted(_FACE)]

if TYPE_CHECKING:
    from membrane_dask.api import Run as Run
    from membrane_dask.api import cancel as cancel
    from membrane_dask.api import list_runs as list_runs
    from membrane_dask.api import open_run as open_run
    from membrane_dask.api import plan as plan
    from membrane_dask.api import replay as replay
    from membrane_dask.api import retry as retry
    from membrane_dask.api import run as run
    from membrane_dask.api import submit as submit
    from membrane_dask.errors import ClusterError as ClusterError
    from membrane_dask.errors import StudyError as StudyError
    from membrane_dask.report import write_report as write_report
    from membrane_dask.studies.characterize import pore_network as pore_network
    from membrane_dask.studies.graded import at_flux_threshold as at_flux_threshold
    from membrane_dask.studies.reconstruct import interval as interval
    from membrane_dask.studies.texture import texture as texture
    from membrane_dask.studies.verdicts import verdicts as verdicts
    from membrane_dask.study_file import load_study as load_study
    from membrane_dask.volume.networks import read_statoil as read_statoil
    from membrane_dask.volume.networks import write_statoil as write_statoil
    from membrane_dask.volume.networks import write_vtk as write_vtk


def __getattr__(name: str) -> Any:
    if name in _FACE:
        return getattr(import_module(_FACE[name]), name)
    raise AttributeError(f"module 'membrane_dask' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return __all__
