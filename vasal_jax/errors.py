"""The one exception for mistakes a user can mend."""


class InputError(ValueError):
    """Something given from outside cannot be used.

    The message is one line that names the file (and key or field), what was expected, what was found and what
    to do. Command lines print it and end with exit code 2; anything else that escapes is a defect of ours. Where
    several things are wrong, each further argument is a line of its own.
    """

    def __str__(self) -> str:
        return "\n  ".join(map(str, self.args))
