"""Distributed batch simulation of porous filtration membranes.

Public functions are imported on first use (their list stands in ``__init__.pyi``), so that importing the package loads
neither Dask nor Matplotlib.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

__version__ = "0.2.0"

_import, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", *__all__]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return _import(name)
    from membrane_dask.former_names import renamed_function

    if (present := renamed_function(name)) in __all__:
        return _import(present)
    raise AttributeError(f"module 'membrane_dask' has no attribute {name!r}; it has {', '.join(__all__)}")
