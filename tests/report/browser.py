"""Headless Chromium for tests of pages: what a page looks like when it is open.

A page is opened in a frame of a chosen width, below a page of ours that asks it questions and
leaves the answers in its own text. Nothing of it needs a network or a driver.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

_ASKING = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" style="width:%dpx;height:%dpx;border:0"></iframe><pre id="answers"></pre>
<script>
const frame = document.getElementById("page");
frame.onload = () => {
  const win = frame.contentWindow, doc = frame.contentDocument, answers = {};
  for (const [name, ask] of Object.entries(%s))
    try { answers[name] = new Function("win", "doc", "return " + ask)(win, doc); }
    catch (e) { answers[name] = "raised: " + e; }
  document.getElementById("answers").textContent = "@@" + JSON.stringify(answers) + "@@";
};
frame.src = %s;
</script>
"""


def ask(
    page: Path,
    questions: Mapping[str, str],
    folder: Path,
    *,
    width: int = 1280,
    dark: bool = False,
    script: bool = True,
    fragment: str = "",
) -> dict[str, Any]:
    """
    Open a page and return the values of JavaScript expressions over ``win`` and ``doc``.

    :param folder: For the profile and the page that asks.
    :param width: Of the page, in pixels.
    :param script: Whether the page's own script may run.
    :param fragment: What follows the ``#`` in its address.
    """
    assert CHROMIUM is not None
    address = page.as_uri() + (f"#{fragment}" if fragment else "")
    asking = folder / "asking.html"
    text = _ASKING % (width, 900, json.dumps(dict(questions)), json.dumps(address))
    if not script:
        text = text.replace("<iframe ", '<iframe sandbox="allow-same-origin" ')
    asking.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
            "--disable-background-networking", "--allow-file-access-from-files",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            "--window-size=1400,1000", "--dump-dom", str(asking),
        ],
        capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    found = re.search(r"@@(.*)@@</pre>", done.stdout, re.DOTALL)
    assert found is not None, done.stderr[-2000:] + done.stdout[-2000:]
    answers: dict[str, Any] = json.loads(html.unescape(found[1]))
    return answers
