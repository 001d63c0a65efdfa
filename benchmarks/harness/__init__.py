"""What the benchmarks share: two sides in turn, each in a fresh process, and a table of their ratios."""
