"""Colours of the prompt: a default of the terminal's own sixteen, or a Pygments style."""

from __future__ import annotations

from prompt_toolkit.styles import BaseStyle, Style, merge_styles

_PROMPT = Style.from_dict(
    {
        "prompt": "bold ansigreen",
        "bottom-toolbar": "noreverse bg:ansibrightblack fg:ansiwhite",
        "auto-suggestion": "ansibrightblack",
    }
)

_DEFAULT = Style.from_dict(
    {
        "pygments.keyword": "ansimagenta",
        "pygments.literal.string": "ansigreen",
        "pygments.literal.number": "ansiyellow",
        "pygments.name.class": "ansicyan",
        "pygments.name.function": "ansiblue",
        "pygments.name.builtin": "ansicyan",
        "pygments.name.variable": "ansiyellow",
        "pygments.name.attribute": "ansicyan",
        "pygments.operator": "",
        "pygments.comment": "ansibrightblack",
    }
)


def style(theme: str) -> tuple[BaseStyle, str]:
    """
    The style of a theme.

    :param theme: ``default``, ``none``, or the name of a Pygments style.
    :return: The style, and what is wrong with the name (then it is the default).
    """
    if theme == "none":
        return Style.from_dict({"bottom-toolbar": "noreverse"}), ""
    if theme == "default":
        return merge_styles([_DEFAULT, _PROMPT]), ""
    from prompt_toolkit.styles.pygments import style_from_pygments_cls
    from pygments.styles import get_style_by_name
    from pygments.util import ClassNotFound

    try:
        found = style_from_pygments_cls(get_style_by_name(theme))
    except ClassNotFound:
        return merge_styles([_DEFAULT, _PROMPT]), f"no theme {theme!r}: the default is used"
    return merge_styles([found, _PROMPT]), ""
