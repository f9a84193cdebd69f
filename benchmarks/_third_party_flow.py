"""Permeability by third-party codes: lbmpy, XLB, poromics (taichi), PoreSpy with OpenPNM."""

from __future__ import annotations

import numpy as np
from _lattice_boltzmann import MAGIC, Clock, Row, march, rates


def lbmpy(pores: np.ndarray, seconds: float, viscosity: float) -> list[Row]:
    """Permeability by lbmpy."""
    from lbmpy import ForceModel, LBMConfig, LBStencil, Method, Stencil
    from lbmpy.boundaries import NoSlip
    from lbmpy.lbstep import LatticeBoltzmannStep
    from pystencils import CreateKernelConfig, Target, create_data_handling

    force = 1e-5
    method = LBMConfig(
        stencil=LBStencil(Stencil.D3Q19), method=Method.TRT, relaxation_rates=rates(viscosity), compressible=False,
        force=(force, 0, 0), force_model=ForceModel.GUO,
    )  # fmt: skip
    data = create_data_handling(pores.shape, periodicity=True, default_ghost_layers=1, default_target=Target.CPU)
    solver = LatticeBoltzmannStep(
        data_handling=data, lbm_config=method, config=CreateKernelConfig(default_dtype="float32", target=Target.CPU)
    )

    def solid(*centres: np.ndarray) -> np.ndarray:
        index = (np.floor(c).astype(int) % size for c, size in zip(centres, pores.shape, strict=True))
        return ~pores[tuple(index)]

    solver.boundary_handling.set_boundary(NoSlip(), mask_callback=solid)
    solver.run(2)

    def advance(steps: int) -> float:
        solver.run(steps)
        velocity = data.gather_array(solver.velocity_data_name)[..., 0]
        # The package adds the force of one and a half steps to the velocity; half a step is correct.
        return float(viscosity * (velocity[pores].sum(dtype=float) / force - pores.sum()) / pores.size)

    return march(advance, seconds)


def xlb(pores: np.ndarray, seconds: float, backend: str) -> list[Row]:
    """Permeability by XLB.

    Its masks of the solid do not continue across periodic boundaries; this function replaces them.
    """
    import jax.numpy as jnp
    import warp
    import xlb.velocity_set
    from xlb.compute_backend import ComputeBackend
    from xlb.operator.boundary_condition import HalfwayBounceBackBC
    from xlb.operator.stepper import IncompressibleNavierStokesStepper
    from xlb.precision_policy import PrecisionPolicy

    warp.config.quiet = True
    force, viscosity = 1e-4, MAGIC**0.5 / 3
    engine, precision = ComputeBackend[backend], PrecisionPolicy.FP32FP32
    array = np.asarray if backend == "WARP" else jnp.asarray
    lattice = xlb.velocity_set.D3Q19(precision_policy=precision, compute_backend=engine)
    xlb.init(velocity_set=lattice, default_backend=engine, default_precision_policy=precision)
    directions = np.asarray(lattice._c)
    walls = HalfwayBounceBackBC(indices=[[0], [0], [0]])
    step = IncompressibleNavierStokesStepper(
        grid=xlb.grid.grid_factory(pores.shape, compute_backend=engine), boundary_conditions=[walls],
        collision_type="BGK", force_vector=array(np.float32([force, 0, 0])),
    )  # fmt: skip
    state = list(step.prepare_fields()[:2])
    missing = np.stack([np.roll(~pores, tuple(map(int, c)), (0, 1, 2)) & pores for c in directions.T])
    kind = np.where(missing.any(0), walls.id, 0).astype(np.uint8)[None]
    if backend == "WARP":
        kind[0][~pores] = 255
        masks = warp.array(kind, dtype=warp.uint8), warp.array(missing, dtype=warp.bool)
    else:
        masks = jnp.asarray(kind), jnp.asarray(missing)
    del missing, kind
    rate = (float if backend == "WARP" else np.float32)(1 / (3 * viscosity + 0.5))

    def advance(steps: int) -> float:
        for i in range(steps):
            state[:] = step(*state, *masks, rate, i)[::-1]
        f = state[0].numpy() if backend == "WARP" else np.asarray(state[0])
        flux = sum(c * f[q][pores].sum(dtype=float) for q, c in enumerate(directions[0]) if c)
        return float(viscosity * (flux / force - pores.sum() / 2) / pores.size)

    advance(2)
    return march(advance, seconds)


def taichi(pores: np.ndarray, seconds: float) -> list[Row]:
    """Permeability by poromics, with pressures at both ends of the image."""
    from poromics.simulation import TransientFlow

    size = 1e-6  # voxel size in metres; with it the package's numbers are those of the lattice
    drop = 0.01 / 3
    solver = TransientFlow(pores, axis=0, nu=1e-6, voxel_size=size)
    viscosity = 1e-6 * solver.dt / size**2
    solver.step()

    def advance(steps: int) -> float:
        for _ in range(steps):
            solver.step()
        mean = solver.velocity[..., 0].mean(dtype=float) * solver.dt / size
        return float(viscosity * mean * len(pores) / drop)

    return march(advance, seconds)


def network(pores: np.ndarray, conduits: str) -> list[Row]:
    """Permeability by PoreSpy's network and OpenPNM's flow."""
    import openpnm
    import porespy

    porespy.settings.tqdm = {"disable": True}
    openpnm.Workspace().settings["loglevel"] = 50
    clock = Clock()
    extraction = porespy.networks.snow2(pores, boundary_width=[3, 0, 0], parallel_kw=None)
    net = openpnm.io.network_from_porespy(extraction.network)
    for element in ("pore", "throat"):
        net[f"{element}.diameter"] = net[f"{element}.equivalent_diameter"]
    openpnm.topotools.trim(net, pores=openpnm.utils.check_network_health(net)["disconnected_pores"])
    models = dict(getattr(openpnm.models.collections.geometry, conduits))
    for name in ("pore.diameter", "throat.diameter"):
        models.pop(name, None)
    net.add_model_collection(models)
    net.regenerate_models()
    liquid = openpnm.phase.Phase(network=net)
    liquid["pore.viscosity"] = 1.0
    conductance = openpnm.models.physics.hydraulic_conductance.generic_hydraulic
    liquid.add_model(propname="throat.hydraulic_conductance", model=conductance)
    flow = openpnm.algorithms.StokesFlow(network=net, phase=liquid)
    flow.set_value_BC(pores=net.pores("xmin"), values=1.0)
    flow.set_value_BC(pores=net.pores("xmax"), values=0.0)
    flow.run()
    rate = float(flow.rate(pores=net.pores("xmin"))[0])
    cpu, wall = clock()
    k = rate * pores.shape[0] / (pores.shape[1] * pores.shape[2])
    return [{"cpu": cpu, "wall": wall, "k": k, "note": f"{net.Np} pores, {net.Nt} throats"}]
