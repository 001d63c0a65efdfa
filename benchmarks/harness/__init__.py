"""Shared by the benchmarks: times two implementations in turn, each in its own process, and prints their ratios."""
