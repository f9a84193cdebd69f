"""Settings common to all study kinds: name, seed, cluster and execution."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    Strict,
    ValidationInfo,
    WithJsonSchema,
)

from membrane_dask.digests import content_digest
from membrane_dask.errors import Problem, StudyError, Where, closest, reason, short
from membrane_dask.files import require_regular
from membrane_dask.notebook_html import links, table
from membrane_dask.quantities import (
    Bytes,
    Duration,
    Number,
    Whole,
    as_tuple,
)
from membrane_dask.setting_model import Model as Model  # study kinds import it from here


def _is_path(value: object) -> bool:
    return isinstance(value, (str, Path)) and bool(str(value).strip()) and "\0" not in str(value)


def _locate(path: str | Path, base: Path) -> Path:
    """Absolute path of what a study names, relative to its own folder.

    Raises
    ------
    ValueError
        If there is no such user, or symbolic links lead in a circle.
    """
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise ValueError(f"there is no user of this name (got {short(str(path))})") from error
    try:
        return (base / expanded).resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"cannot be found: {reason(error)} (got {short(str(path))})") from error


def _file(value: object, info: ValidationInfo) -> Path:
    """Path of an existing file, relative to the study that names it."""
    if not _is_path(value):
        raise ValueError(f"the path of a file is needed (got {short(value)})")
    assert isinstance(value, (str, Path))
    path = _locate(value, Path((info.context or {}).get("base", ".")))
    try:
        require_regular(path)
    except (FileNotFoundError, NotADirectoryError):
        raise ValueError(f"no such file{_hint(path)} (got {short(str(value))})") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {reason(error)} (got {short(str(value))})") from error
    return path


def _hint(path: Path) -> str:
    """The name of a file in the same folder that resembles ``path``, or where it was looked for."""
    try:
        siblings = sorted(os.listdir(path.parent))
    except OSError:
        siblings = []
    return closest(path.name, siblings) or f"; looked in {path.parent}"


def _volume(value: object, info: ValidationInfo) -> Path:
    """Path of a volume, of a run or of a study that makes one, relative to the study that names it, or to here."""
    if not _is_path(value):
        raise ValueError(f"the path of a volume, a run or a study is needed (got {short(value)})")
    assert isinstance(value, (str, Path))
    for base in (Path((info.context or {}).get("base", ".")), Path()):
        path = _locate(value, base)
        try:
            if path.is_dir() or path.is_file():
                return path
        except OSError:  # says _file
            break
    return _file(value, info)  # says what is there instead


def _network(value: object, info: ValidationInfo) -> Path:
    """Path of a file of a network, of a run or of a study; of a Statoil prefix, that of its file ``_link1.dat``."""
    if not _is_path(value):
        raise ValueError(f"the path of a network, a run or a study is needed (got {short(value)})")
    assert isinstance(value, (str, Path))
    for base in (Path((info.context or {}).get("base", ".")), Path()):
        statoil = _locate(f"{value}_link1.dat", base)
        try:
            if statoil.is_file() and not _locate(value, base).exists():
                return statoil
        except OSError:  # says _volume
            break
    return _volume(value, info)


def _table(value: object, info: ValidationInfo) -> Path:
    """Path of a table or a study, relative to the study that names it, or of a run, relative to that or to here."""
    if _is_path(value):
        assert isinstance(value, (str, Path))
        for base in (Path((info.context or {}).get("base", ".")), Path()):
            path = _locate(value, base)
            with contextlib.suppress(OSError):  # says _file
                if (path / "run.json").is_file():
                    return path
    return _file(value, info)


InputFile = Annotated[Path, BeforeValidator(_file), WithJsonSchema({"type": "string"})]
InputVolume = Annotated[Path, BeforeValidator(_volume), WithJsonSchema({"type": "string"})]
InputNetwork = Annotated[Path, BeforeValidator(_network), WithJsonSchema({"type": "string"})]
InputTable = Annotated[Path, BeforeValidator(_table), WithJsonSchema({"type": "string"})]


def parameter(
    default: Any,
    description: str,
    *,
    unit: str = "1",
    source: str = "",
    example: str = "",
    formerly: str = "",
    former_values: Mapping[str, str] | None = None,
    **bounds: Any,
) -> Any:
    """Setting of a study, documented for the commented study that ``membrane-dask new`` prints.

    Parameters
    ----------
    default
        Value where the study says nothing.
    description : str
        Meaning, in words of the field.
    unit : str
        ``"1"`` is dimensionless; empty for text and switches.
    source : str
        Paper and equation.
    example : str
        Value that is shown where a required one is missing.
    formerly : str
        Key of earlier versions, which is accepted with a warning.
    former_values : mapping of str to str
        Values of earlier versions and their present names, likewise.
    **bounds
        Of ``pydantic.Field``: ``gt``, ``ge``, ``lt``, ``le``, ...
    """
    extra: dict[str, Any] = {"unit": unit}
    if source:
        extra["source"] = source
    if example:
        extra["example"] = example
    if formerly:
        extra["formerly"] = formerly
    if former_values:
        extra["former_values"] = dict(former_values)
    return Field(default, description=description, json_schema_extra=extra, **bounds)


def without_numpy(value: Any) -> Any:
    """A value with the numbers and lists of Python in place of the scalars and arrays of NumPy."""
    if isinstance(value, Mapping):
        return {key: without_numpy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_numpy(item) for item in value) if type(value) in (list, tuple) else value
    return value.tolist() if hasattr(value, "tolist") and hasattr(value, "dtype") else value


def _ordered(name: str, bounds: tuple[float, float]) -> Iterator[Problem]:
    if not bounds[0] < bounds[1]:
        yield Problem((name,), f"must be [low, high] with low < high (got {list(bounds)})")


def _one_line(value: str) -> str:
    if "\n" in value or "\r" in value or "\0" in value:
        raise ValueError(f"must be one line (got {value!r})")
    return value


def _one_word(value: str) -> str:
    """Text that a shell takes as one word, environment variables included: it is written into job scripts."""
    if not re.fullmatch(r"[\w./${}@%+=:,~-]+", value):
        raise ValueError(f"letters, digits, variables such as $TMPDIR, and ./@%+=:,~_- only (got {value!r})")
    return value


def _no_option(value: str) -> str:
    """Text that is no further option where a job script names it."""
    if re.search(r"^-|\s-|[\"'`;]", value):
        raise ValueError(f"must not contain quotes, semicolons or a further option (got {value!r})")
    return value


Line = Annotated[str, Strict(), AfterValidator(_one_line)]
Word = Annotated[Line, AfterValidator(_one_word)]
NoOption = Annotated[Line, AfterValidator(_no_option)]
Lines = Annotated[tuple[Line, ...], BeforeValidator(as_tuple)]


def _port_range(value: object) -> tuple[int, int]:
    """First and last port of ``8786``, ``9000-9100`` or ``9000:9100``."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        value = f"{value[0]}-{value[1]}"
    match = re.fullmatch(
        r"\s*([0-9]{1,5})(?:\s*[-:]\s*([0-9]{1,5}))?\s*", "" if isinstance(value, bool) else str(value)
    )
    ports = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 1 <= ports[0] <= ports[1] <= 65535:
        raise ValueError(f"a port or a range within 1-65535 is needed, for example '9000-9100' (got {value!r})")
    return ports


Ports = Annotated[
    tuple[int, int],
    BeforeValidator(_port_range),
    PlainSerializer(lambda ports: "-".join(map(str, dict.fromkeys(ports))), return_type=str),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["9000-9100"]}),
]


class ClusterOptions(Model):
    """Options of a cluster, in the profile of a site or a person, or in a study.

    None leaves an option to the layer below. No option changes a result.
    """

    workers: Whole | None = parameter(
        None, "worker processes of this machine (default one a core), or of each job", ge=1, le=100_000
    )
    threads: Whole | None = parameter(None, "cores of one worker; units are sized for one", ge=1, le=1024)
    memory: Bytes | None = parameter(
        None, "memory of one worker; default an equal fraction of this machine's, or the profile's", unit="GB, MiB, ..."
    )
    jobs: Whole | None = parameter(None, "worker jobs at most, on a batch system", ge=1, le=100_000)
    walltime: Duration | None = parameter(None, "time limit of each job", unit="h, min or hh:mm:ss")
    queue: NoOption | None = parameter(None, "queue or partition", unit="")
    account: NoOption | None = parameter(None, "account or project that is charged", unit="")
    directives: Lines | None = parameter(
        None, "further options for the batch system, as its own scripts write them", unit=""
    )
    prologue: Lines | None = parameter(None, "shell lines before a job's command, such as module load", unit="")
    python: Line | None = parameter(
        None, "Python on the nodes, a path or a command; default the one that submits", unit=""
    )
    memory_request: Literal["per_node", "per_cpu", "none"] | None = parameter(
        None, "how a job requests its memory; default as the batch system usually does", unit=""
    )
    interface: Word | None = parameter(None, "network interface that nodes reach the driver by, such as ib0", unit="")
    worker_interface: Word | None = parameter(
        None, "network interface of the workers on their nodes; default that of the driver", unit=""
    )
    driver_ports: Ports | None = parameter(
        None, "port of the driver, or a range of which it takes the first free one; default any", unit=""
    )
    worker_ports: Ports | None = parameter(
        None, "range of ports on the nodes, two for each worker; default any", unit=""
    )
    scratch: Word | None = parameter(None, "local directory of workers on their nodes", unit="")
    worker_timeout: Duration | None = parameter(
        None, "stop the run after so long without any worker", unit="h, min or hh:mm:ss", formerly="patience"
    )
    single_allocation: bool | None = parameter(
        None, "one job holds driver and workers, for nodes that may not submit jobs", unit=""
    )
    tls: bool | None = parameter(None, "encrypt, and let in only those who hold the run's own certificate", unit="")
    version_mismatch: Literal["refuse", "record"] | None = parameter(
        None,
        "workers whose Python, NumPy, SciPy, Numba or other computing library has another version than the driver's: "
        "refuse (default) them, or record what each has computed",
        unit="",
    )


class ClusterSettings(ClusterOptions):
    """Where the units run. Nothing here changes a result."""

    profile: Annotated[str, Strict()] = parameter(
        "local",
        "local (worker processes on this machine), sync (in this process, for debugging), a profile of "
        "`membrane-dask clusters`, or the address of a running Dask scheduler such as tls://host:8786",
        unit="",
    )


class ExecutionSettings(Model):
    """How units are sent out and what happens when one fails. Nothing here changes a result."""

    batch: Whole | None = parameter(
        None, "units in one task and one chunk of the result; default about 10 s of work", ge=1, le=100_000
    )
    retries: Whole = parameter(1, "further attempts before a failing unit is quarantined", ge=0, le=100)
    timeout: Duration | None = parameter(
        None, "a unit that takes longer has failed; default no limit", unit="h, min or hh:mm:ss"
    )
    sync: bool = parameter(
        True,
        "wait until values are on disk before they are recorded as finished, so that a power cut loses none; false on "
        "file systems in memory",
        unit="",
    )
    failure_limit: Number = parameter(
        0.5, "stop when more than this fraction of the finished units has failed (judged from 20 on)", gt=0, le=1
    )


@dataclass(frozen=True)
class OwnStudy:
    """A study that another one defines, and whose run it reads.

    Parameters
    ----------
    settings : mapping
        As in a study file, ``kind`` included.
    folder : Path
        Folder that their paths are relative to.
    reads : mapping of str to str
        Settings that are the run of an earlier study of the same reader, by its name.
    where : tuple of str
        Section of the reader that holds the settings.
    elsewhere : mapping of str to tuple of str
        Position of those settings in the reader that are not in this section.
    """

    settings: Mapping[str, Any]
    folder: Path
    reads: Mapping[str, str] = field(default_factory=dict)
    where: Where = ()
    elsewhere: Mapping[str, Where] = field(default_factory=dict)

    def position(self, where: Where) -> Where:
        """Position in the reader of what is at ``where`` of this study."""
        if where and where[0] in self.elsewhere:
            return (*self.elsewhere[str(where[0])], *where[1:])
        return (*self.where, *where)


def _setting_rows(study: Model) -> list[tuple[str, str]]:
    """Names and values of the settings that are not defaults, those of sections with dotted names."""

    def rows(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
        for name, value in section.items():
            if isinstance(value, dict):
                yield from rows(value, f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", short(value) if isinstance(value, list) else str(value)

    changed = study.model_dump(mode="json", exclude_defaults=True, exclude={"kind", "name", "seed"})
    return list(rows(changed))


#: What a study reads of a run; ``tables`` is what runs of all kinds have.
SourceContent = Literal["volume", "network", "bench", "tables"]


class BaseStudy(Model):
    """Settings common to all study kinds; a kind adds ``kind: Literal["its name"]`` and its own."""

    kind: str
    name: Annotated[str, Strict()] = parameter(
        "", "names the run directory; default the file's name", unit="", max_length=80
    )
    seed: Whole = parameter(2023, "seed of the whole study", ge=0, lt=2**63)
    cluster: ClusterSettings = parameter(ClusterSettings(), "where the units run", unit="")
    execution: ExecutionSettings = parameter(ExecutionSettings(), "how units are sent out", unit="")

    #: Raised by a kind when a change of the code changes numbers of its results.
    results_version: ClassVar[int] = 1
    #: Dotted keys of the settings that a new study shows; empty for all. A section stands for all that it has.
    essential: ClassVar[tuple[str, ...]] = ()
    #: What the study reads of the runs among its :meth:`sources`.
    source_content: ClassVar[SourceContent] = "volume"
    #: Kinds of studies, of which a study or a run among its :meth:`sources` stands for what it reads itself.
    reads_through: ClassVar[frozenset[str]] = frozenset()
    # How a run is carried out; excluded from its identity, as none of it changes a result.
    _circumstances: ClassVar[frozenset[str]] = frozenset({"name", "cluster", "execution"})

    def _repr_html_(self) -> str:
        rows = [("name", self.name or "-"), ("seed", str(self.seed)), *_setting_rows(self)]
        files = [(f"{field}: {path.name}", path) for field, path in {**self.inputs(), **self.sources()}.items()]
        return table(f"Study of the kind {self.kind}", rows, links(files))

    def inputs(self) -> dict[str, Path]:
        """Files that the study reads, by field; a run keeps copies of them."""
        return {}

    def with_inputs(self, paths: Mapping[str, Path]) -> BaseStudy:
        """The study with other paths of its files, by field as in :meth:`inputs`."""
        return self.model_copy(update=dict(paths))

    def sources(self) -> dict[str, Path]:
        """Volumes, runs and studies that the study reads where they lie, by field: too large to be copied."""
        return {}

    def content_of_source(self, name: str) -> SourceContent:
        """What the study reads of one of its :meth:`sources`; by default :attr:`source_content`."""
        return self.source_content

    def own_studies(self) -> dict[str, OwnStudy]:
        """Studies that this one defines, by source; each may read those before it. Their files are further sources."""
        return {}

    def source_position(self, name: str) -> Where:
        """Position of one of the :meth:`sources` in the study file."""
        return (name,)

    def with_sources(self, runs: Mapping[str, Path]) -> BaseStudy:
        """The study with finished runs in place of the studies among its sources, by field."""
        return self.model_copy(update=dict(runs))

    def through(self, name: str, other: BaseStudy) -> BaseStudy:
        """The study with what ``other`` reads in place of the source ``name``, by the settings of ``other``.

        Raises
        ------
        StudyError
            If a setting of this study differs.
        """
        raise NotImplementedError

    def identity(self) -> str:
        """Digest of all that decides the result: same digest, same bits.

        Input files enter by their content, wherever they are; the code enters by ``results_version``, so that a new
        version of the package resumes earlier runs unless it changes their numbers.
        """
        content = {"results_version": self.results_version, "study": self.decisive_settings()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def decisive_settings(self) -> dict[str, Any]:
        """All settings that decide the result, as plain JSON values; files and sources are digests of their content."""
        digests = {name: Path(self._digest(name, path)) for name, path in self.inputs().items()}
        settings = self.with_inputs(digests).model_dump(mode="json", exclude=set(self._circumstances))
        for name, path in self.sources().items():
            if name not in self._circumstances:
                settings[name] = self._digest(name, path)
        return settings

    @staticmethod
    def _digest(field: str, path: Path) -> str:
        """Digest of what a field names."""
        try:
            return content_digest(path)
        except (OSError, ValueError) as error:
            raise StudyError([Problem((field,), f"cannot be read: {reason(error)} (got {str(path)!r})")]) from error

    def _inconsistencies(self) -> Iterator[Problem]:
        if self.name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", self.name):
            yield Problem(
                ("name",),
                f"letters, digits, '.', '_' and '-' only, a letter or digit first (got {self.name!r})",
            )
