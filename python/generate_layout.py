#!/usr/bin/env python3
"""Writes eagle_eye/layout.py from the schema that every language shares.

Structs, tables and enums come from schema/eagle_eye.fbs; the door's places,
the bits of `present` and the flags from src/schema/. Run it after a change
there: `python3 python/generate_layout.py`; `--check` only compares.
"""

import math
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SCHEMA = HERE.parent / "schema" / "eagle_eye.fbs"
RUST = HERE.parent / "src" / "schema"
OUTPUT = HERE / "eagle_eye" / "layout.py"

# Format letter, bytes and Python type of each scalar.
SCALARS = {
    "ubyte": ("B", 1, "int"), "ushort": ("H", 2, "int"), "uint": ("I", 4, "int"),
    "ulong": ("Q", 8, "int"), "float": ("f", 4, "float"), "double": ("d", 8, "float"),
}
RUST_SCALARS = {"u8": "ubyte", "u16": "ushort", "u32": "uint", "u64": "ulong"}


def block(text, opening):
    """The text between the braces after `opening`."""
    start = text.index(opening)
    start = text.index("{", start) + 1
    depth = 1
    for at in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        if depth == 0:
            return text[start:at]
    raise SystemExit(f"no closing brace after {opening!r}")


def struct_fields(text, name):
    """(name, scalar, count) of each member of a struct of the schema."""
    body = re.sub(r"//.*", "", block(text, f"struct {name} "))
    fields = []
    for field, kind in re.findall(r"(\w+)\s*:\s*([^;]+);", body):
        array = re.fullmatch(r"\[(\w+):(\d+)\]", kind.strip())
        scalar, count = (array[1], int(array[2])) if array else (kind.strip(), 1)
        fields.append((field, scalar, count))
    return fields


def rust_fields(text, name):
    """The same of a `repr(C)` struct written in Rust."""
    body = re.sub(r"//.*", "", block(text, f"pub struct {name} "))
    fields = []
    for field, kind in re.findall(r"pub (\w+): ([^,]+),", body):
        array = re.fullmatch(r"\[(\w+); (\d+)\]", kind)
        scalar, count = (array[1], int(array[2])) if array else (kind, 1)
        fields.append((field, RUST_SCALARS[scalar], count))
    return fields


def format_of(fields):
    """Little-endian struct format; reserves are padding, bytes are `s`."""
    letters, at = ["<"], 0
    for field, scalar, count in fields:
        letter, size, _ = SCALARS[scalar]
        if at % size:
            raise SystemExit(f"{field} at {at} is not aligned to {size}")
        at += size * count
        if field.startswith("reserve"):
            letters.append(f"{size * count}x")
        elif scalar == "ubyte" and count > 1:
            letters.append(f"{count}s")
        else:
            letters.append(letter * count)
    return "".join(letters)


def visible(fields):
    return [field for field in fields if not field[0].startswith("reserve")]


def tuple_class(name, doc, fields):
    lines = [f"class {name}(NamedTuple):", f'    """{doc}"""', ""]
    lines += [f"    {field}: {SCALARS[scalar][2]}" for field, scalar, _ in visible(fields)]
    return lines


def table_ids(text, name):
    body = re.sub(r"//.*", "", block(text, f"table {name} "))
    return [(field, int(number)) for field, number in re.findall(r"(\w+):[^;]*\(id: (\d+)", body)]


def wrapped(names, indent="    "):
    """Names as the lines of a tuple."""
    return [f'{indent}"{name}",' for name in names]


def pack_function(step, bits):
    """One packing of a Step, unrolled: a loop over names costs 3 times as much."""
    measured = [name for name, _ in bits]
    lines = [
        "def pack_step(",
        "    buffer: bytearray, at: int, step: Any, identity: Tuple[int, ...], sequence: int,",
        "    monotonic_ns: int, wall_ns: int, clock_error_ns: int, ttl_ms: int, flags: int,",
        ") -> None:",
        '    """Packs a step\'s fields; None and what is not finite are unknown.',
        "",
        "    `identity` is (instance, incarnation, model, producer, producers, role).",
        "    Raises when a value does not fit its field. Unrolled, since this is the",
        '    engine\'s own time."""',
        "    present = PRESENT_ALL",
    ]
    floats = {field for field, scalar, _ in step if scalar == "float"}
    for name, bit in bits:
        finite = f" or not -FLOAT_MAX <= {name} <= FLOAT_MAX" if name in floats else ""
        lines += [
            f"    {name} = step.{name}",
            f"    if {name} is None{finite}:",
            f"        {name} = 0",
            f"        present ^= {1 << bit:#x}",
        ]
    arguments = {
        "instance": "identity[0]", "incarnation": "identity[1]", "model": "identity[2]",
        "producer": "identity[3]", "producers": "identity[4]", "role": "identity[5]",
        "rank": "step.rank", "layout": "STEP_LAYOUT", "flags": "flags | step.flags",
        "heartbeat_ns": "monotonic_ns",
    }
    lines += ["    STEP.pack_into(", "        buffer,", "        at,"]
    lines += [f"        {arguments.get(field, field)}," for field, _, _ in visible(step)]
    lines += ["    )"]
    missing = set(measured) - {field for field, _, _ in step}
    if missing:
        raise SystemExit(f"measured but not in the struct: {sorted(missing)}")
    return lines


def generate():
    fbs = SCHEMA.read_text()
    door = (RUST / "door.rs").read_text()
    step_rs = (RUST / "step.rs").read_text()
    batch_rs = (RUST / "batch.rs").read_text()
    identity_rs = (RUST / "identity.rs").read_text()

    structs = {name: struct_fields(fbs, name) for name in ("StepCore", "Reading", "BatchHead")}
    bits = [
        (name, int(bit))
        for bit, name in re.findall(r"\w+ = (\d+), (\w+);", block(step_rs, "\nfields! "))
    ]
    flags = re.findall(r"(\w+) = (\d+),", block(step_rs, "pub enum Flag "))
    kinds = re.findall(r"(\w+) = (\d+),", block(door, "pub enum GreetingKind "))
    enums = {
        name: re.findall(r"(\w+) = (\d+)", re.sub(r"//.*", "", block(fbs, f"enum {name}")))
        for name in ("Role", "EventKind", "Severity", "SketchKind")
    }
    places = dict(re.findall(r"pub const (\w+): (?:usize|u32) = ([\d_]+);", door))
    door_magic = re.search(r'MAGIC: \[u8; 8\] = \*b"(\w+)"', door)[1]
    greeting_magic = re.search(r'MAGIC: \[u8; 4\] = \*b"(\w+)"', door)[1]
    step_layout = re.search(r"STEP_LAYOUT: u8 = (\d+)", step_rs)[1]
    batch_max = math.prod(
        int(factor) for factor in re.search(r"BATCH_BYTES_MAX: usize = ([\d *]+);", batch_rs)[1].split("*")
    )
    name_max = re.search(r"NAME_BYTES_MAX: usize = (\d+)", identity_rs)[1]
    identifier = re.search(r'file_identifier "(\w+)"', fbs)[1]

    out = [
        '"""Where everything stands in a step, a batch and a door.',
        "",
        "Generated from the schema by generate_layout.py; not edited by hand.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import enum",
        "import struct",
        "from typing import Any, NamedTuple, Tuple",
        "",
        f"NAME_BYTES_MAX = {name_max}",
        "",
        "# The door: an engine's shared memory.",
        f'DOOR_MAGIC = b"{door_magic}"',
    ]
    for place in ("LAYOUT", "HEAD_AT", "HEARTBEAT_AT", "HEARTBEAT_BYTES", "INFO_AT",
                  "INFO_BYTES_AT", "INFO_BYTES_MAX", "SLOTS_AT", "SLOT_HEADER_BYTES", "SLOTS_MAX",
                  "DETAILS_HEAD_BYTES", "DETAILS_BYTES", "DETAILS_BYTES_MAX"):
        out.append(f"DOOR_{place} = {int(places[place].replace('_', ''))}")
    out += [
        'DOOR_SLOT_HEADER = struct.Struct("<QII")',
        'DOOR_HEARTBEAT = struct.Struct("<QQQI")',
        'DOOR_INFO = struct.Struct("<III")',
        'DOOR_DETAILS = struct.Struct("<III4x")',
        f'DOOR_HEADER = struct.Struct("{format_of(rust_fields(door, "DoorHeader"))}")',
        "",
        "# The first message in each direction on the agent's socket.",
        f'GREETING_MAGIC = b"{greeting_magic}"',
        "GREETING_LAYOUT = 1",
        f'GREETING = struct.Struct("{format_of(rust_fields(door, "Greeting"))}")',
        "",
        "# A step.",
        f"STEP_LAYOUT = {step_layout}",
        "FLOAT_MAX = 3.4028234663852886e38",
        f'STEP = struct.Struct("{format_of(structs["StepCore"])}")',
        "STEP_BYTES = STEP.size",
        "DOOR_SLOT_BYTES = DOOR_SLOT_HEADER_BYTES + STEP_BYTES",
        "",
        "# A batch.",
        f'BATCH_IDENTIFIER = b"{identifier}"',
        f"BATCH_BYTES_MAX = {batch_max}",
        f'BATCH_HEAD = struct.Struct("{format_of(structs["BatchHead"])}")',
        f'READING = struct.Struct("{format_of(structs["Reading"])}")',
    ]
    tables = (
        "Batch", "Engine", "Device", "Event", "LogRecord", "Verdict",
        "EngineDetails", "Sketch", "Finished", "Adapter", "Speculation", "Transfer",
    )
    for table in tables:
        out += ["", f"# Field ids of the table {table}."]
        out += [f"{snake(table)}_ID_{field.upper()} = {number}" for field, number in table_ids(fbs, table)]
    out += ["", "# Bit of each measured field in `present`.", "FIELD_BITS = {"]
    out += [f'    "{name}": {bit},' for name, bit in bits]
    out += ["}", "FIELDS = tuple(FIELD_BITS)", "PRESENT_ALL = (1 << len(FIELDS)) - 1"]
    out += ["", "", "class Flag:", '    """What a step says about its producer, as plain integers: the `|` of an',
            '    IntFlag costs as much as writing a step."""', ""]
    out += [f"    {name.upper() if name.islower() else snake(name)} = {1 << int(bit)}" for name, bit in flags]
    out += ["", "", "class Role(enum.IntEnum):", '    """What part of a request an engine serves."""', ""]
    out += [f"    {name.upper()} = {number}" for name, number in enums["Role"]]
    for name, doc in (("EventKind", "What happened."), ("Severity", "How bad it is."),
                      ("SketchKind", "What a sketch measures.")):
        out += ["", "", f"class {name}(enum.IntEnum):", f'    """{doc}"""', ""]
        out += [f"    {member.upper()} = {number}" for member, number in enums[name]]
    out += ["", "", "class GreetingKind(enum.IntEnum):", '    """What a greeting says."""', ""]
    out += [f"    {snake(name)} = {number}" for name, number in kinds]
    out += ["", ""]
    out += tuple_class("StepCore", "One step as it stands on the wire; see `value` for what is known.",
                       structs["StepCore"])
    out += [
        "",
        "    def value(self, field: str) -> Any:",
        '        """A measured field, or None where it is unknown."""',
        "        if self.present >> FIELD_BITS[field] & 1:",
        "            return getattr(self, field)",
        "        return None",
        "", "",
    ]
    out += tuple_class("Reading", "One value of one metric of one device.", structs["Reading"])
    out += ["", ""]
    out += tuple_class("BatchHead", "Who sends a batch, and when.", structs["BatchHead"])
    out += ["", ""]
    out += pack_function(structs["StepCore"], bits)
    return "\n".join(out) + "\n"


def snake(name):
    return re.sub(r"(?<!^)([A-Z])", r"_\1", name).upper()


def main():
    text = generate()
    if "--check" in sys.argv[1:]:
        if OUTPUT.read_text() != text:
            raise SystemExit("eagle_eye/layout.py is stale: run python3 python/generate_layout.py")
        return
    OUTPUT.write_text(text)


if __name__ == "__main__":
    main()
