"""The report as a browser shows it: nothing runs out of the page, all charts show something, all texts can be read."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from openmetadata_bulksink.report.page import page
from tests.python.conftest import prepared
from tests.python.report.made_up import healthy, lost, outage
from tests.python.report.test_report_page import BAD, EMPTY

# Looks at the page that it is put into (contrast: what WCAG 2 asks of text), and leaves what it saw in the page's text.
LOOK = """
const seen = {wide: [], out: [], empty: [], pale: [], dark: matchMedia('(prefers-color-scheme: dark)').matches};
const root = document.documentElement;
if (root.scrollWidth > root.clientWidth + 1) seen.wide.push(root.scrollWidth + ' of ' + root.clientWidth);
// Where there is room for all of it nothing must be scrolled to.
for (const box of document.querySelectorAll('.wide')) {
  const cut = box.scrollWidth > box.clientWidth + 1 && root.clientWidth > 1000;
  if (cut) seen.wide.push(box.textContent.slice(0, 40) + ': ' + box.scrollWidth + ' of ' + box.clientWidth);
}
const channels = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
const luminance = colour => {
  const linear = c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4;
  const [r, g, b] = channels(colour).slice(0, 3).map(c => linear(c / 255));
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = node => {
  for (let at = node; at; at = at.parentElement) {
    const colour = getComputedStyle(at).backgroundColor, parts = channels(colour);
    if (parts.length === 3 || parts[3] > .5) return colour;
  }
  return seen.dark ? 'rgb(0, 0, 0)' : 'rgb(255, 255, 255)';
};
const contrast = (one, other) => {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + .05) / (low + .05);
};
for (const node of document.querySelectorAll('body *')) {
  const text = [...node.childNodes].filter(n => n.nodeType === 3).map(n => n.data.trim()).join(' ').trim();
  const box = node.getBoundingClientRect();
  if (!text || !box.width || ['SCRIPT', 'STYLE', 'TITLE', 'title'].includes(node.tagName)) continue;
  const style = getComputedStyle(node);
  const ratio = contrast(node.closest('svg') ? style.fill : style.color, behind(node));
  if (ratio < 4.5) seen.pale.push(text.slice(0, 40) + ': ' + ratio.toFixed(1));
}
for (const drawing of document.querySelectorAll('svg')) {
  const frame = drawing.getBoundingClientRect();
  let shown = 0;
  for (const shape of drawing.querySelectorAll('rect, path, polyline, polygon, line, circle, text')) {
    const box = shape.getBoundingClientRect();
    if (shape.tagName !== 'text' && box.width + box.height > 1) shown++;
    const inside = box.left >= frame.left - 2 && box.right <= frame.right + 2
      && box.top >= frame.top - 2 && box.bottom <= frame.bottom + 2;
    if (!inside) seen.out.push(shape.tagName + ' ' + (shape.textContent || '').slice(0, 40));
  }
  if (!shown) seen.empty.push(drawing.getAttribute('aria-label') || drawing.outerHTML.slice(0, 80));
}
seen.drawings = document.querySelectorAll('svg').length;
document.body.textContent = 'seen:' + JSON.stringify(seen) + ':seen';
"""

FIGURES = {
    "healthy": healthy(),
    "bad": BAD,
    "empty": EMPTY,
    "an outage": healthy(**outage(10.0, 40.0)),
    "long names": healthy(**lost(131, reason="a reason " * 60, names=20)),
}


@pytest.fixture(scope="session")
def browser() -> Path:
    """A browser without a screen."""
    return Path(prepared("BROWSER"))


def look(browser: Path, folder: Path, text: str, *, width: int, dark: bool) -> dict[str, Any]:
    """What a browser of that width shows of the page."""
    file = folder / "run.html"
    file.write_text(text.replace("</body>", f"<script>{LOOK}</script></body>"))
    command = [
        str(browser),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},2000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        "--dump-dom",
        file.as_uri(),
    ]
    environment = {**os.environ, "HOME": str(folder)}
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=120).stdout
    said = re.search(r"seen:(.*):seen", shown, re.DOTALL)
    assert said is not None, shown[-2_000:]
    seen: dict[str, Any] = json.loads(said.group(1).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return seen


@pytest.mark.parametrize(("width", "dark"), [(500, True), (1_400, False)], ids=["narrow, dark", "wide, light"])
@pytest.mark.parametrize("name", FIGURES)
def test_a_browser_shows_all_of_the_page(browser: Path, tmp_path: Path, name: str, width: int, dark: bool) -> None:
    seen = look(browser, tmp_path, page(FIGURES[name]), width=width, dark=dark)
    assert seen["dark"] is dark
    assert seen["drawings"] >= (0 if name == "empty" else 2)
    found = {what: seen[what] for what in ("wide", "out", "empty", "pale")}
    assert found == {"wide": [], "out": [], "empty": [], "pale": []}


def test_what_is_wrong_with_a_page_is_seen(browser: Path, tmp_path: Path) -> None:
    spoilt = """<p style="width:3000px;color:#ccc;background:#fff">pale</p>
    <svg width="50" height="50" aria-label="nothing"><text x="9000" y="20">far out</text></svg></body>"""
    seen = look(browser, tmp_path, page(healthy()).replace("</body>", spoilt), width=1_400, dark=False)
    assert seen["wide"]
    assert seen["out"]
    assert seen["empty"] == ["nothing"]
    assert any(words.startswith("pale") for words in seen["pale"])
