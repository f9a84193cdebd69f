"""Reconstruction of 3-D structures from one micrograph."""
