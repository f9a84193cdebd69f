"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyPath = Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file; write one with: membrane-dask new KIND")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=VALUE", help="Change an entry of the study; may be repeated."),
]
ClusterName = Annotated[
    str | None, typer.Option("--cluster", metavar="P", help="A profile of `clusters`, sync, or a scheduler's address.")
]
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's directory, its name, or the name's beginning.")]


def _overrides(given: list[str] | None, cluster: str | None) -> list[str]:
    return [*(given or []), *([f"cluster.profile={cluster}"] if cluster else [])]
