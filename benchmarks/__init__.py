"""Side by side with PyTorch: tables of medians and ratios, both sides interleaved. `python -m benchmarks` runs all."""
