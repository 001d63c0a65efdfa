"""Datasets on disk to batches of NumPy arrays. TensorFlow lives here, JAX does not."""
