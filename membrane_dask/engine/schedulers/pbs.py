"""PBS: qsub and qstat."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from membrane_dask.engine.schedulers.base import (
    BatchSystem,
    JobState,
    _state,
)


class PBS(BatchSystem):
    """PBS Professional, OpenPBS and Torque."""

    title = "PBS"
    commands = ("qsub", "qstat", "qdel")
    job_class = ("dask_jobqueue.pbs", "PBSJob")
    number = r"\d+(\[\])?(\.[\w.-]+)?"
    not_with = "qconf"
    _states: ClassVar[dict[str, tuple[str, ...]]] = {"pending": ("Q", "W", "H", "T"), "ended": ("F", "X", "C")}

    def header(self, cores: int, memory_mb: int, nodes: int = 1) -> dict[str, Any]:
        """One chunk."""
        found = self._header()
        if self._site("resource-spec") is None:
            found["resource_spec"] = f"select=1:ncpus={cores}:mem={memory_mb}mb"
        return found

    def submission(self, script: Path, after: str | None) -> list[str]:
        """Command that submits."""
        return ["qsub", *(["-W", f"depend=afterany:{after}"] if after else []), str(script)]

    def listing(self, numbers: Sequence[str]) -> dict[str, JobState]:
        """Full listing, in the form that all kinds of PBS share."""
        said = self._ask(["qstat", "-f", *numbers], tolerate=(35, 153, 170))  # some are gone
        found = {}
        for block in re.split(r"^Job Id:\s*", said, flags=re.M)[1:]:
            number = block.split(None, 1)[0]
            state = re.search(r"^\s*job_state = (\S+)", block, re.M)
            comment = re.search(r"^\s*comment = (.*(?:\n\t.*)*)", block, re.M)
            if state:
                reason = re.sub(r"\s+", " ", comment.group(1)) if comment else ""
                found[number] = _state(self._states, state.group(1), reason)
        return found
