"""The machine below: memory, processor, files, threads, terminal."""
