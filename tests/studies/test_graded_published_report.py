"""The published study: captions and claims of the paper, with few networks."""

from __future__ import annotations

import re
import warnings

import pytest

import membrane_dask as md
from membrane_dask.studies.graded.published_report import is_published_study


@pytest.fixture(scope="module")
def study(root):
    return md.load_study(root / "configs/graded-gu-2023.yaml", realizations=4, cluster={"profile": "sync"})


def test_only_seed_and_number_of_networks_may_differ(root, study):
    assert is_published_study(study)
    assert is_published_study(study.model_copy(update={"seed": 7, "gradient": study.gradient[::-1]}))
    for change in (
        {"time_step": 5e-4}, {"deposition": (5e-7, 1e-6)}, {"gradient": study.gradient[:5]}, {"l_max": (0.2,)},
        {"radius": (0.011,)}, {"quadrature": "left"}, {"design": "optimum"},
    ):  # fmt: skip
        assert not is_published_study(study.model_copy(update=change)), change
    for name in ("graded-quickstart", "graded-optimum"):
        assert not is_published_study(md.load_study(root / f"configs/{name}.yaml")), name


@pytest.fixture(scope="module")
def page(study, without_drawings, tmp_path_factory) -> str:
    with warnings.catch_warnings(), without_drawings():
        warnings.simplefilter("error", RuntimeWarning)
        run = md.run(study, tmp_path_factory.mktemp("published") / "run")
        return md.write_report(run).read_text(encoding="utf-8")


def test_captions_have_the_numbers_of_the_paper(page):
    captions = re.findall(r"<figcaption>(Gu, Fig\. \d)\. (.*?)</figcaption>", page, re.DOTALL)
    assert [number for number, _ in captions] == [f"Gu, Fig. {i}" for i in range(3, 9)]
    for (_, caption), l_max in zip(captions[2:5], ("0.1", "0.15", "0.2"), strict=True):
        assert f"l_max = {l_max}," in caption


def test_claims_of_the_paper(page):
    outcomes = re.findall(r'class="\w+ (holds|fails|open)"', page)
    assert len(outcomes) == 18
    block = page[page.index("The foulant concentration decreases with the gradient") - 200 :][:200]
    assert "holds" in block
    numbers = " ".join(re.findall(r"<small>(.*?)</small>", page, re.DOTALL))
    assert not re.search(r"-0\.0+\b(?!\d)", numbers)
    assert "by -" not in numbers
