"""Planning, execution and storage of any program of units on a Dask cluster, independent of what units compute."""
