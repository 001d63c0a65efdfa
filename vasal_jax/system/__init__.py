"""The machine below: memory, processor, files, threads, terminal.

- `files`, `locks`, `reading`: whole or absent outputs, exclusive folders, regular files of bounded size.
- `memory`, `processor`, `compilation_cache`: the allocator, the CPU's instructions, compiled programs on disk.
- `background`, `processes`, `stopping`: threads, child processes, requests to stop.
- `terminal`, `text`: what all command lines share; text from files made safe to print.
"""
