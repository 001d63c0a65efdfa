"""The machine below: memory, processor, files, threads, terminal.

- `files`, `locks`, `reading`: whole or absent outputs, exclusive folders, regular files of bounded size.
- `memory`, `processor`, `accelerators`, `compilation_cache`: the allocator, the CPU's instructions, whether there is a
  GPU or TPU, compiled programs on disk.
- `address_space`: whether the memory that a program may have is enough.
- `background`, `processes`, `stopping`: threads, child processes, requests to stop.
- `engines`, `workers`, `ray_workers`: independent pieces of work in threads, processes or by Ray.
- `terminal`, `text`: what all command lines share; text from files made safe to print.
"""
