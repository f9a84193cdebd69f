"""Transport in the pore space: tortuosity, diffusion, particle retention."""
