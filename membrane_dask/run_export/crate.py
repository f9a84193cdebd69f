"""Metadata of an exported run as a Research Object Crate.

References
----------
RO-Crate Metadata Specification 1.1, https://w3id.org/ro/crate/1.1
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from membrane_dask.digests import file_digest

NAME = "ro-crate-metadata.json"
#: Media types by the ending of a file.
_MEDIA_TYPES = {
    ".csv": "text/csv", ".graphml": "application/graphml+xml", ".html": "text/html", ".json": "application/json",
    ".nc": "application/netcdf", ".npz": "application/zip", ".ozx": "application/zip", ".png": "image/png",
    ".tif": "image/tiff", ".tiff": "image/tiff", ".vtu": "application/xml", ".yaml": "application/yaml",
}  # fmt: skip


def write_crate(
    folder: Path,
    *,
    name: str,
    description: str,
    date: str,
    provenance: Mapping[str, Any],
    descriptions: Mapping[str, str],
) -> None:
    """Write the metadata of all files of a folder.

    Parameters
    ----------
    folder : Path
        The exported run.
    name, description : str
        Of the whole.
    date : str
        Time of the export.
    provenance : mapping
        Content of ``provenance.json``: versions, and the times of the first start and the last stop.
    descriptions : mapping of str to str
        Meaning of a file, or of all files of a folder, by its path below ``folder``.
    """
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    zarr = [path for path in files if path.parts[0] == "result.zarr"]
    entities = [_file(folder, path, descriptions) for path in files if path not in set(zarr)]
    if zarr:
        description = descriptions["result.zarr"]
        entities.append({"@id": "result.zarr/", "@type": "Dataset", "name": "result.zarr", "description": description})
    inputs = [entity for entity in entities if entity["@id"] == "study.yaml" or entity["@id"].startswith("inputs/")]
    starts, stops = provenance.get("starts", []), provenance.get("stops", [])
    version = (starts[0].get("versions", {}) if starts else {}).get("membrane-dask", "")
    action = {
        "@id": "#run", "@type": "CreateAction", "name": f"Run of {name}", "instrument": _references([_SOFTWARE]),
        "object": _references(inputs), "result": _references([e for e in entities if e not in inputs]),
    }  # fmt: skip
    if starts and stops:
        action |= {"startTime": starts[0]["time"], "endTime": stops[-1]["time"]}
    graph = [
        {
            "@id": NAME, "@type": "CreativeWork", "about": {"@id": "./"},
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
        },
        {
            "@id": "./", "@type": "Dataset", "name": name, "description": description, "datePublished": date,
            "license": {"@id": _LICENCE["@id"]}, "hasPart": _references(entities), "mentions": {"@id": "#run"},
        },
        *entities,
        action,
        {**_SOFTWARE, **({"version": version, "softwareVersion": version} if version else {})},
        _LICENCE,
    ]  # fmt: skip
    content = {"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": graph}
    (folder / NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


_SOFTWARE = {
    "@id": "https://pypi.org/project/membrane-dask/", "@type": "SoftwareApplication", "name": "membrane-dask",
    "url": "https://pypi.org/project/membrane-dask/",
}  # fmt: skip
_LICENCE = {
    "@id": "#licence", "@type": "CreativeWork", "name": "No licence is stated",
    "description": "The owner of the study decides how these data may be used.",
}  # fmt: skip


def _file(folder: Path, path: Path, descriptions: Mapping[str, str]) -> dict[str, Any]:
    """Entity of a file."""
    name = path.as_posix()
    entity = {
        "@id": quote(name), "@type": "File", "name": name, "contentSize": str((folder / path).stat().st_size),
        "sha256": file_digest(folder / path),
    }  # fmt: skip
    description = descriptions.get(name) or descriptions.get(f"{path.parts[0]}/*{path.suffix}")
    description = description or descriptions.get(path.parts[0])
    if description:
        entity["description"] = description
    if media_type := _MEDIA_TYPES.get(path.suffix.lower()):
        entity["encodingFormat"] = media_type
    return entity


def _references(entities: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{"@id": entity["@id"]} for entity in entities]
