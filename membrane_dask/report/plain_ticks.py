"""Labels of ticks as plain text, which is drawn faster than a formula."""

from __future__ import annotations

from matplotlib.figure import Figure
from matplotlib.ticker import ScalarFormatter

_FORMULA = (r"$\mathdefault{", "}$")


class PlainFormatter(ScalarFormatter):
    """Numbers as text; a power of ten that all of them have in common is a formula at the end of the axis."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """The label of a position."""
        return super().__call__(x, pos).removeprefix(_FORMULA[0]).removesuffix(_FORMULA[1])


def label_plainly(figure: Figure) -> None:
    """Label linear axes by numbers as text instead of formulas."""
    for axes in figure.axes:
        for line in (axes.xaxis, axes.yaxis):
            if type(line.get_major_formatter()) is ScalarFormatter:
                line.set_major_formatter(PlainFormatter(useMathText=True))
