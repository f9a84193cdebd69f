"""Pore networks in tables of pores and junctions, and in files of OpenPNM."""

from __future__ import annotations

import numpy as np
import pytest

from membrane_dask.io.network_tables import junction_numbers, junctions_path, read_network_csv, write_network_csv
from membrane_dask.io.openpnm_files import is_openpnm_table, read_openpnm, write_openpnm
from membrane_dask.physics.networks.band_porosity import band_radii
from membrane_dask.physics.networks.fouling import filter_life
from membrane_dask.physics.networks.pore_network import INLET, OUTLET, PoreNetwork
from membrane_dask.physics.networks.random_network import generate

#: Two junctions; the third is a dead end.
PORES = """pore,end_a,end_b,length,radius
0,0,-1,0.25,0.013
1,0,1,0.5,0.011
2,-2,1,0.3,0.009
3,1,2,0.2,0.01
"""
JUNCTIONS = "junction,z,y,x\n2,0.9,0.2,0.3\n1,0.75,0.5,0.5\n0,0.25,0.1,0.2\n"


@pytest.fixture(scope="module")
def generated() -> PoreNetwork:
    return generate(
        np.random.default_rng(1), l_min=0.06, l_max=0.2, radii=band_radii(0.01, 2e-3, 4), porosity=0.2,
        porosity_tolerance=0.02,
    )  # fmt: skip


def write(folder, pores=PORES, junctions=None, name="net.csv"):
    path = folder / name
    path.write_text(pores, encoding="utf-8")
    if junctions is not None:
        junctions_path(path).write_text(junctions, encoding="utf-8")
    return path


def life(network: PoreNetwork) -> tuple[float, ...]:
    result = filter_life(network, deposition=5e-7, time_step=2.5e-4, flux_threshold=2e-6, solver_tolerance=1e-12)
    return result.throughput, result.foulant_concentration, result.lifetime, result.porosity_usage


def test_pores_alone_give_a_network(tmp_path):
    network = read_network_csv(write(tmp_path))
    np.testing.assert_array_equal(network.throat_conns, [[0, INLET], [0, 1], [1, OUTLET], [1, 2]])
    np.testing.assert_array_equal(network.length, [0.25, 0.5, 0.3, 0.2])
    np.testing.assert_array_equal(network.radius, [0.013, 0.011, 0.009, 0.01])
    assert network.n_bands == 1
    assert np.isnan(network.band_coordination_number()).all()  # positions are unknown
    # Junction 0 is one pore from the feed and two from the filtrate.
    np.testing.assert_allclose(network.junctions[:2, 0], [1 / 3, 2 / 3])


def test_junctions_give_bands_and_do_not_change_the_life(tmp_path):
    (tmp_path / "a").mkdir()
    placed = read_network_csv(write(tmp_path / "a", junctions=JUNCTIONS))
    np.testing.assert_array_equal(placed.junctions[:, 0], [0.25, 0.75, 0.9])  # in the order of their numbers
    assert placed.n_bands == 4
    np.testing.assert_allclose(placed.band_length[1], [0, 0.25, 0.25, 0])
    assert life(placed)[:3] == pytest.approx(life(read_network_csv(write(tmp_path)))[:3], rel=1e-12)


def test_a_wrong_number_of_a_junction_is_refused(tmp_path):
    """Only where the table of junctions does not decide; numbers without gaps are dead ends."""
    wrong = PORES.replace("3,1,2", "3,1,4")
    message = r"row 5: end_b is in no other row, and junction 2 is in none: .* net_junctions.csv \(got '?4"
    with pytest.raises(ValueError, match=message):
        read_network_csv(write(tmp_path, wrong))
    path = write(tmp_path)
    np.testing.assert_array_equal(junction_numbers(path), [0, 1, 2])
    write(tmp_path, wrong, JUNCTIONS.replace("\n2,", "\n4,"))
    assert len(read_network_csv(path).junctions) == 3
    assert junction_numbers(path) is None


def test_bands_of_the_table_precede_those_of_the_positions(tmp_path):
    pores = (
        "end_a,end_b,length,radius,band,length_band_2,length_band_1\n0,-1,0.4,0.01,2,0.1,0.3\n0,-2,0.6,0.01,2,0.6,0\n"
    )
    network = read_network_csv(write(tmp_path, pores, "junction,z,y,x\n0,0.4,0,0\n"))
    np.testing.assert_array_equal(network.band_length, [[0.3, 0.1], [0, 0.6]])
    np.testing.assert_array_equal(network.band, [1, 1])


def test_names_of_both_tables():
    from pathlib import Path

    assert junctions_path(Path("a/small_pores.csv")) == Path("a/small_junctions.csv")
    assert junctions_path(Path("net.csv")) == Path("net_junctions.csv")


@pytest.mark.parametrize(
    "text",
    [
        PORES.replace(",", ";").replace(".", ","),
        PORES.replace(",", "\t").replace(".", ","),
        PORES.replace(",", ";"),
        PORES.replace(",", " , "),
        "# made by hand\n" + PORES,
        "\ufeff" + PORES.replace("\n", "\r\n") + "\r\n,,,,\r\n",
    ],
    ids=["semicolons, decimal commas", "tabulators", "semicolons", "blanks", "comment", "spreadsheet"],
)
def test_separators_and_decimal_signs(tmp_path, text):
    (tmp_path / "plain").mkdir()
    assert life(read_network_csv(write(tmp_path, text))) == life(read_network_csv(write(tmp_path / "plain")))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("end_a,end_b", "from,to", "row 1: unknown column 'from'"),
        ("length,", "Length,", "unknown column 'Length'; did you mean 'length'"),
        ("length,", "length [um],", "lengths are in thicknesses"),
        ("length,radius", "radius,radius", "two columns have the name 'radius'"),
        ("pore,end_a,end_b,length,radius", "pore,end_a,end_b,length,band", "the column radius is missing"),
        ("0,1,0.5,0.011", "0,1,0.5", "row 3: it has 4 cells, the first row 5"),
        ("0.5,0.011", "0.5,-0.011", "row 3: radius must be greater than 0 .got '-0.011'"),
        ("0.5,0.011", "0,0.011", "row 3: length must be greater than 0"),
        ("0.5,0.011", "0.5,", "row 3: radius must be a finite number"),
        ("0.5,0.011", "0.5,inf", "row 3: radius must be a finite number"),
        ("0.5,0.011", "1_0,0.011", "row 3: length must be a finite number"),
        ("0.5,0.011", "0.5 um,0.011", "row 3: length must be a finite number"),
        ("1,0,1,0.5", "1,0,1.5,0.5", "row 3: end_b must be a whole number"),
        ("1,0,1,0.5", "1,0,-3,0.5", "row 3: end_b must be a junction, -1 .feed. or -2"),
        ("1,0,1,0.5", "1,-1,-2,0.5", "row 3: end_b and end_a = -1 are both outside"),
        ("1,0,1,0.5", "1,0,0,0.5", "row 3: end_b is the same junction as end_a"),
        ("1,0,1,0.5", "0,0,1,0.5", "row 3: pore stands in row 2 already"),
        ("\n3,1,2", "\n3,1,5", "row 5: end_b is no junction of net_junctions.csv .got '5'"),
    ],
)
def test_wrong_pores_are_named_with_file_row_and_cell(tmp_path, old, new, message):
    assert old in PORES
    path = write(tmp_path, PORES.replace(old, new, 1), JUNCTIONS)
    with pytest.raises(ValueError, match=message) as error:
        read_network_csv(path)
    assert "net.csv: " in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1,0.75", "2,0.75", "row 3: junction stands in row 2 already"),
        ("1,0.75", "1,1.75", "row 3: z must lie between 0 .feed. and 1"),
        ("1,0.75", "-1,0.75", "row 3: junction must be at least 0"),
        ("0.5,0.5", "0.5,?", "row 3: x must be a finite number"),
        ("z,y,x", "x,y", "the first row 3|column z is missing"),
    ],
)
def test_wrong_junctions_are_named_with_file_row_and_cell(tmp_path, old, new, message):
    with pytest.raises(ValueError, match=message) as error:
        read_network_csv(write(tmp_path, PORES, JUNCTIONS.replace(old, new, 1)))
    assert "net_junctions.csv: " in str(error.value)


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("band", "1", "it has the column band, but not length_band_1"),
        ("length_band_1,length_band_3", "0.25,0", "the column length_band_2 is missing"),
        ("length_band_1,length_band_2", "0.2,0.1", "row 2: length differs from the sum 0.3"),
        ("length_band_1,length_band_2", "0.3,-0.05", "row 2: length_band_2 must be at least 0"),
        ("band,length_band_1", "2,0.25", "row 2: band must lie between 1 and 1"),
    ],
)
def test_wrong_bands(tmp_path, header, cells, message):
    pores = f"end_a,end_b,length,radius,{header}\n0,-1,0.25,0.013,{cells}\n"
    with pytest.raises(ValueError, match=message):
        read_network_csv(write(tmp_path, pores))


def test_decimal_points_and_commas_in_one_table_are_refused(tmp_path):
    text = PORES.replace(",", ";").replace("0.5", "0,5")
    with pytest.raises(ValueError, match="decimal points and decimal commas"):
        read_network_csv(write(tmp_path, text))
    with pytest.raises(ValueError, match="decimal commas need semicolons"):
        read_network_csv(write(tmp_path, PORES.replace("0.5", "0,5")))
    with pytest.raises(ValueError, match="no rows below"):
        read_network_csv(write(tmp_path, "end_a,end_b,length,radius\n"))
    with pytest.raises(ValueError, match="no such file"):
        read_network_csv(tmp_path / "missing.csv")


def test_tables_hold_a_generated_network_bit_for_bit(generated, tmp_path):
    files = write_network_csv(generated, tmp_path / "net.csv")
    assert [path.name for path in files] == ["net.csv", "net_junctions.csv"]
    result = read_network_csv(files[0])
    for name in ("junctions", "throat_conns", "length", "radius", "band", "band_length"):
        np.testing.assert_array_equal(getattr(result, name), getattr(generated, name))
    with pytest.raises(ValueError, match="area 1"):
        write_network_csv(PoreNetwork(*(getattr(generated, n) for n in _FIELDS), (1.0, 2.0, 1.0)), tmp_path / "b.csv")


_FIELDS = ("junctions", "throat_conns", "length", "radius", "band", "band_length")


def test_openpnm_archive_gives_the_same_life(generated, tmp_path):
    path = write_openpnm(generated, tmp_path / "net.npz")
    first = path.read_bytes()
    assert write_openpnm(generated, path).read_bytes() == first
    # To 1e-12, as the pores have another order.
    assert life(read_openpnm(path)) == pytest.approx(life(generated), rel=1e-12)
    arrays = dict(np.load(path))
    outer = generated.throat_conns[:, 1] < 0
    assert arrays["pore.boundary"].sum() == outer.sum()
    assert len(arrays["throat.conns"]) == len(generated.length)
    del arrays["extent"]
    np.savez(tmp_path / "plain.npz", **arrays)
    with pytest.raises(ValueError, match="needs an array extent of three lengths"):
        read_openpnm(tmp_path / "plain.npz")


def test_openpnm_table_of_its_own_writer(generated, tmp_path):
    """Columns of unequal length, labels as words, and the name of the project before each name."""
    arrays = generated.to_openpnm(boundary_pores=True) | {"extent": np.ones(3)}
    columns = {}
    for name, values in arrays.items():
        prefix = "" if name == "extent" else "net_01."
        for k, column in enumerate(values.T if values.ndim > 1 else [values]):
            key = f"{prefix}{name}[{k}]" if values.ndim > 1 else f"{prefix}{name}"
            columns[key] = [str(value) for value in column.tolist()]
    columns |= {f"extent[{k}]": ["1.0"] for k in range(3)}
    del columns["extent"]
    n_rows = max(map(len, columns.values()))
    rows = [[c[row] if row < len(c) else "" for c in columns.values()] for row in range(n_rows)]
    path = tmp_path / "net.csv"
    path.write_text("\n".join(",".join(row) for row in [list(columns), *rows]))
    assert is_openpnm_table(path)
    assert life(read_openpnm(path)) == pytest.approx(life(generated), rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"throat.conns": None}, "has no throat.conns"),
        ({"pore.coords": np.zeros(9)}, "pore.coords must have 3 columns"),
        ({"pore.outlets": np.zeros(5, bool)}, "pore.outlets has 5 values, pore.coords 3"),
        ({"throat.diameter": np.array(0.01)}, "throat.diameter has 1 values, throat.conns 2"),
        ({"throat.diameter": None}, "throat.diameter"),
        ({"throat.conns": np.array([[0, 9], [1, 2]])}, "indices of the 3 pores"),
        ({"pore.inlets": np.zeros(3, bool)}, "neither an inlet nor an outlet"),
        ({"throat.length": np.array([0.0, 1.0])}, "length: must be greater than 0"),
        ({"extent": np.array([1.0, 0.0, 1.0])}, "greater than 0"),
    ],
)
def test_wrong_openpnm_files(tmp_path, changes, message):
    arrays = {
        "pore.coords": np.array([[0.0, 0, 0], [0.5, 0, 0], [1.0, 0, 0]]),
        "pore.boundary": np.array([True, False, True]),
        "pore.inlets": np.array([True, False, False]),
        "pore.outlets": np.array([False, False, True]),
        "throat.conns": np.array([[0, 1], [1, 2]]),
        "throat.diameter": np.full(2, 0.02),
        "throat.length": np.full(2, 0.5),
        "extent": np.ones(3),
    }
    np.savez(tmp_path / "right.npz", **arrays)
    network = read_openpnm(tmp_path / "right.npz")
    np.testing.assert_array_equal(network.throat_conns, [[0, INLET], [0, OUTLET]])
    np.savez(tmp_path / "net.npz", **{k: v for k, v in (arrays | changes).items() if v is not None})
    with pytest.raises(ValueError, match=message):
        read_openpnm(tmp_path / "net.npz")
