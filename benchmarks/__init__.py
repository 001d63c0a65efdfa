"""Side by side with PyTorch: tables of medians and ratios, both sides interleaved in one run."""
