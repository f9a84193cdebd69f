"""Distributed batch simulation of porous filtration membranes.

Public functions are imported on first use (their list stands in ``__init__.pyi``), so that importing the package loads
neither Dask nor Matplotlib.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

if sys.platform == "win32":
    # The locks of runs and the time limits of units are those of POSIX systems.
    raise ImportError(
        "membrane-dask needs Linux or macOS; on Windows install it in WSL: run `wsl --install` in a terminal, then "
        "`pip install membrane-dask` in the Linux that it opens"
    )

__version__ = "0.3.0"


@lru_cache(maxsize=1)
def _public() -> tuple[Any, list[str]]:
    """The function that imports a public name, and all public names."""
    import lazy_loader

    import_name, _, names = lazy_loader.attach_stub(__name__, __file__)
    return import_name, ["__version__", *names]


def __getattr__(name: str) -> Any:
    import_name, names = _public()
    if name == "__all__":
        return names
    if name in names:
        return import_name(name)
    from membrane_dask.former_names import renamed_function

    if (present := renamed_function(name)) in names:
        return import_name(present)
    raise AttributeError(f"module 'membrane_dask' has no attribute {name!r}; it has {', '.join(names)}")


def __dir__() -> list[str]:
    return list(_public()[1])
