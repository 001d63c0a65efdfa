"""The command lines: a typed dataclass of arguments and one function each."""
