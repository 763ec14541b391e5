"""Trees as pictures in Vega's language (https://vega.github.io/vega/docs/): data, no drawing.

A click on a box makes it as large as the picture, a double click shows all again. Names come from a
stranger's file: here they are values of data only, never an expression.
"""

from collections.abc import Sequence
from typing import Any

from ukcc.pictures.box import Box, Change, levels
from ukcc.terminal import shown

_SCHEMA = "https://vega.github.io/schema/vega/v5.json"
_WIDTH, _HEIGHT = 1280, 720
_ROW = 22  # pixels, of a row of calls or a bar
_FONT = "DejaVu Sans, Arial, sans-serif"
_REST = "(smaller)"
_ARROW = " > "
_COLOURS = "tableau20"
_GROWN, _SHRUNK = "#c44e52", "#55a868"

Spec = dict[str, Any]


def calls_picture(tree: Box, title: str, subtitle: str, unit: str) -> Spec:
    """Who called whom, from left to right in time: a row for each level, as wide as it took."""
    height = (levels(tree) + 1) * _ROW
    layout = {
        "type": "partition",
        "field": "own",
        "sort": {"field": "order"},
        "size": [_WIDTH, height],
    }
    spec = _zoomable(tree, title, subtitle, unit, layout, height, is_nested=False)
    spec["marks"] = [_frame(height, [_cells("all", unit, "white", is_calls=True), _row_names()])]
    return spec


def bytes_picture(tree: Box, title: str, subtitle: str, unit: str) -> Spec:
    """Boxes in boxes, each with an area of its size."""
    layout = {
        "type": "treemap",
        "field": "own",
        "sort": {"field": "value", "order": "descending"},
        "ratio": 1.4,
        "paddingInner": 1,
        "paddingOuter": 2,
        "paddingTop": 15,
        "size": [_WIDTH, _HEIGHT],
    }
    spec = _zoomable(tree, title, subtitle, unit, layout, _HEIGHT, is_nested=True)
    groups = {"name": "groups", "source": "all", "transform": [_only("datum.children")]}
    leaves = {"name": "leaves", "source": "all", "transform": [_only("!datum.children")]}
    spec["data"] += [groups, leaves]
    marks = [_cells("groups", unit, "#333"), _cells("leaves", unit, "white")]
    spec["marks"] = [_frame(_HEIGHT, [*marks, _group_names(), _leaf_names()])]
    return spec


def changes_picture(changes: Sequence[Change], title: str, subtitle: str, unit: str) -> Spec:
    """A bar for each change, the first on top: to the right if it has grown."""
    values = [
        {"name": shown(_ARROW.join(c.path)), "difference": c.difference, "order": n,
         "before": c.before, "after": c.after}
        for n, c in enumerate(changes)
    ]  # fmt: skip
    height = max(len(values), 1) * _ROW
    ends = {"data": "changes", "field": "difference"}
    tooltip = (
        "{title: datum.name, before: format(datum.before, ','), after: format(datum.after, ','), "
        f"'{unit}': format(datum.difference, '+,')}}"
    )
    bar = {
        "y": {"scale": "y", "field": "order"},
        "height": {"scale": "y", "band": 1},
        "x": {"scale": "x", "value": 0},
        "x2": {"scale": "x", "field": "difference"},
        "fill": {"signal": f"datum.difference > 0 ? '{_GROWN}' : '{_SHRUNK}'"},
        "tooltip": {"signal": tooltip},
    }
    label = {
        "y": {"scale": "y", "field": "order", "band": 0.5},
        "x": {"scale": "x", "value": 0},
        "dx": {"signal": "datum.difference > 0 ? -6 : 6"},
        "align": {"signal": "datum.difference > 0 ? 'right' : 'left'"},
        "baseline": {"value": "middle"},
        "text": {"signal": "datum.name + '  ' + format(datum.difference, '+,')"},
        "font": {"value": _FONT},
        "fontSize": {"value": 12},
        "limit": {"value": _WIDTH * 0.6},
    }
    return {
        **_head(title, subtitle, height),
        "signals": [{"name": "most", "update": "max(abs(domain[0]), abs(domain[1]), 1)"}],
        "data": [{"name": "changes", "values": values,
                  "transform": [{"type": "extent", "field": "difference", "signal": "domain"}]}],
        "scales": [
            {"name": "x", "type": "linear", "range": "width", "zero": True, "nice": True,
             "domain": {"signal": "[-most, most]"} if values else ends},
            {"name": "y", "type": "band", "range": "height", "padding": 0.15,
             "domain": {"data": "changes", "field": "order"}},
        ],
        "axes": [{"orient": "bottom", "scale": "x", "title": unit, "format": "+~s", "grid": True}],
        "marks": [
            {"type": "rect", "from": {"data": "changes"}, "encode": {"update": bar}},
            {"type": "text", "from": {"data": "changes"}, "interactive": False,
             "encode": {"update": label}},
        ],
    }  # fmt: skip


def rows(tree: Box, *, is_nested: bool) -> list[dict[str, Any]]:
    """The tree as a list for Vega's `stratify`, parents first.

    is_nested: what is a parent's own gets a box of its own among the children. `group`, which gives
    the colour, is the box of the first level around it; of the second if it is nested.
    """
    found: list[dict[str, Any]] = []
    deepest = 2 if is_nested else 1
    stack: list[tuple[Box, int | None, tuple[str, ...]]] = [(tree, None, ())]
    while stack:
        box, parent, above = stack.pop()
        number, path = len(found), (*above, shown(box.name))
        found.append({
            "id": number,
            "parent": parent,
            "name": path[-1],
            "own": 0 if is_nested and box.children else box.own,
            "order": number,
            "path": _ARROW.join(path[1:] or path),
            "group": _ARROW.join(path[1 : 1 + deepest]),
            "size": box.size,
            "times": box.times,
        })  # fmt: skip
        inner = box.children
        if is_nested and inner and box.own:
            inner = (*inner, Box(_REST, box.own))
        stack += [(child, number, path) for child in reversed(inner)]
    return found


def _head(title: str, subtitle: str, height: int) -> Spec:
    return {
        "$schema": _SCHEMA,
        "width": _WIDTH,
        "height": height,
        "padding": 12,
        "background": "white",
        "title": {
            "text": shown(title),
            "subtitle": shown(subtitle),
            "anchor": "start",
            "font": _FONT,
            "subtitleFont": _FONT,
            "fontSize": 17,
            "subtitleFontSize": 12,
            "offset": 10,
        },
    }


def _zoomable(
    tree: Box, title: str, subtitle: str, unit: str, layout: Spec, height: int, *, is_nested: bool
) -> Spec:
    values = rows(tree, is_nested=is_nested)
    stratify = {"type": "stratify", "key": "id", "parentKey": "parent"}
    share = {"type": "formula", "as": "share", "expr": f"datum.size / {max(tree.size, 1)}"}
    sizes = {"x": [0, _WIDTH], "y": [0, height]}
    signals = [
        {"name": f"{axis}_shown", "value": whole, "on": [
            {"events": "@cell:click, @leaf:click", "update": f"[datum.{axis}0, datum.{axis}1]"},
            {"events": "dblclick", "update": f"[{whole[0]}, {whole[1]}]"},
        ]}
        for axis, whole in sizes.items()
        if is_nested or axis == "x"
    ]  # fmt: skip
    scales = [
        {"name": axis, "type": "linear", "range": whole, "zero": False, "nice": False,
         "domain": {"signal": f"{axis}_shown"} if is_nested or axis == "x" else whole}
        for axis, whole in sizes.items()
    ]  # fmt: skip
    groups = list(dict.fromkeys(row["group"] for row in values[1:]))
    colour = {"name": "colour", "type": "ordinal", "domain": groups, "range": {"scheme": _COLOURS}}
    return {
        **_head(title, subtitle, height),
        "signals": signals,
        "scales": [*scales, colour],
        "data": [{"name": "all", "values": values, "transform": [stratify, layout, share]}],
    }


def _only(test: str) -> Spec:
    return {"type": "filter", "expr": test}


def _frame(height: int, marks: list[Spec]) -> Spec:
    size = {"width": {"value": _WIDTH}, "height": {"value": height}}
    return {"type": "group", "clip": True, "encode": {"enter": size}, "marks": marks}


def _place() -> Spec:
    return {
        "x": {"scale": "x", "field": "x0"},
        "x2": {"scale": "x", "field": "x1"},
        "y": {"scale": "y", "field": "y0"},
        "y2": {"scale": "y", "field": "y1"},
    }


def _cells(source: str, unit: str, stroke: str, *, is_calls: bool = False) -> Spec:
    calls = ", calls: format(datum.times, ',')" if is_calls else ""
    tooltip = (
        f"{{title: datum.path, '{unit}': format(datum.size, ','), "
        f"share: format(datum.share, '.2%'){calls}}}"
    )
    encoding = {
        **_place(),
        "fill": [
            {"test": "datum.depth == 0", "value": "#eeeeee"},
            {"scale": "colour", "field": "group"},
        ],
        "fillOpacity": {"signal": "max(0.4, 0.9 - 0.08 * datum.depth)"},
        "stroke": {"value": stroke},
        "strokeWidth": {"value": 0.5},
        "tooltip": {"signal": tooltip},
        "cursor": {"value": "pointer"},
    }
    return {
        "type": "rect",
        "name": "cell" if source != "leaves" else "leaf",
        "from": {"data": source},
        "encode": {"update": encoding},
    }


_WIDE = "(scale('x', datum.x1) - scale('x', datum.x0))"
_HIGH = "(scale('y', datum.y1) - scale('y', datum.y0))"
_SEEN = "(min(scale('x', datum.x1), width) - max(scale('x', datum.x0), 0))"


def _text(source: str, x: str, y: str, test: str, **more: Any) -> Spec:
    encoding = {
        "x": {"signal": x},
        "y": {"signal": y},
        "text": {"signal": f"{test} ? datum.name : ''"},
        "limit": {"signal": f"max({_SEEN} - 6, 1)"},
        "font": {"value": _FONT},
        "fontSize": {"value": 11},
        "fill": {"value": "#111"},
        **{key: {"value": value} for key, value in more.items()},
    }
    return {
        "type": "text",
        "from": {"data": source},
        "interactive": False,
        "encode": {"update": encoding},
    }


def _row_names() -> Spec:
    middle = "scale('y', datum.y0) + 15"
    return _text("all", "max(scale('x', datum.x0), 0) + 4", middle, f"{_SEEN} > 24")


def _group_names() -> Spec:
    top = "scale('y', datum.y0) + 11"
    test = f"{_WIDE} > 30 && {_HIGH} > 14"
    return _text("groups", "scale('x', datum.x0) + 4", top, test, fontWeight="bold")


def _leaf_names() -> Spec:
    test = f"{_WIDE} > 28 && {_HIGH} > 12"
    return _text(
        "leaves", "scale('x', datum.x0) + 3", "scale('y', datum.y0) + 11", test, fontSize=10
    )
