"""Log files of a run."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

logger = logging.getLogger("membrane_dask")
#: First names of the loggers whose records go to the run's log while a run is worked on.
_TALKATIVE = ("distributed", "tornado", "asyncio", "bokeh")


@contextlib.contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Keep what the engine and Dask say in the run's own log, and Dask's alarms off the screen.

    Dask and Tornado give several of their loggers a handler each; a cluster that is lost would print
    pages of tracebacks beside the one line that we say.
    """
    import distributed  # noqa: F401  # sets its loggers up

    handler, ours = logging.FileHandler(path, encoding="utf-8"), logging.FileHandler(path, encoding="utf-8")
    words = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    handler.setFormatter(words)
    ours.setFormatter(words)  # two, as clusters raise the level of Dask's
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _TALKATIVE]
    loggers = [logger, *(logging.getLogger(name) for name in {*names, *_TALKATIVE})]
    loggers = [one for one in loggers if one.handlers or one.name in (logger.name, *_TALKATIVE)]
    before = [(one, one.handlers[:], one.propagate, one.level) for one in loggers]
    for one in loggers:
        one.handlers[:] = [ours if one is logger else handler]
        one.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for one, handlers, propagate, level in before:
            one.handlers[:] = handlers
            one.propagate = propagate
            one.setLevel(level)
        handler.close()
        ours.close()
