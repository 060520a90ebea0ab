"""HTML pages as a reader sees them."""

import pytest

from bigbird.documents.html_text import html_text
from bigbird.errors import DataError


def text_of(markup):
    return html_text(markup if isinstance(markup, bytes) else markup.encode(), "x.html").text


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Ends&nbsp;in <b>May</b>.</p><ul><li>One<li>Two</ul>", "Ends\xa0in May.\n\nOne\nTwo"),
        ("<p>A\n  line  of<br>two &amp; &#8220;more&#8221; &lt;b&gt;</p>", "A line of\ntwo & “more” <b>"),
        ("a<br><br>b", "a\n\nb"),
        ("<table><tr><td>Fee<td>5 %<tr><td>Term<td>May</table>", "Fee\t5 %\nTerm\tMay"),
        ("<pre>kept  as\n  it is</pre>and   so", "kept  as\n  it is\n\nand so"),
        ("un<b>broken</b> w<i>or</i>d", "unbroken word"),
        ("<title>no</title><style>p{}</style><script>var a='<p>no</p>'</script>yes", "yes"),
        ("<svg><text>no<svg>no</svg></text></svg>yes<template><p>no</template>", "yes"),
        ("<svg/>yes<!-- no --><?php no ?>", "yes"),
        ("<P STYLE='x'>LOUD</P>", "LOUD"),
        ("<![if !supportLists]>yes<![endif]> <![CDATA[no]]>and <![no such[no]>yes<!no>", "yes and yes"),
        ("<p>שלום</p><p>😀</p>", "שלום\n\n😀"),
        ("</p></div>stray</b>", "stray"),
    ],
)
def test_markup_becomes_lines(markup, text):
    assert text_of(markup) == text


def test_the_encoding_a_page_declares_is_used():
    assert text_of("<meta charset=koi8-r><p>Договор".encode("koi8-r")) == "Договор"
    old = '<META http-equiv="Content-Type" content="text/html; charset=windows-1251">Договор'
    assert text_of(old.encode("cp1251")) == "Договор"
    assert text_of("<meta charset=ascii>Grüße".encode()) == "Grüße"  # UTF-8 all the same


def test_a_page_without_words_is_refused():
    with pytest.raises(DataError, match=r"x.html holds no text, only blanks\. Give a document with words in it\."):
        text_of("<title>a</title><p>&nbsp; <br></p><script>1</script>")


def test_a_hostile_page_takes_no_longer_than_a_kind_one():
    assert text_of("<svg>" * 100_000 + "</p>" * 100_000 + "</svg>" * 100_000 + "end") == "end"
