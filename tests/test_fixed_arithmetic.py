"""Numbers of results come from arithmetic that is the same on every machine.

The C library, NumPy and BLAS choose their code by the processor. `membrane_dask.physics.elementary`, `distributions`
and `fixed_order` replace what differs.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "membrane_dask"
#: Functions of NumPy that call the C library, BLAS or LAPACK, or have code of their own for some processors.
NUMPY = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    "arctan2", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "power", "float_power", "cbrt", "hypot",
    "geomspace", "logspace", "dot", "vdot", "inner", "matmul", "einsum", "tensordot", "cov", "corrcoef", "roots",
    "polyfit", "convolve", "correlate", "linalg", "polynomial", "fft",
}  # fmt: skip
#: Functions of the C library.
MATH = {
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos", "atan", "atan2",
    "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "pow", "cbrt", "hypot", "dist", "erf", "erfc", "gamma", "lgamma",
}  # fmt: skip
#: Modules of SciPy that call them; `scipy.stats.qmc` and `scipy.sparse` itself do not.
SCIPY = ("scipy.linalg", "scipy.special", "scipy.stats", "scipy.sparse.linalg", "scipy.fft", "scipy.integrate", "skopt")
GENERATOR = {"standard_normal", "normal", "lognormal", "multivariate_normal", "exponential", "gamma", "poisson", "beta"}
#: What is exempt: whole numbers, constants, estimates of memory and time, and what only names a constant.
ALLOWED = {
    "physics/reconstruction/gaussian_process.py": {"math.log"},  # constants of a search
    "physics/sparse_factors.py": {"scipy.sparse.linalg"},  # order of elimination, from positions alone
    "physics/distributions.py": {"rng.standard_normal"},
    "io/ome_zarr.py": {"math.log2", "2 ** level"},  # number of resolution levels
}
WHOLE = {"refinement ** 3", "settings.refinement ** 3", "self.settings.refinement ** 3", "cell ** 3"}


def modules() -> list[Path]:
    """Modules that compute results; those of reports show them, and reference problems serve tests."""
    paths = [path for layer in ("physics", "studies", "io") for path in sorted((PACKAGE / layer).rglob("*.py"))]
    return [path for path in paths if not path.name.endswith("report.py") and path.name != "analytic_problems.py"]


def differing(tree: ast.AST) -> list[tuple[int, str]]:
    """Lines and names of functions and operators whose last bits depend on the machine."""
    names = []
    for node in ast.walk(tree):
        name = ""
        if isinstance(node, ast.Attribute):
            owner = ast.unparse(node.value)
            if node.attr in {"np": NUMPY, "math": MATH, "rng": GENERATOR}.get(owner, {"dot"}):
                name = f"{owner}.{node.attr}"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            name = "@"
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            base, exponent = (n.value if isinstance(n, ast.Constant) else None for n in (node.left, node.right))
            is_whole = isinstance(base, int) and isinstance(exponent, int)
            if base != 2 and not is_whole and ast.unparse(node) not in WHOLE:
                name = ast.unparse(node)
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported = {f"{node.module}.{alias.name}" for alias in node.names}
            if node.module.startswith(SCIPY) and imported != {"scipy.stats.qmc"}:
                name = node.module
        if name:
            names.append((node.lineno, name))
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_results_do_not_use_functions_that_differ_between_machines(path):
    allowed = ALLOWED.get(path.relative_to(PACKAGE).as_posix(), set())
    names = differing(ast.parse(path.read_text("utf-8")))
    lines = [f"line {line}: {name}" for line, name in names if name not in allowed]
    assert not lines, f"use membrane_dask.physics.elementary, distributions or fixed_order in place of {lines}"


@pytest.mark.parametrize(
    "code", ["np.exp(x)", "math.log(x)", "a @ b", "a.dot(b)", "x ** 2", "x ** 0.5", "from scipy.special import ndtr"]
)
def test_each_kind_is_recognised(code):
    assert differing(ast.parse(code))
