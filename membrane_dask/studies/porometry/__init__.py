"""Porometry: pore sizes from flux and pressure."""
