"""The examples on the pages of the porometry methods run, and give what the pages are about."""

from __future__ import annotations

import math
import re

import pytest

#: An expression that the example of a page has computed, and the values between which it lies.
EXAMPLES = {
    "porometry-rejection": ("1e9 * fit.hydraulic_radius.value", 3.8, 4.1),
    "porometry-flux-decline": ("decline.fit('cake').constants['cake'].value", 3.95e7, 4.05e7),
    "porometry-gas-permeation": ("1e9 * fit.gas_radius.value", 23, 33),
    "porometry-intrusion": ("1e6 * intrusion.median_radius.value", 0.39, 0.41),
}


@pytest.mark.parametrize("page", EXAMPLES)
def test_examples_run(root, page):
    text = (root / "docs" / f"{page}.md").read_text("utf-8")
    names: dict[str, object] = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(code, page, "exec"), names)
    expression, low, high = EXAMPLES[page]
    value = eval(expression, names)
    assert math.isfinite(value)
    assert low < value < high
