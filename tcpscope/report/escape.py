"""Text that came from the wire or from a file name, made safe for a terminal."""

from __future__ import annotations


def printable(text: str, *, backslash: bool = True) -> str:
    r"""``text`` with all that could move the cursor, hide or reorder other text written as ``\xNN`` or ``\u{…}``.

    Escape sequences, control characters, bidirectional and zero-width signs, combining marks and lone surrogates are
    rewritten; letters of any script stay. ``backslash``: double the backslash, so that an escape cannot be forged.
    """
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text
    return "".join(_one(sign, backslash) for sign in text)


def _one(sign: str, backslash: bool) -> str:
    import unicodedata  # noqa: PLC0415 (large, and nearly all text is plain)

    if sign == "\\":
        return "\\\\" if backslash else sign
    # Combining marks are printable by themselves but pile up over the neighbouring lines.
    if sign.isprintable() and not unicodedata.category(sign).startswith("M"):
        return sign
    number = ord(sign)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{{{number:x}}}"
