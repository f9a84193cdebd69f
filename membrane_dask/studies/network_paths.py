"""Paths of pore networks that are the input of a study: which files belong to one, and what is none."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

#: Radius of the tubes of a network: that of the file, of the inscribed circle, or of a circle of the pore's area.
TubeRadius = Literal["as given", "inscribed", "equivalent"]
#: Ending of the file that stands for the four files of a Statoil network.
STATOIL = "_link1.dat"
#: Endings of the other three.
OTHER_STATOIL = ("_node1.dat", "_node2.dat", "_link2.dat")
#: Endings of study files.
STUDIES = (".yaml", ".yml")


def is_source(path: Path) -> bool:
    """Whether a path is that of a run, or of a study that makes one, rather than a file of a network."""
    return path.is_dir() or path.suffix.lower() in STUDIES


def is_network(path: Path) -> bool:
    """Whether a path is that of a file of a network, rather than of a volume: an archive is, that names throats."""
    if path.name.endswith((STATOIL, *OTHER_STATOIL)) or path.suffix.lower() == ".csv":
        return True
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    from membrane_dask.io.openpnm_files import is_openpnm_archive  # slow to import for settings

    return is_openpnm_archive(path)


def network_files(path: Path) -> dict[str, Path]:
    """Files of a network by name: that of the path itself is ``input``, others have names derived from it."""
    files = {"input": path}
    if path.name.endswith(STATOIL):
        for name in ("node1", "node2", "link2"):
            files[f"input_{name}"] = path.with_name(f"{path.name.removesuffix(STATOIL)}_{name}.dat")
    elif path.suffix.lower() == ".csv":
        from membrane_dask.io.network_tables import junctions_path

        if junctions_path(path).is_file():
            files["input_junctions"] = junctions_path(path)
    return files
