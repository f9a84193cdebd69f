"""Models and numerical methods on NumPy arrays, without Dask, Zarr, xarray, files or clocks."""
