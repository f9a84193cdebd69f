"""Pages to explore runs in a browser: read-only, on this machine, for those who have the address with its token."""
