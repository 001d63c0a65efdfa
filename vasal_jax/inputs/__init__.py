"""Files to NumPy arrays, without JAX."""
