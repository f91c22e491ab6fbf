"""The prompt: reads a line, runs it, comes back.

Owns the terminal and the order of start: the first prompt stands before drgn's
helpers and commands are imported and before any index is built; that happens
while no key is pressed. Everything about what a line means is in
``commands.evaluate``.

Why not ptpython, which was evaluated as a base: its completion is Jedi's, which
knows no C types and weighs 34 MB, or ``eval`` of the text before the dot, which
runs it; its import takes 0.06 s more than prompt_toolkit's alone, of the 0.3 s
that a first prompt may take; and its idea of a line is one language. What
remains of it after replacing completion, lexing and execution is a menu of
settings. prompt_toolkit itself is what both stand on.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING

import drgn
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer
from prompt_toolkit.completion import Completion as MenuItem
from prompt_toolkit.document import Document
from prompt_toolkit.enums import EditingMode
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.lexers import DynamicLexer, Lexer
from prompt_toolkit.shortcuts import CompleteStyle

from btfdbg.commands.state import PromptState, state_of
from btfdbg.commands.text import cut, escape, paint, terminal_columns, wants_color
from btfdbg.program.session import Session
from btfdbg.repl import config, keys
from btfdbg.repl.history import SharedHistory
from btfdbg.repl.toolbar import Toolbar

if TYPE_CHECKING:
    from prompt_toolkit.styles import BaseStyle

_MAX_META = 60  # columns
_MAX_DISPLAY = 40


class Repl:
    """
    One prompt.

    :param quiet: No banner.
    :param color: ``auto``, ``always`` or ``never``.
    """

    def __init__(self, session: Session, *, quiet: bool = False, color: str = "auto") -> None:
        self.session = session
        self.quiet = quiet
        self.config = config.load()
        self.state: PromptState = state_of(session.prog)
        self.state.interactive = True
        self.state.color = color
        self.state.pager = self.config.pager
        self.state.source = self.state.source or self.config.source
        self.color = wants_color(color)
        self.toolbar = Toolbar(session, self.state)
        self._imports = threading.Thread(target=_import_ahead, name="btfdbg-imports", daemon=True)
        self._importing = False
        self._steps: Iterator[None] | None = None
        self._indexed = False
        self._lexer: Lexer | None = None
        self._ready = False
        self._prompt: PromptSession[str] | None = None

    # Start

    def run(self) -> int:
        """Read and run lines until the user leaves; return the exit status."""
        self._banner()
        prompt = self._prompt = self._make_prompt()
        first = True
        while True:
            try:
                # What the user's rc.py prints comes before the first prompt.
                if first and config.rc_file() is not None:
                    self._get_ready()
                line = prompt.prompt(pre_run=None if self._indexed else self._start_beside)
            except KeyboardInterrupt:
                continue
            except EOFError:
                break
            except OSError as e:
                # The terminal is gone.
                print(f"btfdbg: {e.strerror}", file=sys.stderr)
                return 1
            finally:
                first = False
            if not self._handle(line):
                break
        return 0

    def _banner(self) -> None:
        for problem in self.config.problems:
            print(paint([("error", problem)], self.color), file=sys.stderr)
        if self.quiet:
            return
        from btfdbg.commands import info
        from btfdbg.commands.wrapping import for_stream

        columns = terminal_columns()
        for i, line in enumerate(info.banner(self.session).splitlines()):
            text = escape(line)
            print(for_stream(paint([("heading" if i == 0 else "dim", text)], self.color)))
        for i, line in enumerate(self._crash()):
            print(for_stream(paint([("bad" if i == 0 else "dim", escape(line))], self.color)))
        hint = "help lists the commands, Tab completes, F1 shows the keys"
        if not columns or columns >= 40:
            print(paint([("dim", hint)], self.color))

    def _crash(self) -> list[str]:
        """What the dump is about; nothing of a kernel that runs."""
        if self.session.prog.flags & drgn.ProgramFlags.IS_LIVE:
            return []
        from btfdbg.report.first import first_lines

        try:
            return first_lines(self.session.prog)
        except KeyboardInterrupt:
            return []  # the prompt comes at once

    def _make_prompt(self) -> PromptSession[str]:
        dumb = os.environ.get("TERM") in ("dumb", "")
        prompt: PromptSession[str] = PromptSession(
            message=[("class:prompt", self.config.prompt)],
            multiline=True,
            prompt_continuation=lambda width, number, wrapped: "." * max(width - 1, 0) + " ",
            history=SharedHistory(),
            completer=MenuCompleter(self),
            complete_while_typing=self.config.complete_while_typing and not dumb,
            complete_style=CompleteStyle.COLUMN,
            auto_suggest=AutoSuggestFromHistory() if self.config.suggest_from_history else None,
            enable_history_search=False,
            lexer=DynamicLexer(lambda: self._lexer) if self.color else None,
            style=self._style() if self.color else None,
            include_default_pygments_style=False,
            key_bindings=keys.bindings(self._waits, self._indent, self._toggle_vi),
            bottom_toolbar=self._bottom if self.config.toolbar and not dumb else None,
            editing_mode=(
                EditingMode.VI if self.config.editing_mode == "vi" else EditingMode.EMACS
            ),
            mouse_support=self.config.mouse,
            enable_open_in_editor=True,
            reserve_space_for_menu=8,
        )
        if not self.color:
            from prompt_toolkit.output import ColorDepth

            prompt.color_depth = ColorDepth.DEPTH_1_BIT
        return prompt

    def _style(self) -> BaseStyle:
        from btfdbg.repl.themes import style

        found, problem = style(self.config.theme)
        if problem:
            print(problem, file=sys.stderr)
        return found

    # Beside the prompt

    def _start_beside(self) -> None:
        """
        Called when a prompt stands: import and index while nobody types.

        The task ends with the line; the next prompt goes on where it was left.
        """
        assert self._prompt is not None
        self._prompt.app.create_background_task(self._beside())

    async def _beside(self) -> None:
        # After the first prompt is drawn: the thread would compete with it.
        await asyncio.sleep(0.03)
        self._start_imports()
        while self._imports.is_alive():
            await asyncio.sleep(0.02)
        self._get_ready()
        from btfdbg.repl.highlight import PromptLexer

        assert self._prompt is not None
        if self._lexer is None:
            self._lexer = PromptLexer(self._command_of)
            self._prompt.app.invalidate()
        if self._steps is None:
            from btfdbg.repl.complete import sources_of

            sources = sources_of(self.session)
            self._steps = chain(sources.steps(), sources.module_steps())
        for _ in self._steps:
            await asyncio.sleep(0.002)
        self._indexed = True

    def _start_imports(self) -> None:
        if not self._importing:
            self._importing = True
            self._imports.start()

    def _get_ready(self) -> None:
        """Bind the names and know the commands; the user's rc.py runs once."""
        if self._ready:
            return
        self._ready = True
        from btfdbg.commands import namespace
        from btfdbg.commands.evaluate import prepare
        from btfdbg.commands.prompt import mark

        self._start_imports()
        self._imports.join()
        # Modules first: an unwind before they are known stops at their frames.
        self.session.ensure_modules()
        prepare(self.session)
        namespace.load_commands()
        mark.load(self.session, self.state)
        self.toolbar.shows_task = True
        self._run_rc()

    def _run_rc(self) -> None:
        path = config.rc_file()
        if path is None:
            return
        try:
            source = path.read_text("utf-8")
            exec(compile(source, str(path), "exec"), self.state.globals)
        # The user's own start file: say what is wrong with it and go on.
        except Exception as e:
            from btfdbg.commands import failure, output

            self.state.remember_error(e)
            output.print_error(self.state, f"{path}: {failure.describe(e)}")

    # While a line is typed

    def _command_of(self, text: str) -> str:
        """The command's name that a text starts with, or empty."""
        if not self._ready:
            return ""
        from btfdbg.commands.evaluate import resolve
        from btfdbg.commands.language import Language, first_word

        if resolve(self.session, text).language is not Language.COMMAND:
            return ""
        stripped = text.lstrip("%! ")
        return first_word(stripped) or stripped[:1]

    def _waits(self, text: str) -> bool:
        """Whether Enter makes a new line."""
        self._get_ready()
        from btfdbg.commands.evaluate import incomplete, resolve
        from btfdbg.commands.language import Language

        if resolve(self.session, text).language is not Language.PYTHON:
            return False
        return incomplete(text)

    def _indent(self, text: str) -> str:
        return keys.indentation(text)

    def _toggle_vi(self) -> None:
        assert self._prompt is not None
        vi = self._prompt.editing_mode == EditingMode.VI
        self._prompt.editing_mode = EditingMode.EMACS if vi else EditingMode.VI

    def _bottom(self) -> StyleAndTextTuples:
        assert self._prompt is not None
        columns = self._prompt.app.output.get_size().columns
        return [("class:bottom-toolbar.text", self.toolbar.text(columns))]

    # Run

    def _handle(self, line: str) -> bool:
        """
        Run a line.

        :return: Whether to go on.
        """
        if line.strip() in ("exit", "quit", "q", "exit()", "quit()"):
            return False
        self._get_ready()
        from btfdbg.commands.evaluate import run_line

        try:
            run_line(self.session, line)
        except SystemExit:
            return False
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
        except BrokenPipeError:
            pass
        # Nothing may end the prompt; a failure here is ours, and ``tb`` has it.
        except Exception as e:
            from btfdbg.commands import output

            self.state.remember_error(e)
            output.print_error(self.state, f"btfdbg: {type(e).__name__}: {escape(str(e))}")
        return True


class MenuCompleter(Completer):
    """prompt_toolkit's menu over ``complete()``; runs on the Program's thread."""

    def __init__(self, repl: Repl) -> None:
        self._repl = repl

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[MenuItem]:
        """Suggestions as menu items."""
        repl = self._repl
        if not repl._ready:
            if not complete_event.completion_requested:
                return
            repl._get_ready()
        from btfdbg.repl.complete import complete

        text, cursor = document.text, document.cursor_position
        try:
            found = complete(text, cursor, repl.session)
        # A suggestion is a courtesy; no failure of it may disturb who types.
        except Exception as e:
            repl.state.last_error = e
            return
        for item in found:
            meta = cut(escape(item.meta), _MAX_META)
            shown = cut(escape(item.display), _MAX_DISPLAY)
            yield MenuItem(item.text, item.start - cursor, display=shown, display_meta=meta)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[MenuItem, None]:
        """As above: on the event loop's thread, which is the Program's."""
        for item in self.get_completions(document, complete_event):
            yield item


def _import_ahead() -> None:
    """Import what the first line will need; touches no Program."""
    from importlib import import_module

    for name in (
        "drgn.cli",
        "drgn.helpers.common",
        "drgn.helpers.linux",
        "btfdbg.commands.evaluate",
        "btfdbg.repl.complete",
        "btfdbg.repl.highlight",
    ):
        import_module(name)
    from btfdbg.patches import install

    install.import_commands()


def interact(session: Session, *, quiet: bool = False, color: str = "auto") -> int:
    """Run the prompt until end of file; return the exit status."""
    return Repl(session, quiet=quiet, color=color).run()
