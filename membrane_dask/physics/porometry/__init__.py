"""Flux-pressure analysis of membranes."""
