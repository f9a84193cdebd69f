"""Characterization of 3-D structures: connectivity, pore network, tortuosity, flow, retention."""
