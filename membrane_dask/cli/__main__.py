"""``python -m membrane_dask.cli`` runs the command line, as job scripts do."""

from membrane_dask.cli import main

main()
