# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quickstart: two questions, two runs
#
# 1. Which pore-size gradient lets a filter work longest?
# 2. What three-dimensional structure belongs to this micrograph?
#
# Each is a study of a few lines in `configs/`. The cells below run both (a minute or two on two cores), or take them
# up where an earlier run ended; a finished run is opened at once.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import membrane_dask as md

root = Path("..") if Path("../configs").is_dir() else Path(".")

# %% [markdown]
# ## 1. A filter whose pores narrow with depth
#
# Gu, Kondic and Cummings ask how a filter of given porosity and mean pore size should be graded. The plan says what
# will be computed:

# %%
plan = md.plan(root / "configs/graded-quickstart.yaml")
plan

# %%
run = md.run(plan, root / "runs/graded-quickstart")
run

# %% [markdown]
# The result is one labelled dataset. Every variable carries its unit, its meaning and its source.

# %%
graded = run.result["graded"].to_dataset()
graded

# %%
graded.throughput.attrs

# %% [markdown]
# Means over the random networks, with the 95 % interval of the mean:


# %%
def mean_and_interval(values):
    """Mean over the realizations and the half-width of its 95 % interval (normal)."""
    n = values.notnull().sum("realization")
    return values.mean("realization"), 1.96 * values.std("realization", ddof=1) / np.sqrt(n)


figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
labels = {"throughput": "throughput $h$", "initial_flux": "initial flux $q_0$", "foulant_concentration": "foulant $c$"}
for axis, (name, label) in zip(axes, labels.items(), strict=True):
    mean, half = mean_and_interval(graded[name].isel(l_max=0))
    axis.errorbar(graded.gradient, mean, half, marker="o", capsize=3, color="#1f5fa8")
    axis.set(xlabel="pore-radius gradient $s$", ylabel=label)
    axis.ticklabel_format(axis="both", style="sci", scilimits=(-2, 3))
figure.suptitle("Filters run to the end of their life (l_max = 0.2)")
plt.show()

# %%
mean, half = mean_and_interval(graded.throughput.isel(l_max=0))
best = mean.gradient[int(mean.argmax())]
gain = float(mean.max() / mean.sel(gradient=0) - 1)
print(f"best gradient of those tried: {float(best):g}, {gain:.0%} more filtrate than a uniform filter")

# %% [markdown]
# An exact law makes a good check: inlet pores see clean feed and shrink at rate 1, so a filter's life is the radius of
# its first band, `r_0 + 1.5 s`.

# %%
law = 0.01 + 1.5 * graded.gradient
np.testing.assert_allclose(graded.lifetime.isel(l_max=0), law.broadcast_like(graded.lifetime.isel(l_max=0)), rtol=1e-9)

# %% [markdown]
# The histories stand in a sub-group:

# %%
history = run.result["graded/history"].to_dataset()
figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
for gradient in graded.gradient.values:
    curve = history.flux.sel(gradient=gradient).isel(l_max=0).mean("realization")
    axis.plot(history.time, curve, label=f"s = {gradient:g}")
axis.set(xlabel="time $t$", ylabel="flux $q$")
axis.legend(frameon=False)
plt.show()

# %% [markdown]
# ## 2. A structure from one micrograph
#
# The micrograph was rendered from a structure that is known, so the answer can be judged. The search compares trial
# structures with it by the distances of every pixel to the other phase, near the skin and in the support (Chamani).

# %%
reconstruction = md.run(root / "configs/reconstruct-quickstart.yaml", root / "runs/reconstruct-quickstart")
reconstruction

# %%
micrograph = reconstruction.result["micrograph"].to_dataset()
trials = reconstruction.result["trials"].to_dataset()
volume = reconstruction.volume("structure-0")
volume

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
extent = lambda a: (0, float(a.x[-1]), float(a.z[-1]), 0)  # noqa: E731
axes[0].imshow(micrograph.image, cmap="gray", extent=extent(micrograph))
axes[0].set(title="micrograph", xlabel="x [nm]", ylabel="depth z [nm]")
section = volume.isel(y=128)
axes[1].imshow(section, cmap="gray", extent=extent(section))
axes[1].set(title="a section of the reconstruction", xlabel="x [nm]")
axes[2].plot(trials.objective.isel(replicate=0), "o", color="#999", label="trial")
axes[2].plot(np.minimum.accumulate(trials.objective.isel(replicate=0)), color="#1f5fa8", label="best so far")
axes[2].set(title="the search", xlabel="trial", ylabel="objective")
axes[2].legend(frameon=False)
plt.show()

# %% [markdown]
# How good is it? The truth is at hand: the same model with other noise. Porosity along the depth, and the structure's
# parameters:

# %%
from membrane_dask.physics.problems import GradedMembrane

truth = GradedMembrane()
true_sections = np.stack([truth.section(y) for y in range(0, truth.slices, 16)])
profile = (volume == 0).mean(("y", "x"))

figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
axis.plot(volume.z, (true_sections == 0).mean((0, 2)), color="k", label="truth")
axis.plot(volume.z, (micrograph.solid == 0).mean("x"), color="#bbb", lw=0.8, label="micrograph")
axis.plot(volume.z, profile, color="#1f5fa8", label="reconstruction")
axis.set(xlabel="depth z [nm]", ylabel="porosity")
axis.legend(frameon=False)
plt.show()

# %%
chosen = reconstruction.result["structures"].to_dataset().isel(replicate=0)
voxel = truth.voxel_size_nm
for name in ("sigma_1", "sigma_2", "closing_radius"):
    print(f"{name:15} {float(chosen[name]):6.2f} nm   truth {getattr(truth.structure, name) * voxel:6.2f} nm")
print(f"{'porosity':15} {float(chosen.volume_porosity):6.3f}      truth {float((true_sections == 0).mean()):6.3f}")

# %% [markdown]
# One section carries only so much: the closing radius in particular is hardly determined by these distances, and 30
# trials leave some of the error to chance. More micrographs, trials and replicates narrow it.
#
# Every run of this folder:

# %%
md.list_runs(root / "runs")
