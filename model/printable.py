"""Text from outside made harmless to print: names from files, messages and addresses come from anybody."""

import unicodedata

# Controls; what reverses or hides text; separators that a terminal takes for the end of a line; halves of characters,
# which stand for bytes of a file's name that are no text and cannot be printed at all.
_OBEYED = {"Cc", "Cf", "Zl", "Zp", "Cs"}
_JOINERS = "\u200c\u200d"  # within words of Persian and Hindi, and within emoji


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with every character that a terminal would obey written out, as in ``\x1b``.

    Parameters
    ----------
    text : str
        From anywhere.
    keep : str
        Characters to leave as they are: ``"\n"`` where a text may have several lines.
    """
    if text.isprintable():
        return text
    return "".join(each if _harmless(each) or each in keep else _written_out(each) for each in text)


def _harmless(character: str) -> bool:
    return unicodedata.category(character) not in _OBEYED or character in _JOINERS


def _written_out(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
