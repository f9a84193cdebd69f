"""``python -m membrane_dask`` is the command ``membrane-dask`` of this Python."""

from membrane_dask.cli import main

if __name__ == "__main__":
    main()
