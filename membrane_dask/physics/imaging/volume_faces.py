"""Faces of a volume through which its pores are entered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Faces = Literal["inlet", "outlet", "both", "all"]
#: Numbers of the faces: of the depth the first and the last one, then those of the other axes.
FACES: Mapping[str, tuple[int, ...]] = {
    "inlet": (0,), "outlet": (1,), "both": (0, 1), "all": (0, 1, 2, 3, 4, 5),
}  # fmt: skip
