#!/usr/bin/env python3
"""Makes a folder for PYTHONPATH: `python3 python/make_folder.py DIR`.

It holds the package and its `*.dist-info`, by which vLLM finds the plugin as
if pip had installed it: for images where neither pip nor a network is had.
"""

import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main(folder):
    project = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]
    groups = re.findall(r'^\[project\.entry-points\."(.+)"\]\n((?:\S+ = ".+"\n)+)', project, re.MULTILINE)
    folder.mkdir(parents=True, exist_ok=True)
    for old in [folder / "eagle_eye", *folder.glob("eagle_eye-*.dist-info")]:
        shutil.rmtree(old, ignore_errors=True)
    shutil.copytree(HERE / "eagle_eye", folder / "eagle_eye", ignore=shutil.ignore_patterns("__pycache__"))
    info = folder / f"eagle_eye-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: eagle-eye\nVersion: {version}\n")
    (info / "INSTALLER").write_text("make_folder.py\n")
    lines = [f"[{group}]\n{entries}".replace('"', "") for group, entries in groups]
    (info / "entry_points.txt").write_text("\n".join(lines))
    print(f"export PYTHONPATH={folder.resolve()}")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]))
