"""Equations of the site as MathML, which browsers draw without scripts and without a connection."""

from __future__ import annotations

import re

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

#: LaTeX that the converter of docutils lacks.
REPLACEMENTS = {r"\dots": r"\ldots"}


def mathml(latex: str, *, as_block: bool) -> str:
    """An equation as a MathML element."""
    for command, replacement in REPLACEMENTS.items():
        latex = latex.replace(command, replacement)
    # The converter shows text as it stands, with the backslash of an escaped underscore.
    latex = re.sub(r"\\text\{[^}]*\}", lambda text: text[0].replace(r"\_", "_"), latex)
    return tex2mathml(latex, as_block=as_block)


def _inline(translator, node):
    translator.body.append(mathml(node.astext(), as_block=False))
    raise SkipNode


def _block(translator, node):
    translator.body.append(f'<div class="math">{mathml(node.astext(), as_block=True)}</div>')
    raise SkipNode


def setup(app):
    """Register the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
