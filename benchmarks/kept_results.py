"""Results of earlier runs of a benchmark, to which a run of a part of it adds its own."""

from __future__ import annotations

import json
from pathlib import Path


def kept(path: Path, key: str) -> dict[str, dict]:
    """Results by name of the file `path`, kept there under `key`; none when there is no file yet.

    Each says itself what made it ("about"), as a run of some cases alone leaves the others as they were. In a file of a
    single run that is said once, for all of them.
    """
    if not path.exists():
        return {}
    file = json.loads(path.read_text())
    shared = {name: file[name] for name in ("about", "workers") if name in file}
    results = file[key]
    if isinstance(results, list):  # as older files hold them
        results = {
            result["name"]: {name: value for name, value in result.items() if name != "name"} for result in results
        }
    return {name: {**shared, **result} for name, result in results.items()}
