"""Reads pages as a browser would, and checks that they need nothing and run nothing."""

from html.parser import HTMLParser

_ALONE = frozenset({"meta", "br"})
_BLOCKED = frozenset({"script", "link", "iframe", "img", "object", "embed", "form", "base", "svg"})


class Page(HTMLParser):
    """Text, links, places to link to, and the document's own letters with what marks each."""

    def __init__(self):
        super().__init__()
        self.open, self.words, self.links, self.places = [], [], [], set()
        self.document, self.marks = [], []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        assert tag not in _BLOCKED
        assert len(given) == len(attributes)
        assert not any(name.startswith("on") or name == "src" for name in given)
        if "href" in given:
            assert not given["href"].split("#")[0].startswith(("/", "http", "javascript:", "data:")), given["href"]
            self.links.append(given["href"])
        if "id" in given:
            assert given["id"] not in self.places
            self.places.add(given["id"])
        if tag not in _ALONE:
            self.open.append((tag, given))

    def handle_endtag(self, tag):
        if tag not in _ALONE:
            assert self.open.pop()[0] == tag

    def handle_data(self, data):
        self.words.append(data)
        classes = [given.get("class", "") for _, given in self.open]
        if "text" in classes and not {"chip", "page"} & set(classes):
            self.document.append(data)
            if self.open[-1][0] == "mark":
                self.marks.append((data, self.open[-1][1]["title"]))

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def parsed(path):
    """A page that was read to its end, all of whose tags close."""
    page = Page()
    text = path.read_text(encoding="utf-8")
    page.feed(text)
    page.close()
    assert page.open == []
    assert text.startswith("<!doctype html>")
    assert "default-src 'none'; style-src 'unsafe-inline'" in text
    assert "url(" not in text.split("</style>")[0]
    return page
