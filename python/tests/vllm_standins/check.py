#!/usr/bin/env python3
"""Compares the stand-ins with vLLM's own source: `check.py DIR`.

DIR holds a folder for each version (0.33.0/vllm/v1/metrics/…), of which only
v1/metrics/{stats,loggers}.py and v1/spec_decode/metrics.py are read, as text.
Versions that are not there are named. Exits with 1 where a shape differs.
"""

import ast
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.vllm_standins.versions import VERSIONS, calls, shapes  # noqa: E402


def classes(*paths):
    found = {}
    for path in paths:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, node)
    return found


def target(statement):
    if isinstance(statement, ast.AnnAssign):
        return statement.target
    return statement.targets[0] if isinstance(statement, ast.Assign) else None


def fields(found, name):
    """Names of a class's fields, those of its bases first."""
    node, names = found[name], []
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in found:
            names += fields(found, base.id)
    for part in node.body:
        if isinstance(part, ast.AnnAssign):
            names.append(part.target.id)
        if isinstance(part, ast.FunctionDef) and part.name == "__init__":
            targets = map(target, part.body)
            names += [t.attr for t in targets if isinstance(t, ast.Attribute) and t.value.id == "self"]
    return names


def arguments(found, owner, method):
    for part in found[owner].body if owner in found else ():
        if isinstance(part, ast.FunctionDef) and part.name == method:
            return [argument.arg for argument in part.args.args]
    return None


def differences(version, folder):
    found = classes(folder / "v1/metrics/stats.py", folder / "v1/metrics/loggers.py",
                    folder / "v1/spec_decode/metrics.py")
    for name, ours in shapes(version).items():
        theirs = set(fields(found, name)) if name in found else set()
        if theirs != set(ours):
            yield f"{name}: only theirs {sorted(theirs - set(ours))}, only ours {sorted(set(ours) - theirs)}"
    for owner in ("StatLoggerBase", "AggregateStatLoggerBase"):
        theirs = {part.name for part in found[owner].body if isinstance(part, ast.FunctionDef)} if owner in found else set()
        more = theirs - {method for one, method in calls(version) if one == owner}
        if more:
            yield f"{owner}: only theirs {sorted(more)}"
    for (owner, method), ours in calls(version).items():
        theirs = arguments(found, owner, method)
        if theirs != ours:
            yield f"{owner}.{method}: theirs {theirs}, ours {ours}"


def main(folder):
    differ = missing = 0
    for version in VERSIONS:
        source = folder / version / "vllm"
        if not (source / "v1/metrics/stats.py").is_file():
            print(f"{version}: no source in {folder}")
            missing += 1
            continue
        lines = list(differences(version, source))
        print(f"{version}: {'as in its source' if not lines else ''}")
        for line in lines:
            print(f"  {line}")
        differ += bool(lines)
    print(f"{len(VERSIONS) - differ - missing} alike, {differ} differ, {missing} without source")
    return 1 if differ else 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])) if len(sys.argv) == 2 else __doc__)
