"""Settings of a chain study, and the studies of its stages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, PrivateAttr, WrapValidator

from membrane_dask.config import BaseStudy, InputVolume, Line, Model, OwnStudy, SourceContent, parameter
from membrane_dask.errors import Problem, StudyError, Where
from membrane_dask.quantities import Number
from membrane_dask.studies.volume_settings import VolumeStudy

#: Stages in the order in which they run, each of the study kind of its name.
STAGES = ("reconstruct", "characterize", "foul", "porometry")
#: Stages of the reference: those that start from a volume.
_REFERENCE_STAGES = STAGES[1:]
#: Name of the porometry study of the measured tables.
MEASURED = "measured"
#: Settings that a stage has from the chain.
_OF_THE_CHAIN = ("kind", "name", "input", "cluster", "execution")
#: Settings that the porometry study of the measured tables has from the chain.
_OF_THE_MEASURED = ("kind", "name", "cluster", "execution")

#: Settings of the volumes and their networks, which are the same in all stages that read volumes.
_OF_THE_VOLUME = tuple(name for name in VolumeStudy.model_fields if name not in (*BaseStudy.model_fields, "input"))

Settings = dict[Line, Any]


def _present_or_lost(value: Any, validate: Any) -> Path:
    """Path of a run; also of one that was moved or removed since: the run of the chain can be opened without it."""
    try:
        return cast(Path, validate(value))
    except ValueError:
        if isinstance(value, (str, Path)) and Path(value).is_absolute() and not Path(value).exists():
            return Path(value)
        raise


class StageSettings(Model):
    """Settings of the study of each stage, without its input; a stage that is left out does not run."""

    reconstruct: Settings | None = parameter(
        None, "settings of a reconstruct study, whose input is that of the chain", unit=""
    )
    characterize: Settings = parameter(
        {}, "settings of a characterize study of the structure, with bench: {enabled: true} for the virtual bench",
        unit="",
    )  # fmt: skip
    foul: Settings | None = parameter(
        None, "settings of a foul study of the same structure, whose volumes are read as by characterize", unit=""
    )
    porometry: Settings | None = parameter(
        None, "settings of a porometry study of the tables of the virtual bench", unit=""
    )

    @property
    def has_bench(self) -> bool:
        """Whether characterize has the virtual bench."""
        return _is_on(self._bench.get("enabled", False))

    @property
    def _bench(self) -> Mapping[str, Any]:
        bench = self.characterize.get("bench")
        return bench if isinstance(bench, Mapping) else {}

    def _inconsistencies(self) -> Iterator[Problem]:
        for stage in STAGES:
            for name in (*_OF_THE_CHAIN, "flow_run"):
                if name in (getattr(self, stage) or {}):
                    yield Problem((stage, name), "is that of the chain; set it there, and leave it out here")
        for name in _OF_THE_VOLUME:
            if name in (self.foul or {}):
                yield Problem(("foul", name), "is that of stages.characterize; set it there, and leave it out here")
        if self.porometry is not None and not self.has_bench:
            yield Problem(
                ("porometry",), "needs the virtual bench: set stages.characterize.bench.enabled: true as well"
            )
        elif self.porometry is not None and not _is_on(self._bench.get("tables", True)):
            message = "porometry reads these tables; leave it out, or leave out stages.porometry"
            yield Problem(("characterize", "bench", "tables"), message)


def _is_on(value: Any) -> bool:
    return str(value).lower() in ("true", "yes", "on", "1", "y", "t")


class ChainStudy(BaseStudy):
    """A structure, what a bench would measure of it, what porometry concludes from that, and its life as a filter."""

    kind: Literal["chain"] = "chain"
    input: InputVolume | None = Field(
        None,
        description="volume, or a reconstruct study or run of one; with stages.reconstruct, the micrograph, unless "
        "that names images. Required otherwise",
        json_schema_extra={"unit": "", "example": "volume.tif"},
    )
    stages: StageSettings = parameter(StageSettings(), "settings of the study of each stage", unit="")
    measured: Settings | None = parameter(
        None,
        "settings of a porometry study of measured tables, which are compared with the virtual ones, for example "
        "{input: bench.csv, method: capillary flow}",
        unit="",
    )
    reference: InputVolume | None = parameter(
        None, "volume of the true structure, which passes the same stages: the bias of the reconstruction", unit=""
    )
    confidence: Number = parameter(0.95, "confidence of the intervals over replicates", ge=0.5, lt=1)
    runs: dict[Line, Annotated[InputVolume, WrapValidator(_present_or_lost)]] = parameter(
        {}, "runs of the stages by name, as a run of a chain records them; default those of the studies above", unit=""
    )

    source_content: ClassVar[SourceContent] = "tables"
    #: 1: before capillary flow and rejection had a porosity.
    results_version: ClassVar[int] = 2
    essential: ClassVar[tuple[str, ...]] = ("input", "stages", "measured", "seed")
    # Stages and what they read enter by the identities of their runs.
    _circumstances: ClassVar[frozenset[str]] = BaseStudy._circumstances | {
        "input", "stages", "measured", "reference", "runs"
    }  # fmt: skip
    # Folder of the study file: paths in the settings of stages are relative to it.
    _folder: Path = PrivateAttr(default=Path())

    def model_post_init(self, context: Any) -> None:
        """Note the folder of the study file."""
        self._folder = Path((context or {}).get("base", ".")).resolve()

    def sources(self) -> dict[str, Path]:
        """Runs of the stages, by name."""
        return dict(self.runs)

    def source_position(self, name: str) -> Where:
        """Position of the run of a stage in the study file."""
        return ("runs", name)

    def with_sources(self, runs: Mapping[str, Path]) -> ChainStudy:
        """The study with the runs of its stages, whose own inputs it does not read."""
        return self.model_copy(update={"runs": dict(runs), "input": None, "reference": None})

    def own_studies(self) -> dict[str, OwnStudy]:
        """Studies of the stages, of the reference and of the measured tables, by name."""
        if self.runs:
            return {}
        definitions = {
            stage: self._stage(stage, ("input",), reads=self._reads(stage)) for stage in self._used_stages(STAGES)
        }
        if self.reference:
            for stage in self._used_stages(_REFERENCE_STAGES):
                reads = self._reads(stage, "reference-")
                definitions[f"reference-{stage}"] = self._stage(stage, ("reference",), reads)
        if self.measured is not None:
            settings = {"kind": "porometry", "seed": self.seed, **self.measured}
            definitions[MEASURED] = OwnStudy(settings, self._folder, where=("measured",))
        return definitions

    def _used_stages(self, stages: tuple[str, ...]) -> list[str]:
        return [stage for stage in stages if getattr(self.stages, stage) is not None]

    def _reads(self, stage: str, prefix: str = "") -> dict[str, str]:
        """Settings of a stage that are the run of an earlier one, whose name has the prefix."""
        if stage == "porometry":
            return {"input": f"{prefix}characterize"}
        is_of_reconstruction = not prefix and self.stages.reconstruct is not None and stage != "reconstruct"
        reads = {"input": "reconstruct"} if is_of_reconstruction else {}
        return reads | ({"flow_run": f"{prefix}characterize"} if stage == "foul" and self.stages.has_bench else {})

    def _stage(self, stage: str, field: tuple[str, ...], reads: Mapping[str, str]) -> OwnStudy:
        """Study of a stage, whose input is a field of this study or an earlier run."""
        settings = getattr(self.stages, stage)
        path = getattr(self, field[0])
        reads_file = "input" not in reads
        own = {"kind": stage, "seed": self.seed} | ({"input": str(path)} if path and reads_file else {})
        elsewhere: dict[str, Where] = {name: (name,) for name in ("seed", "cluster", "execution")}
        elsewhere |= {"input": field} if reads_file else {}
        elsewhere = {name: where for name, where in elsewhere.items() if name not in settings}
        if stage == "foul":
            of_the_volume = {name: v for name, v in self.stages.characterize.items() if name in _OF_THE_VOLUME}
            own |= of_the_volume
            elsewhere |= {name: ("stages", "characterize", name) for name in of_the_volume}
            settings = {**settings, **self._slabs_of_foul(settings)}
        return OwnStudy(own | settings, self._folder, reads, ("stages", stage), elsewhere)

    def _slabs_of_foul(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of foul with the thickness of the slabs of characterize, whose flow it then reads."""
        flow, hydraulics = self.stages.characterize.get("flow"), settings.get("hydraulics", {})
        if not isinstance(flow, Mapping) or not isinstance(hydraulics, Mapping) or "slab_thickness" not in flow:
            return {}
        if hydraulics.get("conductance", "stokes") != "stokes":
            return {}
        return {"hydraulics": {"slab_thickness": flow["slab_thickness"], **hydraulics}}

    def identity(self) -> str:
        """Digest of all that decides the result: the identities of the runs of the stages, among other things.

        Raises
        ------
        StudyError
            If the stages were not run.
        """
        if not self.runs:
            raise StudyError([Problem(("stages",), "were not run yet; run the chain first")])
        return super().identity()

    def _inconsistencies(self) -> Iterator[Problem]:
        yield from super()._inconsistencies()
        reconstruct = self.stages.reconstruct
        if self.input is None and not self.runs and not (reconstruct and reconstruct.get("images")):
            message = "required: a micrograph with stages.reconstruct; else a volume, a reconstruct study or its run"
            yield Problem(("input",), message)
        for name in _OF_THE_MEASURED:
            if name in (self.measured or {}):
                yield Problem((MEASURED, name), "is that of the chain; leave it out here")
        for name in ("input", "reference") if self.runs else ():
            if getattr(self, name) is not None:
                yield Problem((name,), "the runs of the stages are given by runs, which do not read it; leave it out")
        yield from self._wrong_runs()

    def _wrong_runs(self) -> Iterator[Problem]:
        """What is no run of a stage: a study there could read this one."""
        names = (*STAGES, *(f"reference-{stage}" for stage in _REFERENCE_STAGES), MEASURED)
        for name, path in self.runs.items():
            if name not in names:
                yield Problem(("runs", name), f"is no stage; valid: {', '.join(names)}")
            elif path.exists() and not (path / "run.json").is_file():
                yield Problem(("runs", name), f"is no run (got {str(path)!r})")
        if self.runs and "characterize" not in self.runs:
            yield Problem(("runs", "characterize"), "required with runs: a run of a characterize study")
