"""Datasets on disk to batches of NumPy arrays. TensorFlow lives here, JAX does not."""

import os

# TensorFlow greets with lines about instructions it could use, which nothing here would gain from; errors reach us as
# exceptions.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
