"""Key bindings of the prompt, and the text that explains them."""

from __future__ import annotations

from collections.abc import Callable

from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.filters import Condition, completion_is_selected, has_completions
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

KEYS = """\
Tab       complete, next suggestion      Enter      run; new line in a block
Up, Down  history (what starts so)       Alt-Enter  new line
Ctrl-R    search history                 Right, ^E  take the grey suggestion
Ctrl-C    drop the line, stop a command  Ctrl-D     leave
Ctrl-A/E  start/end of line              Ctrl-W     delete a word
Ctrl-L    clear the screen               F4         emacs/vi keys
F1        this help                      ?          on commands and objects"""


def bindings(
    waits: Callable[[str], bool],
    indent: Callable[[str], str],
    toggle_vi: Callable[[], None],
) -> KeyBindings:
    """
    The prompt's own keys.

    :param waits: Whether a text is not complete.
    :param indent: White space that the line after a text starts with.
    """
    keys = KeyBindings()

    @Condition
    def choosing() -> bool:
        return has_completions() and completion_is_selected()

    @keys.add("enter", filter=~choosing)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.document.text
        at_end = not buffer.document.text_after_cursor.strip()
        if "\n" in text and not at_end:
            buffer.insert_text("\n")
        elif waits(text):
            buffer.insert_text("\n" + indent(buffer.document.text_before_cursor))
        else:
            buffer.validate_and_handle()

    @keys.add("enter", filter=choosing)
    def _(event: KeyPressEvent) -> None:
        # Take what is chosen; run it with the next Enter.
        event.current_buffer.complete_state = None

    @keys.add("escape", "enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("f1")
    def _(event: KeyPressEvent) -> None:
        run_in_terminal(lambda: print(KEYS))

    @keys.add("f4")
    def _(event: KeyPressEvent) -> None:
        toggle_vi()

    return keys


def indentation(text: str) -> str:
    """What the line after ``text`` starts with: as the last one, deeper after a colon."""
    last = text.rstrip("\n").rpartition("\n")[2]
    indent = last[: len(last) - len(last.lstrip())]
    code = last.partition("#")[0].rstrip()
    return indent + "    " if code.endswith(":") else indent
