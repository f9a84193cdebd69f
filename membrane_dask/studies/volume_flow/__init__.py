"""Stokes flow through a volume, undivided and by slabs, of the study kinds that compute one."""
