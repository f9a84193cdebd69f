"""Sums over the padded rows of a sparse matrix, with the vector instructions of the processor.

They take most of the time of the pressure solver. Their arithmetic is that of four scalar sums, in an order that is
written down; the compiler keeps them in scalar registers by itself, which needs twice as many instructions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, cast

from numba.core import cgutils, types
from numba.extending import intrinsic

#: Rows are padded to a multiple of this many entries, so that sums have no remainder loops.
LANES = 4
_ir = cgutils.ir  # type: ignore[attr-defined]
_DOUBLE, _WORD = _ir.DoubleType(), _ir.IntType(64)
_VECTOR = _ir.VectorType(_DOUBLE, LANES)
#: Position in a word of the first and the second of two indices.
_SHIFTS = (0, 32) if sys.byteorder == "little" else (32, 0)


def _weighted_sum(typing_context: Any, start: Any, stop: Any, weight: Any, column: Any, x: Any) -> Any:
    """Sum ``weight * x[column]`` over a padded row, in kernels.

    The products ``k``, ``k + 4``, ``k + 8``, ... are added in this order for each ``k`` from 0 to 3, beginning with 0;
    the four sums are added as ``(s0 + s1) + (s2 + s3)``.

    Parameters
    ----------
    start, stop : uint64
        Range of the row's entries; its length is a multiple of ``LANES``.
    weight : (n_entries,) ndarray of float64
        Weights; 0 for padding.
    column : (n_entries,) ndarray of uint32
        Indices into ``x``.
    x : (n,) ndarray of float64
        Vector.

    Returns
    -------
    float64
    """
    return types.float64(start, stop, weight, column, x), _build


def _build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    """Build the code of ``weighted_sum``: a loop over groups of four entries."""
    start, stop, *arrays = arguments
    weight, column, x = (
        context.make_array(array_type)(context, builder, array).data
        for array_type, array in zip(signature.args[2:], arrays, strict=True)
    )
    before = builder.block
    loop, after = builder.append_basic_block("entries"), builder.append_basic_block("sum")
    zeros = _ir.Constant(_VECTOR, [0.0] * LANES)
    builder.cbranch(builder.icmp_unsigned("<", start, stop), loop, after)

    builder.position_at_end(loop)
    entry, sums = builder.phi(_WORD), builder.phi(_VECTOR)
    weights = builder.load(builder.bitcast(builder.gep(weight, [entry]), _VECTOR.as_pointer()))
    weights.align = 8
    values = _ir.Constant(_VECTOR, _ir.Undefined)
    pairs = builder.bitcast(builder.gep(column, [entry]), _WORD.as_pointer())
    for lane in range(LANES):
        pair = builder.load(builder.gep(pairs, [_WORD(lane // 2)]))  # one load for two indices
        pair.align = 4
        index = builder.and_(builder.lshr(pair, _WORD(_SHIFTS[lane % 2])), _WORD(0xFFFFFFFF))
        value = builder.load(builder.gep(x, [index]))
        values = builder.insert_element(values, value, _ir.IntType(32)(lane))
    next_sums = builder.fadd(sums, builder.fmul(weights, values))
    next_entry = builder.add(entry, _WORD(LANES))
    entry.add_incoming(start, before)
    entry.add_incoming(next_entry, loop)
    sums.add_incoming(zeros, before)
    sums.add_incoming(next_sums, loop)
    builder.cbranch(builder.icmp_unsigned("<", next_entry, stop), loop, after)

    builder.position_at_end(after)
    total = builder.phi(_VECTOR)
    total.add_incoming(zeros, before)
    total.add_incoming(next_sums, loop)
    int32 = _ir.IntType(32)
    neighbours = builder.shuffle_vector(total, total, _ir.Constant(_ir.VectorType(int32, LANES), [1, 0, 3, 2]))
    pair_sums = builder.fadd(total, neighbours)
    return builder.fadd(builder.extract_element(pair_sums, int32(0)), builder.extract_element(pair_sums, int32(2)))


weighted_sum = cast("Callable[..., float]", intrinsic(_weighted_sum))
