"""What the pages of a review share: the frame, the looks, and how text gets into HTML."""

from __future__ import annotations

import html
import re
from importlib import metadata
from string import Template

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # no character of HTML


def written(text: str) -> str:
    """Text as HTML shows it letter for letter, whatever it holds."""
    return html.escape(_CONTROLS.sub("\ufffd", text.replace("\f", "\n").replace("\v", "\n")))


def percent(probability: float) -> str:
    """Such as "92 %"; what is not quite nothing or all is "<1 %" or ">99 %"."""
    if 0 < probability < 0.005:
        return "<1 %"
    return ">99 %" if 0.995 <= probability < 1 else f"{100 * probability:.0f} %"


def framed(*, title: str, model: str, body: str) -> str:
    """A page that needs no network, runs no script and prints; nothing in it can load or run anything."""
    version = metadata.version("bigbird")
    return _PAGE.substitute(title=written(title), model=written(model), version=written(version), body=body)


_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title>
<style>
:root { color-scheme: light dark; --text: #1c1c1c; --quiet: #606060; --line: #d8d8d8; --paper: #ffffff;
        --side: #f6f6f4; --mark: #ffe58a; --more: #ffc95c; --link: #14508c; --here: #c2410c; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e8e8e8; --quiet: #a8a8a8; --line: #444444; --paper: #1b1b1b;
          --side: #242424; --mark: #5c4a00; --more: #8a6200; --link: #9cc4f0; --here: #fb923c; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper); margin: 0; }
header { padding: 1rem 1.5rem; border-bottom: 1px solid var(--line); }
h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
h2 { font-size: 1rem; margin: 0; }
a { color: var(--link); }
.quiet { color: var(--quiet); font-size: 0.875rem; margin: 0.25rem 0 0; }
.score { font-variant-numeric: tabular-nums; white-space: nowrap; }
mark { background: var(--mark); color: inherit; border-radius: 2px; }
mark.more { background: var(--more); }
.columns { display: grid; grid-template-columns: minmax(18rem, 26rem) minmax(0, 1fr); }
nav { background: var(--side); border-right: 1px solid var(--line); padding: 0.5rem 1.5rem 2rem;
      position: sticky; top: 0; height: 100vh; overflow: auto; }
nav section { padding: 0.6rem 0; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
nav section:target { box-shadow: -0.75rem 0 0 -0.5rem var(--here); }
nav ol { margin: 0.4rem 0 0; padding-left: 1.4rem; }
nav li { margin-bottom: 0.5rem; }
blockquote { margin: 0.2rem 0 0; padding-left: 0.6rem; border-left: 3px solid var(--line); font-size: 0.875rem;
             white-space: pre-wrap; }
.text { padding: 1rem 2rem 4rem; max-width: 60rem; white-space: pre-wrap; overflow-wrap: anywhere;
        font-family: Georgia, "Times New Roman", serif; unicode-bidi: plaintext; }
.chip { font: 0.7rem/1.2 system-ui, sans-serif; margin: 0 0.2rem; padding: 0 0.3rem; border-radius: 0.6rem;
        border: 1px solid var(--line); background: var(--side); text-decoration: none; white-space: nowrap;
        vertical-align: super; user-select: none; unicode-bidi: isolate; }
.place { scroll-margin-top: 30vh; }
.place:target + mark, .place:target + .place + mark { outline: 2px solid var(--here); }
.page { display: block; border-top: 1px dashed var(--line); color: var(--quiet); user-select: none;
        font: 0.75rem/1.5 system-ui, sans-serif; text-align: right; }
.table { overflow: auto; max-height: 90vh; margin: 1rem 1.5rem; }
table { border-collapse: collapse; font-size: 0.875rem; }
th, td { text-align: left; padding: 0.25rem 0.6rem; border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; background: var(--paper); vertical-align: bottom; font-weight: 600; z-index: 1; }
thead th span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 14rem; }
tbody th { position: sticky; left: 0; background: var(--paper); font-weight: 400; min-width: 14rem; max-width: 24rem;
           overflow-wrap: anywhere; }
td { white-space: nowrap; text-align: center; font-variant-numeric: tabular-nums; }
td.found { background: var(--mark); }
td.fault { text-align: left; white-space: normal; color: var(--here); }
@media (max-width: 50rem) { .columns { display: block; } nav { position: static; height: auto; border-right: 0; } }
@media print {
  body { font-size: 10pt; } .columns { display: block; } nav { position: static; height: auto; border: 0; padding: 0; }
  nav section { break-inside: avoid; } .text { padding: 1rem 0; max-width: none; }
  .table { max-height: none; overflow: visible; margin: 0; } thead th, tbody th { position: static; }
  mark, td.found { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
</style>
</head>
<body>
$body
<footer><p class="quiet" style="padding: 0 1.5rem 1rem">Model $model, bigbird $version. A model reads; it does not
advise. Scores are its own probabilities.</p></footer>
</body>
</html>
""")
