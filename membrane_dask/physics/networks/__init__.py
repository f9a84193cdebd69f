"""Pore networks: generation, flow and fouling."""
