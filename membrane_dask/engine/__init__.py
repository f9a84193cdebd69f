"""Plans and runs any program of units on a Dask cluster; knows no physics."""
