"""A study kind in files of its own, which tests write, change and import again: the code of another day."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from membrane_dask import api
from membrane_dask.engine import software
from membrane_dask.engine.plan import make_plan
from membrane_dask.engine.run import Run, prepare

NAME = "changingkind"
FILES = {
    "__init__.py": """
from membrane_dask.studies.registry import StudyKind
MODULE = "changingkind.program"
KIND = StudyKind("changing", f"{MODULE}:Study", f"{MODULE}:Program", f"{MODULE}:TABLES", 77)
""",
    "helper.py": '''
"""Helper."""
import numpy as np
def formula(x):
    """Docstring."""
    return 2.0 * x
def threshold(x):
    return x
''',
    "tasks.py": """
import os, time
from pathlib import Path
import numpy as np
from changingkind.helper import formula
def work(context, unit):
    time.sleep(context["seconds"])
    number = unit.index[0]
    if number == context["failing"] and not os.path.exists(context["switch"]):
        raise ArithmeticError("cannot be computed")
    if unit.task == "steps":
        return {"x": np.array([float(number)])}, {"x": float(number)}
    offset = context["scratch"].read("steps", (number,))["x"][0] if context["steps"] else 0.0
    value = formula(unit.params["point"]) + offset
    return {"value": np.asarray(value), "vector": np.arange(3.0) * value}, {"value": float(value)}
""",
    "program.py": """
from typing import Literal
import numpy as np
from membrane_dask import program as contract
from membrane_dask.config import BaseStudy
from membrane_dask.program import Dataset, Recall, Scratch, Submit, Table, Unit, settle
from membrane_dask.schema import Coordinate, TableSchema, Variable
from changingkind.helper import threshold
from changingkind.tasks import work
NUMBER = Coordinate("number", "1", "number")
THREE = Coordinate("three", "1", "three")
VALUES = TableSchema("values", (Variable("value", (), "f8", "1", "v"), Variable("vector", ("three",), "f8", "1", "w")),
                     (NUMBER, THREE))
SUM = TableSchema("sum", (Variable("total", (), "f8", "1", "t"),), (NUMBER,))
GIVEN = TableSchema("given", (Variable("g", (), "f8", "1", "g"),), (NUMBER,))
TABLES = (VALUES, SUM, GIVEN)
class Study(BaseStudy):
    kind: Literal["changing"] = "changing"
    units: int = 12
    seconds: float = 0.0
    failing: int = -1
    switch: str = ""
    steps: bool = False
    search: bool = False
class Program(contract.Program):
    kind = "changing"
    work = staticmethod(work)
    def __init__(self, study, source=None):
        self.study = study
        self.adaptive = study.search
        self.context = study.model_dump(include={"seconds", "failing", "switch", "steps"})
        labels = {"number": np.arange(study.units), "three": np.arange(3)}
        self.tables = (Table(VALUES, ("number",), labels, {}, 0.5),)
        self.scratch = (Scratch("steps", (study.units,), temporary=True),) if study.steps else ()
        self.inputs = (Dataset(GIVEN, {"g": np.array([threshold(0.25)])}, ("number",)),)
    def unit(self, task, number, point):
        return Unit(f"{task}-{number}", task, (number,), {"point": point}, (1, number))
    def rounds(self):
        if self.study.steps:
            yield [self.unit("steps", n, 0.0) for n in range(self.study.units)]
        point = 1.0
        if not self.study.search:
            yield from settle([self.unit("values", n, n + 1.0) for n in range(self.study.units)])
            return
        for n in range(self.study.units):
            recorded = yield Recall(f"values-{n}")
            point = recorded.feedback["value"] / 2 if recorded else threshold(point + 1.0)
            yield [self.unit("values", n, point)]
    def collect(self, read, history):
        return [Dataset(SUM, {"total": np.array([float(read("values")["value"].sum())])}, ("number",))]
""",
    "report.py": "def sections(run):\n    return []\n",
}


def write(folder: Path, **changes: tuple[str, str]) -> Path:
    """Write the package; ``changes`` replace a text of a module by another."""
    package = folder / NAME
    package.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        old, new = changes.pop(name.removesuffix(".py"), ("", ""))
        assert old in text
        (package / name).write_text(text.replace(old, new) if old else text, encoding="utf-8")
    assert not changes
    info = folder / f"{NAME}-1.0.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[membrane_dask.studies]\nchanging = {NAME}:KIND\n")
    return folder


def new_process(folder: Path) -> Any:
    """The program's module as a new process imports it from a folder."""
    for name in [name for name in sys.modules if name.partition(".")[0] in (NAME, "numlib")]:
        del sys.modules[name]
    sys.path[:] = [str(folder), *(path for path in sys.path if not (Path(path) / NAME).is_dir())]
    sys.path_importer_cache.clear()
    for value in vars(software).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()
    from importlib import import_module, invalidate_caches

    invalidate_caches()
    return import_module(f"{NAME}.program")


def start(folder: Path, root: Path, *, limit: int | None = None, retry_failed: bool = False, **fields: Any) -> Any:
    """Run the study in ``root`` with the code of ``folder``; returns the run and all events as text."""
    module = new_process(folder)
    study = module.Study.model_validate(
        {"name": "changing", "cluster": {"profile": "sync"}, "execution": {"batch": 3, "retries": 0}, **fields}
    )
    plan = make_plan(study, module.Program(study))
    run = prepare(plan, root)
    events: list[str] = []
    api.execute(run, plan, limit=limit, retry_failed=retry_failed, listener=lambda event: events.append(str(event)))
    return Run(root), "\n".join(events)
