"""Tutorials and gallery of the site, made of the notebooks that are committed with their outputs."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import nbformat

#: Notebooks in the order of the tutorials.
NOTEBOOKS = ("quickstart", "graded", "reconstruct", "characterize", "porometry", "chain")

GALLERY_HEAD = """# Gallery

Each figure leads to the section with the code that draws it."""

PAPER_FIGURES = """## The study of Chamani et al. (2023)

::::{grid} 1 1 2 2
:gutter: 3

:::{grid-item-card} Micrograph, sections and pore networks
:img-top: ../../notebooks/chamani-2023-structures.png
:img-alt: Micrograph, sections and pore networks of the true structure and of reconstructions
:link: ../chamani-2023.html#figures
:::

:::{grid-item-card} Distributions of radii and coordination numbers
:img-top: ../../notebooks/chamani-2023-distributions.png
:img-alt: Distributions of pore radius, throat radius and coordination number
:link: ../chamani-2023.html#figures
:::

::::"""


def write(docs: Path) -> None:
    """Copy the notebooks to ``docs/generated/tutorials`` and write the gallery of their figures."""
    folder = docs / "generated/tutorials"
    folder.mkdir(parents=True, exist_ok=True)
    gallery = []
    for name in NOTEBOOKS:
        notebook = nbformat.read(docs.parent / f"notebooks/{name}.ipynb", 4)
        nbformat.write(notebook, folder / f"{name}.ipynb")
        gallery.append(figures_section(notebook, name, docs / "generated/figures"))
    gallery.append(PAPER_FIGURES)
    (docs / "generated/gallery.md").write_text("\n\n".join([GALLERY_HEAD, *gallery]) + "\n", encoding="utf-8")


def figures_section(notebook: nbformat.NotebookNode, name: str, folder: Path) -> str:
    """The figures of a notebook as cards that link to the section in which they stand."""
    folder.mkdir(parents=True, exist_ok=True)
    title = heading = caption = ""
    cards = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for level, text in re.findall(r"^(#+) (.*)$", cell.source, re.MULTILINE):
                title = title or text
                heading = text if level != "#" else heading
            caption = re.sub(r"^\d+\. ", "", heading or title)
            continue
        for output in cell.outputs:
            if "image/png" not in output.get("data", {}):
                continue
            figure = folder / f"{name}-{len(cards)}.png"
            figure.write_bytes(base64.b64decode(output.data["image/png"]))
            cards.append(
                f":::{{grid-item-card}} {caption}\n"
                f":img-top: figures/{figure.name}\n"
                f":img-alt: {caption}\n"
                f":link: tutorials/{name}.html#{anchor(heading)}\n:::"
            )
    grid = "\n\n".join(cards)
    return f"## {title}\n\n::::{{grid}} 1 1 2 2\n:gutter: 3\n\n{grid}\n\n::::"


def anchor(heading: str) -> str:
    """Identifier that docutils gives a heading."""
    from docutils.nodes import make_id

    return make_id(heading)
