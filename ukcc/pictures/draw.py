"""Pictures as files: SVG, or HTML that needs nothing but itself. By Vega, in one library.

vl-convert has Vega inside and draws without a browser or a network; it is loaded here only, as it
is large, and not part of every installation.
"""

import html
import importlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ukcc.errors import UkccError
from ukcc.terminal import shown

SUFFIXES = (".svg", ".html")

# Nothing is fetched, whatever the names in the picture are.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline' 'unsafe-eval'"
)
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>body {{ margin: 1em; font-family: sans-serif }} p {{ color: #555; font-size: 13px }}</style>
</head>
<body>
<div id="picture"></div>
<p>{help}</p>
<script>{library}</script>
<script>vegaEmbed("#picture", {spec}, {{actions: false, renderer: "canvas"}});</script>
</body>
</html>
"""
_HELP = "Click a box to enlarge it, double-click for all; the pointer shows names and numbers."


def check_output(path: Path) -> None:
    """Raises UkccError for a picture that could not be made, before anything is measured."""
    if path.suffix not in SUFFIXES:
        raise UkccError(f"{path}: not a kind of picture", "name it .svg or .html")
    if not path.absolute().parent.is_dir():
        raise UkccError(f"{path.parent}: no such directory")
    _library()


def draw(spec: dict[str, Any], title: str, path: Path) -> None:
    """Writes the picture; a file that is there already is replaced. Raises UkccError."""
    library = _library()
    if path.suffix == ".svg":
        _write(path, library.vega_to_svg(spec, allowed_base_urls=[]))
        return
    page = _PAGE.format(
        policy=_POLICY,
        title=html.escape(shown(title)),
        help=_HELP,
        library=library.javascript_bundle(),
        spec=script_text(spec),
    )
    _write(path, page)


def script_text(value: Any) -> str:
    """JSON that may stand in a script element of HTML, whatever texts are in it."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _library() -> Any:
    try:
        return importlib.import_module("vl_convert")
    except ImportError:
        raise UkccError(
            "pictures need vl-convert-python, which is not installed",
            "pip install 'ukcc[pictures]'; without -o there is a table",
        ) from None


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    try:
        fd, name = tempfile.mkstemp(dir=path.absolute().parent, prefix=".ukcc-")
        try:
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(text)
            mask = os.umask(0)
            os.umask(mask)
            Path(name).chmod(0o666 & ~mask)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
