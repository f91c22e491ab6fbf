"""The index of triage: what it holds, and how it looks and filters in a browser."""

from __future__ import annotations

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from btfdbg.cli.main import main
from btfdbg.report.triage import as_html as triage_html
from btfdbg.report.triage.finding import find
from btfdbg.report.triage.groups import Group, group
from btfdbg.report.triage.history import histories
from btfdbg.report.triage.singles import page_name
from tests.report.browser import ask, needs_chromium
from tests.report.test_events import ARM64, HUNG, NULL, stamped
from tests.report.test_triage import crash as made

HOSTILE = '"><img src=x onerror=alert(1)>'
KNOWN = '[[known]]\nfunction = "leaf"\nnote = "a <b>demonstration</b>"\nfix = "0123abc"\n'


@pytest.fixture(scope="module")
def made_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index over crashes of several hosts, with hostile names and odd files among them."""
    folder = tmp_path_factory.mktemp("triage")
    crashes = folder / "crash"
    for number, (host, day, log) in enumerate(
        [("h1", 1, NULL), ("h2", 2, NULL), ("h2", 9, NULL), ("h3", 20, ARM64), ("h1", 28, HUNG)]
    ):
        place = crashes / f"{host}-2026-11-{day:02}-21:00:36"
        place.mkdir(parents=True)
        text = stamped(log, f"[  {number}.123456] ").replace("Comm: sh", f"Comm: {HOSTILE}")
        (place / "vmcore-dmesg.txt").write_text(text)
    (crashes / f"{HOSTILE}.log").write_text(stamped(HUNG, "[  77.5] "))
    (crashes / f"<script>{'long' * 30}.log").write_text(stamped(NULL, "[  78.5] "))
    (crashes / "vmcore-incomplete").write_bytes(b"KDUMP   " + bytes(5000))
    (crashes / "vmcore").write_bytes(b"KDUMP   " + bytes(9000))
    (folder / "known.toml").write_text(KNOWN)
    out = folder / "out"
    words = ["--known", str(folder / "known.toml"), "--afresh", "-q", "-o", os.devnull]
    assert main(["triage", str(crashes), "--html", str(out), *words]) == 1
    return out / "index.html"


def test_index_names_all_there_is(made_index: Path) -> None:
    text = made_index.read_text()
    for words in (
        "7 crashes in 3 groups",
        "NULL dereference in leaf [demo]",
        "hung task in mnt_want_write",
        "known: a &lt;b&gt;demonstration&lt;/b&gt; (fix: 0123abc)",
        "still being written, or never finished",
        "the kdump header is damaged",
        "2026-11-01 21:00",
    ):
        assert words in text
    text = (made_index.parent / "triage.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert sum(row["type"] == "crash" for row in lines) == 7


class _Elements(HTMLParser):
    """Names and attributes of all elements of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_hostile_names_stay_text(made_index: Path) -> None:
    pages = [made_index, *(made_index.parent / "reports").glob("*.html")]
    assert len(pages) == 8
    for page in pages:
        elements = _Elements(page.read_text()).found
        assert not [tag for tag, _ in elements if tag in ("img", "iframe", "object", "b x")]
        assert sum(tag == "script" for tag, _ in elements) == (page is made_index)
        for _, attributes in elements:
            assert not [name for name in attributes if name.startswith("on")]


def test_every_row_opens_a_page_that_is_there(made_index: Path) -> None:
    elements = _Elements(made_index.read_text()).found
    links = [a["href"] or "" for tag, a in elements if tag == "a"]
    pages = [link for link in links if link.startswith("reports/")]
    assert len(pages) == 7
    assert all((made_index.parent / link).is_file() for link in pages)
    assert not [link for link in links if "://" in link]
    texts = [(made_index.parent / link).read_text() for link in pages]
    assert sum("NULL dereference in leaf" in text for text in texts) == 4


def test_page_that_an_earlier_run_wrote_is_kept_and_a_missing_one_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    log = tmp_path / "dmesg.txt"
    log.write_text(stamped(NULL, "[  7.5] "))
    words = ["triage", str(log), "--html", str(tmp_path / "out")]
    assert main(words) == 0
    (found,) = find([str(log)])
    page = tmp_path / "out" / "reports" / page_name(found)
    page.write_text("as it was")
    assert main(words) == 0
    assert page.read_text() == "as it was"
    page.unlink()
    assert main(words) == 0
    assert "NULL dereference in leaf" in page.read_text()
    monkeypatch.chdir(tmp_path)
    assert main(["triage", "dmesg.txt", "--html", "out"]) == 0
    assert f'href="reports/{page.name}">dmesg.txt</a>' in Path("out/index.html").read_text()


def test_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["triage", str(tmp_path), "--html", str(tmp_path / "file" / "x")]) == 2
    assert "Not a directory" in capsys.readouterr().err


def _group(*times: float | None) -> Group:
    (one,) = group([made(f"/{i}", when=when) for i, when in enumerate(times)])
    return one


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "an hour"), (5 * 3600, "an hour"), (86400 * 2, "6 hours"), (86400 * 20, "a day"),
     (86400 * 365 * 80, "3 times 365 days")],
)  # fmt: skip
def test_history_divides_time_so_that_few_bars_are_enough(seconds: float, words: str) -> None:
    drawings, said = histories([_group(1.7e9, 1.7e9 + seconds)])
    assert said == words
    assert 1 <= len(drawings[0]["bars"]) <= 2
    assert all(bar["x"] + bar["width"] <= drawings[0]["width"] for bar in drawings[0]["bars"])


@pytest.mark.parametrize(("when", "said"), [(None, 0), (1.7e9, 2)])
def test_a_page_without_times_has_no_columns_for_them(when: float | None, said: int) -> None:
    page = triage_html.as_html([_group(when)], [], [], {})
    assert page.count("last seen") == said
    assert "not known</span>" not in page


def test_history_counts_what_has_no_time() -> None:
    drawings, said = histories([_group(None, 1.7e9, None)])
    assert drawings[0]["unknown"] == 2
    drawings, said = histories([_group(None)])
    assert (said, drawings[0]["bars"], drawings[0]["words"]) == ("", [], "no time is known")


_SHOWN = "[...doc.querySelectorAll('details.group')].filter(d => !d.hidden).map(d => d.id)"
_WIDE = "doc.documentElement.scrollWidth - doc.documentElement.clientWidth"
_CONTRAST = """(() => {
  const rgb = (c) => c.match(/[\\d.]+/g).slice(0, 3).map(Number);
  const light = (c) => { const [r, g, b] = rgb(c).map((v) => { v /= 255;
    return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (n) => { for (; n; n = n.parentElement) { const c = win.getComputedStyle(n)
    .backgroundColor; if (c !== "rgba(0, 0, 0, 0)") return c; } return "rgb(255, 255, 255)"; };
  let worst = 99;
  const all = "h1, h2, p, a, .title, .under b, .known, .last, td, th, li, label";
  for (const n of doc.querySelectorAll(all)) {
    const a = light(win.getComputedStyle(n).color), b = light(ground(n));
    worst = Math.min(worst, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)); }
  return worst; })()"""
_QUESTIONS = {
    "shown": _SHOWN,
    "wide": _WIDE,
    "form": "!doc.getElementById('filter').hidden",
    "ground": "win.getComputedStyle(doc.body).backgroundColor",
    "contrast": _CONTRAST,
    "tall": "Math.max(...[...doc.querySelectorAll('select, input')].map(n => n.offsetHeight))",
    "title": "doc.title",
    "bars": "doc.querySelectorAll('details.group svg rect').length",
    "opened": "(doc.querySelectorAll('details').forEach(d => d.open = true), " + _WIDE + ")",
}


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390])
def test_page_fits_and_is_readable(
    made_index: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    found = ask(made_index, _QUESTIONS, tmp_path, width=width, dark=dark)
    assert found["shown"] == ["g1", "g2", "g3"]
    assert found["wide"] == found["opened"] == 0
    assert found["form"] is True
    assert found["bars"] == 5
    assert found["contrast"] >= 4.5
    assert found["tall"] <= 60
    assert found["title"] == "7 crashes in 3 groups"
    assert found["ground"] == ("rgb(22, 24, 27)" if dark else "rgb(255, 255, 255)")


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(
    ("fragment", "shown", "words"),
    [
        ("q=leaf", ["g2"], "4 crashes in 1 group shown"),
        ("host=h3", ["g1"], "1 crash in 1 group shown"),
        ("host=h2", ["g2"], "2 crashes in 1 group shown"),
        ("band=stall", ["g3"], "2 crashes in 1 group shown"),
        ("unknown=yes", ["g1", "g3"], "3 crashes in 2 groups shown"),
        ("order=count", ["g2", "g3", "g1"], "7 crashes in 3 groups shown"),
        ("order=last", ["g3", "g1", "g2"], "7 crashes in 3 groups shown"),
        ("q=no+such+words", [], "0 crashes in 0 groups shown"),
        ("host=nobody&band=x", ["g1", "g2", "g3"], "7 crashes in 3 groups shown"),
    ],
)
def test_filters_work_and_stand_in_the_address(
    made_index: Path, tmp_path: Path, fragment: str, shown: list[str], words: str
) -> None:
    questions = {"shown": _SHOWN, "words": "doc.getElementById('shown').textContent"}
    assert ask(made_index, questions, tmp_path, fragment=fragment) == {
        "shown": shown,
        "words": words,
    }


@needs_chromium
@pytest.mark.slow
def test_typing_filters_and_clearing_shows_all(made_index: Path, tmp_path: Path) -> None:
    typed = (
        "(doc.querySelector('[name=q]').value = 'MNT_want',"
        " doc.getElementById('filter').dispatchEvent(new win.Event('input')), " + _SHOWN + ")"
    )
    questions = {"typed": typed, "address": "win.location.hash"}
    assert ask(made_index, questions, tmp_path) == {"typed": ["g3"], "address": "#q=MNT_want"}


@needs_chromium
@pytest.mark.slow
def test_without_script_all_is_there_but_the_filters(made_index: Path, tmp_path: Path) -> None:
    found = ask(made_index, _QUESTIONS, tmp_path, script=False)
    assert found["shown"] == ["g1", "g2", "g3"]
    assert found["form"] is False
    assert found["opened"] == 0


@needs_chromium
@pytest.mark.slow
def test_page_allows_no_other_script(made_index: Path, tmp_path: Path) -> None:
    text = made_index.read_text()
    other = tmp_path / "other.html"
    injected = "<script>document.title = 'taken over'</script></main>"
    other.write_text(re.sub("</main>", lambda _: injected, text))
    assert ask(other, {"title": "doc.title"}, tmp_path) == {"title": "7 crashes in 3 groups"}
    assert made_index.name == triage_html.INDEX
