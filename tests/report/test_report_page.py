"""A report's page: names and numbers at phone width, and what a file's page is called."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

import btfdbg
from btfdbg.report import report
from btfdbg.report.as_html import as_html
from btfdbg.report.pages import parted
from btfdbg.report.triage.finding import find
from btfdbg.report.triage.singles import page_name
from tests.conftest import bundled_dumps
from tests.report.browser import ask, needs_chromium

pytest.importorskip("jinja2")
DUMPS = [path for path, _ in bundled_dumps()]

# Numbers of which one piece stands on another line than the rest.
_CUT = r"""(() => { const cut = [], nodes = doc.createTreeWalker(doc.body, 4);
  for (let n = nodes.nextNode(); n; n = nodes.nextNode())
    for (const m of n.data.matchAll(/0x[0-9a-f]+/g)) { const r = doc.createRange();
      r.setStart(n, m.index); r.setEnd(n, m.index + m[0].length);
      if (new Set([...r.getClientRects()].map(x => Math.round(x.top))).size > 1) cut.push(m[0]); }
  return cut; })()"""
_QUESTIONS = {
    "cut": _CUT,
    "wide": "doc.documentElement.scrollWidth - doc.documentElement.clientWidth",
    "numbers": "(doc.body.textContent.match(/0x[0-9a-f]{16}/g) || []).length",
    "narrow": "Math.min(...[...doc.querySelectorAll('td')].map(x => x.offsetWidth))",
    "boxes": "[...doc.querySelectorAll('g')].filter(g => g.querySelector('text').getBBox().width"
    " > g.querySelector('rect').getBBox().width - 12).length",
}


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dump", DUMPS, ids=lambda path: path.stem)
def test_numbers_are_whole_and_the_page_fits(
    dump: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    if not dump.exists():
        pytest.skip(f"no {dump.name}")
    page = tmp_path / "page.html"
    page.write_text(as_html(report(btfdbg.session(btfdbg.program_from_core_dump(dump)))))
    found = ask(page, _QUESTIONS, tmp_path, width=width, dark=dark)
    assert found["cut"] == []
    assert found["wide"] == 0
    assert found["boxes"] == 0
    assert found["narrow"] > 0


@pytest.mark.parametrize(
    "text",
    [
        "in /sys/module/demo/parameters/trigger",
        "cf_level3.constprop.0+0x1a [cf_fault]",
        "0xff1d8bf32714e780",
        '<script>"&</script>' * 9,
        "eeee04226f5ac117aa7641dcc8b8bc0123456789",
        "",
    ],
)
def test_lines_may_end_in_names_and_the_text_stays(text: str) -> None:
    made = parted(text)
    assert html.unescape(str(made).replace("<wbr>", "")) == text
    assert "<" not in str(made).replace("<wbr>", "")
    assert not re.search(r"0x[0-9a-f]+<wbr>[0-9a-f]", made)


def test_only_separators_and_16_digits_of_an_identity_end_a_line() -> None:
    assert str(parted("0xff1d8bf32714e780")) == "0xff1d8bf32714e780"
    assert str(parted("/sys/module/demo")) == "/<wbr>sys/<wbr>module/<wbr>demo"
    assert str(parted("0123456789abcdef" * 2)) == "0123456789abcdef<wbr>0123456789abcdef"


def test_page_is_called_after_its_file(tmp_path: Path) -> None:
    names = []
    for folder, name in (("h1-2026-11-01-21:00:36", "vmcore"), ("..", 'x<"&/…'.replace("/", "_"))):
        place = tmp_path / "crash" / folder
        place.mkdir(parents=True, exist_ok=True)
        path = place / name
        path.write_bytes(b"KDUMP   " + bytes(9000))
        [found] = find([str(path)])
        names.append(page_name(found))
    assert re.fullmatch(r"h1-2026-11-01-21-00-36-vmcore-[0-9a-f]{16}\.html", names[0])
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*-[0-9a-f]{16}\.html", names[1])
    for parent in ("one", "two"):  # of one name, in folders of one name
        path = tmp_path / parent / "crash" / "vmcore"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"KDUMP   " + bytes(9000))
    [one], [two] = (find([str(tmp_path / name / "crash" / "vmcore")]) for name in ("one", "two"))
    assert page_name(one) != page_name(two)
