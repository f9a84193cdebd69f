"""Progress of an export: the name of each stage, and how much of it is done where that is known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from membrane_dask.engine.events import Listener, Stage

#: Seconds between two events of one stage: a tenth of its time, within these limits.
_SHORTEST, _LONGEST = 2.0, 30.0


class Stages:
    """Stages of an export, as events.

    Parameters
    ----------
    listener : callable
        Receives a :class:`~membrane_dask.engine.events.Stage` when a stage begins, and with its percentage while it
        lasts.
    clock : callable
        Seconds of a steady clock.
    """

    def __init__(self, listener: Listener, clock: Callable[[], float] = time.monotonic) -> None:
        self._listener, self._clock = listener, clock
        self._text, self._total, self._done = "", 0.0, 0.0
        self._start = self._last = clock()

    def begin(self, text: str, total: float = 0.0) -> None:
        """Begin a stage of ``total`` files, bytes or others, 0 if their number is not known."""
        self._text, self._total, self._done = text, total, 0.0
        self._start = self._last = self._clock()
        self._listener(Stage(text))

    def advance(self, amount: float = 1.0) -> None:
        """Count the next files or bytes of the stage."""
        self._done += amount
        if self._total > 0:
            self.at(self._done / self._total)

    def at(self, fraction: float) -> None:
        """Report the fraction of the stage that is done, unless that was done shortly before."""
        now = self._clock()
        if now - self._last >= min(max((now - self._start) / 10, _SHORTEST), _LONGEST):
            self._last = now
            self._listener(Stage(f"{math.floor(100 * min(fraction, 1.0))} %: {self._text}"))
