"""The code on the pages of the porometry methods runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs").glob("porometry-*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_code_of_a_method_page_runs(page):
    """All blocks of a page, one after the other, in one namespace."""
    blocks = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.S)
    assert blocks
    exec(compile("\n".join(blocks), page.name, "exec"), {})
