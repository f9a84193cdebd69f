"""Dask clusters and the jobs behind them: worker pools, worker jobs, driver series, profiles."""
