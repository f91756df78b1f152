#!/usr/bin/env python3
"""Fetches the few files of vLLM's source that `check.py` reads: `fetch.py DIR`.

pip unpacks a source release and asks its build backend for metadata; the
backend that we put in its place keeps three files and ends. So nothing of
vLLM's is built or run. Versions that are there already are left alone.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.vllm_standins.versions import VERSIONS  # noqa: E402

FILES = ("vllm/v1/metrics/stats.py", "vllm/v1/metrics/loggers.py", "vllm/v1/spec_decode/metrics.py")
BACKEND = """
import os, shutil
def prepare_metadata_for_build_wheel(*_):
    for name in os.environ["KEEP_FILES"].split():
        target = os.path.join(os.environ["KEEP_IN"], name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(name, target)
    raise SystemExit("kept")
def get_requires_for_build_wheel(*_):
    return []
def build_wheel(*_):
    raise SystemExit("nothing is built here")
"""


def fetch(version, folder):
    if (folder / FILES[-1]).is_file():
        return
    with tempfile.TemporaryDirectory() as scratch:
        backend = Path(scratch, "backend", "setuptools")
        backend.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(BACKEND)
        environment = {**os.environ, "PYTHONPATH": str(backend.parent), "TMPDIR": scratch,
                       "KEEP_FILES": " ".join(FILES), "KEEP_IN": str(folder)}
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
                        "--no-build-isolation", "--no-binary", ":all:", "-d", scratch, f"vllm=={version}"],
                       env=environment, capture_output=True, timeout=600)


def main(folder):
    for version in VERSIONS:
        fetch(version, folder / version)
        print(f"{version}: {'here' if (folder / version / FILES[-1]).is_file() else 'could not be fetched'}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]).resolve())
