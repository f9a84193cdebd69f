"""Stokes flow in voxel images."""
