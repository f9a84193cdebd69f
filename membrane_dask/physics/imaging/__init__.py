"""Image analysis of porous structures: filters, distances, watershed, pore-network extraction."""
