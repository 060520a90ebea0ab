"""The documents of a folder that someone named."""

from __future__ import annotations

from pathlib import Path

from bigbird.cli.entry import say
from bigbird.errors import InputError


def documents_of(folder: Path, out: Path | None) -> list[Path]:
    """Those in it and in its folders, but for the folder `out`; files that are none are told of in one line."""
    from bigbird.documents.document_files import find_documents

    if out is not None and out.resolve() == folder.resolve():
        raise InputError(f"--out {out} is the folder that is read; name another")
    documents, others = find_documents(folder, leave_out=out)
    if others:
        some = ", ".join(path.name for path in others[:3]) + (" …" if len(others) > 3 else "")
        say(f"bigbird: left out, being no documents by their endings: {len(others):,} (such as {some})")
    if not documents:
        raise InputError(f"{folder} holds no document; a document ends in .txt, .md, .html, .docx or .pdf")
    return documents
