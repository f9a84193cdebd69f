"""Porometry: pore structure of a membrane from its flux against pressure."""
