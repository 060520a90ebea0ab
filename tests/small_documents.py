"""Small .docx and .pdf files, made by hand."""

import zipfile

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
LAID_OUT = "<w:r><w:lastRenderedPageBreak/></w:r>"
PAGE_BREAK = '<w:r><w:br w:type="page"/></w:r>'


def paragraph(text):
    return f'<w:p><w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def write_docx(path, body, *, main="word/document.xml", head="", **parts):
    """A Word file; `parts` are further files of word/ without .xml, such as footnotes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
        archive.writestr(
            "_rels/.rels",
            '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
            f'<Relationship Id="r1" Type="{kind}" Target="/{main}"/></Relationships>',
        )
        for name, content in {main: body, **{f"word/{name}.xml": content for name, content in parts.items()}}.items():
            body_of = f'<w:document xmlns:w="{WORD}"><w:body>{content}</w:body></w:document>'
            xml = f'<?xml version="1.0" encoding="UTF-8"?>{head}{body_of}'
            archive.writestr(name, xml)
    return path


def write_pdf(path, *pages):
    """A PDF with a page of text for each; a page of "" is a picture's, without any."""
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", font]
    numbers = []
    for text in pages:
        shown = b" T* ".join(b"(%s) Tj" % line.encode("cp1252") for line in text.split("\n") if line)
        content = b"BT /F1 12 Tf 14 TL 72 720 Td %s ET" % shown
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R >>" % len(objects)
        )
        numbers.append(len(objects))
    kids = b" ".join(b"%d 0 R" % number for number in numbers)
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(numbers))
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    data += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, table, len(objects) + 1, len(data),
    )  # fmt: skip
    path.write_bytes(data)
    return path
