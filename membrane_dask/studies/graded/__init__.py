"""Graded filters: ensembles of random pore networks, fouled over a filter's life."""
