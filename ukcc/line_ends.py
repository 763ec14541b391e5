"""Line ends for a terminal that may be raw."""

import termios

_OFLAG = 1  # index of what tcgetattr() gives (termios(3))


def with_line_ends(fd: int, text: bytes) -> bytes:
    """The text for a descriptor: on a raw terminal a new line begins where the last one ended."""
    try:
        raw = not termios.tcgetattr(fd)[_OFLAG] & termios.OPOST
    except termios.error:
        return text  # not a terminal
    return text.replace(b"\n", b"\r\n") if raw else text
