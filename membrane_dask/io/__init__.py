"""Readers and writers of files: volumes, micrographs, OME-Zarr, pore networks, tables."""
