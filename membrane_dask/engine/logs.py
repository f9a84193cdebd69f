"""Log file of a run."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

logger = logging.getLogger("membrane_dask")
#: Packages whose log records go to the log file of the run instead of the screen.
_LIBRARIES = ("distributed", "tornado", "asyncio", "bokeh")


class _LogFile(logging.FileHandler):
    """A log file; if it cannot be written, one line on stderr says so, instead of a traceback for each record."""

    _reported: ClassVar[set[str]] = set()

    def handleError(self, record: logging.LogRecord) -> None:  # a name of the logging module
        """Report the first error."""
        if self.baseFilename not in self._reported:
            self._reported.add(self.baseFilename)
            with contextlib.suppress(OSError):
                print(f"the log {self.baseFilename} is incomplete: {sys.exc_info()[1]}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the file, whether or not its last records can be written."""
        with contextlib.suppress(OSError):
            super().close()


@contextlib.contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Write the log records of this package and of Dask to a file, and none of them to the screen.

    Dask and Tornado attach handlers to several of their loggers; without this, a lost cluster would print pages
    of tracebacks around the one line of our own error.

    Parameters
    ----------
    path : Path
        Log file, to which records are appended.
    """
    import distributed  # noqa: F401  # configures its loggers

    # Two handlers, as Dask's clusters change the level of the handlers of its loggers.
    own_handler, library_handler = (_LogFile(path, encoding="utf-8") for _ in range(2))
    formatter = logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    own_handler.setFormatter(formatter)
    library_handler.setFormatter(formatter)
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] in _LIBRARIES]
    loggers = [logger, *(logging.getLogger(name) for name in {*names, *_LIBRARIES})]
    loggers = [item for item in loggers if item.handlers or item.name in (logger.name, *_LIBRARIES)]
    states = [(item, item.handlers[:], item.propagate, item.level) for item in loggers]
    for item in loggers:
        item.handlers[:] = [own_handler if item is logger else library_handler]
        item.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for item, handlers, propagate, level in states:
            item.handlers[:] = handlers
            item.propagate = propagate
            item.setLevel(level)
        own_handler.close()
        library_handler.close()
