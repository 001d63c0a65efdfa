"""Text from files and names, made fit to be shown: control characters are shown, not obeyed."""

import unicodedata

_LONGEST = 4000  # characters of a line; a path may have as many
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # controls, directions, halves of pairs, breaks of lines


def printable(text: object, longest: int = _LONGEST) -> str:
    """The text in one line without control characters.

    Terminal escapes, line breaks, marks that turn the direction of writing and what is no character stand as Python
    writes them, such as `\\x1b`. Longer texts are cut in the middle.
    """
    shown = "".join(_shown(character) for character in str(text)[: 4 * longest])
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]} ... {shown[-longest // 4 :]}"
    return shown


def csv_cell(text: object) -> str:
    """The text for a cell of a CSV file, which no spreadsheet takes for a formula: one begins with = + - @."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


def _shown(character: str) -> str:
    if unicodedata.category(character) in _HIDDEN:
        return character.encode("unicode_escape").decode()
    return character
