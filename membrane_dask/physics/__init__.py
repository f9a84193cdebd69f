"""The science on plain arrays: no Dask, no Zarr, no xarray, no files, no clocks."""
