//! The tables of `schema/README.md` are made from the structs themselves.
//!
//! `./dev gen` writes them; the test compares. What each field means is its
//! doc comment.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::mem::offset_of;

use eagle_eye::schema::{
    ADAPTERS_MAX, BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BUCKETS_MAX, BatchHead, DETAIL_RANKS_MAX,
    Door, DoorHeader, Field, Greeting, HotKind, NAME_BYTES_MAX, POSITIONS_MAX, REASONS_MAX,
    Reading, STEP_LAYOUT, StepCore, TRIAL_MESSAGE, write_header,
};

use crate::tree::{read, root};
use crate::{catches, hold};

/// A field of a struct: where the compiler put it, what its source says.
type Row = (usize, String, String, String);

/// The offsets of named fields, as the compiler laid them out.
macro_rules! offsets {
    ($of:ty: $($field:ident)*) => {
        (size_of::<$of>(), vec![$((stringify!($field), offset_of!($of, $field))),*])
    };
}

type Offsets = (usize, Vec<(&'static str, usize)>);

fn step_core() -> Offsets {
    offsets!(StepCore:
        instance incarnation model rank producer producers role layout sequence monotonic_ns
        wall_ns clock_error_ns ttl_ms present flags last_step_us running waiting deferred
        oldest_wait_ms waiting_tokens pending_tokens max_sequences max_batched_tokens kv_blocks
        block_size lora_running lora_waiting reserve_u16 kv_usage prefill_tokens_per_second
        decode_tokens_per_second steps prompt_tokens generated_tokens cached_tokens prefix_queries
        prefix_hits preemptions rejections finished heartbeat_ns reserve
    )
}

fn reading() -> Offsets {
    offsets!(Reading: device metric flags time_ns value)
}

fn batch_head() -> Offsets {
    offsets!(BatchHead:
        node incarnation sequence publish_monotonic_ns publish_wall_ns generation flags
    )
}

fn door_header() -> Offsets {
    offsets!(DoorHeader:
        magic layout total_bytes slots_at slot_bytes slot_count details_at instance incarnation
        details_bytes reserve_end
    )
}

fn greeting() -> Offsets {
    offsets!(Greeting: magic kind layout reserve)
}

/// Each field of `name` in `source`: its name, type and the first sentence of
/// its doc comment.
fn fields(source: &str, name: &str) -> Vec<(String, String, String)> {
    let begin = format!("pub struct {name} {{");
    let body = source.split_once(&begin).map_or("", |(_, rest)| rest);
    let body = body.split_once("\n}").map_or("", |(body, _)| body);
    let (mut fields, mut doc) = (Vec::new(), String::new());
    for line in body.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            doc.push_str(text);
        } else if let Some((field, kind)) =
            line.strip_prefix("pub ").and_then(|line| line.split_once(": "))
        {
            let doc = plain(&std::mem::take(&mut doc));
            fields.push((field.to_owned(), kind.trim_end_matches(',').to_owned(), doc));
        }
    }
    fields
}

/// A doc comment without rustdoc's links.
fn plain(doc: &str) -> String {
    let doc = doc.trim().replace("[`super::", "[`").replace("[`", "`").replace("`]", "`");
    doc.replace('|', "\\|")
}

/// Bytes of a field of this type.
fn width(kind: &str) -> usize {
    if let Some((kind, count)) =
        kind.strip_prefix('[').and_then(|kind| kind.strip_suffix(']')?.split_once("; "))
    {
        return width(kind) * count.parse::<usize>().expect("an array has a length");
    }
    kind[1..].parse::<usize>().expect("a field is a number or an array of numbers") / 8
}

/// The rows of a struct, or why its source and the compiler disagree.
fn rows(source: &str, name: &str, (bytes, offsets): &Offsets) -> Result<Vec<Row>, String> {
    let fields = fields(source, name);
    let offset: BTreeMap<_, _> = offsets.iter().copied().collect();
    let (mut rows, mut end) = (Vec::new(), 0);
    for (field, kind, doc) in fields {
        let Some(at) = offset.get(field.as_str()) else {
            return Err(format!("{name}.{field} is not in tests/house/layouts.rs: add it there"));
        };
        if *at != end {
            return Err(format!("{name}.{field} begins at {at}, not {end}: no gaps on the wire"));
        }
        end = at + width(&kind);
        rows.push((*at, kind, format!("`{field}`"), doc));
    }
    if end != *bytes || rows.len() != offset.len() {
        return Err(format!("{name} has {bytes} bytes, its fields end at {end}: no gaps, no rest"));
    }
    Ok(rows)
}

fn row(at: usize, kind: &str, name: &str, doc: &str) -> Row {
    (at, kind.into(), name.into(), doc.into())
}

/// The header of a hot batch, as [`write_header`] writes it.
fn hot_header() -> Vec<Row> {
    let head = size_of::<BatchHead>();
    vec![
        row(0, "u32", "root", "20: where the table begins"),
        row(4, "[u8; 4]", "identifier", "`EEB1`"),
        row(8, "u16", "vtable size", "8 for steps, 10 for readings"),
        row(10, "u16", "table size", "56"),
        row(12, "u16", "head", "4: in the table"),
        row(14, "u16", "steps", "52 in a batch of steps, else 0"),
        row(16, "u16", "readings", "52 in a batch of readings, else 0"),
        row(18, "u16", "padding", "0"),
        row(20, "i32", "vtable", "12: how far before the table it begins"),
        row(24, &format!("[u8; {head}]"), "head", "a BatchHead"),
        row(24 + head, "u32", "vector", "4: where the vector begins, from here"),
        row(28 + head, "u32", "count", "how many structs follow"),
        row(BATCH_HEADER_BYTES, "", "structs", "StepCores or Readings, back to back"),
    ]
}

fn door() -> Vec<Row> {
    let (beat, info) = (Door::HEARTBEAT_AT, Door::INFO_AT);
    let info_bytes = format!("[u8; ≤ {}]", Door::INFO_BYTES_MAX);
    vec![
        row(0, "[u8; 64]", "header", "a DoorHeader, written once before the memory is passed"),
        row(Door::HEAD_AT, "u64", "head", "sequence of the last finished slot, 0 before the first"),
        row(beat, "u64", "heartbeat sequence", "one up at every beat, from 1"),
        row(beat + 8, "u64", "heartbeat monotonic", "`CLOCK_MONOTONIC`, ns"),
        row(beat + 16, "u64", "heartbeat wall", "`CLOCK_REALTIME`, ns; for people only"),
        row(beat + 24, "u32", "heartbeat flags", "flag bits as in a step"),
        row(beat + 28, "u32", "heartbeat crc", "CRC-32 of the 28 bytes before it"),
        row(info, "u32", "info version", "odd while the info is being written"),
        row(info + 4, "u32", "info length", "bytes of info"),
        row(info + 8, "u32", "info crc", "CRC-32 of the info bytes"),
        row(Door::INFO_BYTES_AT, &info_bytes, "info", "tag: u16, length: u16, value; and so on"),
        row(Door::SLOTS_AT, "", "slots", "of `slot_bytes` each, `slot_count` of them"),
    ]
}

/// What stands at `details_at`, where a door has details.
fn details() -> Vec<Row> {
    let head = Door::DETAILS_HEAD_BYTES;
    vec![
        row(0, "u32", "version", "odd while the details are being written; 0 before the first"),
        row(4, "u32", "length", "bytes of entries"),
        row(8, "u32", "crc", "CRC-32 of the entries' bytes"),
        row(12, "u32", "reserve", "zero"),
        row(head, "[u8; ≤ `details_bytes` - 16]", "entries", "back to back, unaligned"),
    ]
}

/// One entry of the details.
fn entry() -> Vec<Row> {
    let value = "sketch: kind u16, zero u16, offset i32, count u64, sum µs f64, max µs f64, \
                 u32 per bucket from `offset` on";
    vec![
        row(0, "u16", "tag", "what the value is; unknown tags are passed over"),
        row(2, "u16", "rank", "data-parallel rank that it is about"),
        row(4, "u32", "length", "bytes of the value"),
        row(8, "", "tag 1", value),
        row(8, "", "tag 2", "finished: count u64, then the reason in UTF-8"),
        row(8, "", "tag 3", "adapter: running u32, waiting u32, then its name in UTF-8"),
        row(
            8,
            "",
            "tag 4",
            "speculation: drafts u64, draft tokens u64, accepted tokens u64, then u64 per position",
        ),
        row(8, "", "tag 5", "transfer: transfers u64, bytes u64, failures u64, seconds f64"),
    ]
}

fn slot() -> Vec<Row> {
    vec![
        row(
            0,
            "u64",
            "sequence",
            "of the step in it, 0 before the first; what the crc does not confirm is read again",
        ),
        row(8, "u32", "length", "256"),
        row(12, "u32", "crc", "CRC-32 of the step's bytes"),
        row(Door::SLOT_HEADER_BYTES, "[u8; 256]", "step", "a StepCore"),
    ]
}

/// The bits of a step's `present`, from the list that the code uses.
fn present_bits() -> String {
    let mut text = String::from("| bit | known when set |\n|--:|---|\n");
    for field in Field::ALL {
        let _ = writeln!(text, "| {} | `{}` |", *field as u8, field.name());
    }
    text
}

/// The numbers of an enum in `source`, with what each means.
fn numbers(source: &str, name: &str) -> String {
    let begin = format!("pub enum {name} {{");
    let body = source.split_once(&begin).map_or("", |(_, rest)| rest);
    let body = body.split_once("\n}").map_or("", |(body, _)| body);
    let mut text = String::from("| number | name | meaning |\n|--:|---|---|\n");
    let mut doc = String::new();
    for line in body.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("///") {
            doc.push_str(more);
        } else if let Some((variant, number)) = line.trim_end_matches(',').split_once(" = ") {
            let doc = plain(&std::mem::take(&mut doc));
            let _ = writeln!(text, "| {number} | {variant} | {doc} |");
        }
    }
    text
}

/// Words and limits that the tables name.
fn constants() -> String {
    let text = |bytes: &[u8]| format!("`{}`", String::from_utf8_lossy(bytes));
    let rows = [
        ("STEP_LAYOUT", STEP_LAYOUT.to_string()),
        ("BATCH_BYTES_MAX", BATCH_BYTES_MAX.to_string()),
        ("NAME_BYTES_MAX", NAME_BYTES_MAX.to_string()),
        ("TRIAL_MESSAGE", text(&TRIAL_MESSAGE)),
        ("BatchHead::SNAPSHOT", BatchHead::SNAPSHOT.to_string()),
        ("BatchHead::LAST", BatchHead::LAST.to_string()),
        ("Door::MAGIC", text(&Door::MAGIC)),
        ("Door::SLOT_BYTES", Door::SLOT_BYTES.to_string()),
        ("Door::SLOTS_MAX", Door::SLOTS_MAX.to_string()),
        ("Door::INFO_BYTES_MAX", Door::INFO_BYTES_MAX.to_string()),
        ("Door::DETAILS_BYTES", Door::DETAILS_BYTES.to_string()),
        ("Door::DETAILS_BYTES_MAX", Door::DETAILS_BYTES_MAX.to_string()),
        ("BUCKETS_MAX", BUCKETS_MAX.to_string()),
        ("DETAIL_RANKS_MAX", DETAIL_RANKS_MAX.to_string()),
        ("REASONS_MAX", REASONS_MAX.to_string()),
        ("ADAPTERS_MAX", ADAPTERS_MAX.to_string()),
        ("POSITIONS_MAX", POSITIONS_MAX.to_string()),
        ("Greeting::MAGIC", text(&Greeting::MAGIC)),
    ];
    let mut table = String::from("| name | value |\n|---|---|\n");
    for (name, value) in rows {
        let _ = writeln!(table, "| `{name}` | {value} |");
    }
    table
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| at | type | name | meaning |\n|--:|---|---|---|\n");
    for (at, kind, name, doc) in rows {
        let _ = writeln!(text, "| {at} | {kind} | {name} | {doc} |");
    }
    text
}

fn tables() -> Vec<(&'static str, String)> {
    let of = |path: &str, name: &str, offsets: Offsets| {
        let rows = rows(&read(path), name, &offsets).unwrap_or_else(|why| panic!("{why}"));
        table(&rows)
    };
    vec![
        ("StepCore", of("src/schema/step.rs", "StepCore", step_core())),
        ("Reading", of("src/schema/reading.rs", "Reading", reading())),
        ("BatchHead", of("src/schema/batch.rs", "BatchHead", batch_head())),
        ("hot header", table(&hot_header())),
        ("DoorHeader", of("src/schema/door.rs", "DoorHeader", door_header())),
        ("door", table(&door())),
        ("slot", table(&slot())),
        ("details", table(&details())),
        ("entry", table(&entry())),
        ("SketchKind", numbers(&read("src/schema/sketch.rs"), "SketchKind")),
        ("Greeting", of("src/schema/door.rs", "Greeting", greeting())),
        ("GreetingKind", numbers(&read("src/schema/door.rs"), "GreetingKind")),
        ("present", present_bits()),
        ("flags", numbers(&read("src/schema/step.rs"), "Flag")),
        ("role", numbers(&read("src/schema/step.rs"), "Role")),
        ("constants", constants()),
    ]
}

/// The page with every `<!-- layout: NAME -->` … `<!-- end -->` made anew.
fn renewed(page: &str, tables: &[(&str, String)]) -> Result<String, String> {
    let mut page = page.to_owned();
    for (name, table) in tables {
        let begin = format!("<!-- layout: {name} -->\n");
        let Some((before, rest)) = page.split_once(&begin) else {
            return Err(format!("schema/README.md has no `{}`: add it", begin.trim()));
        };
        let Some((_, after)) = rest.split_once("<!-- end -->") else {
            return Err(format!("schema/README.md: `{}` has no `<!-- end -->`", begin.trim()));
        };
        page = format!("{before}{begin}{table}<!-- end -->{after}");
    }
    Ok(page)
}

fn findings(page: &str, tables: &[(&str, String)]) -> Vec<String> {
    match renewed(page, tables) {
        Err(why) => vec![why],
        Ok(renewed) if renewed != page => {
            vec!["schema/README.md: its tables are not the structs': run ./dev gen".to_owned()]
        }
        Ok(_) => vec![],
    }
}

#[test]
fn the_layout_tables_are_the_structs() {
    let page = read("schema/README.md");
    if std::env::var_os("EAGLE_EYE_BLESS").is_some() {
        let page = renewed(&page, &tables()).unwrap_or_else(|why| panic!("{why}"));
        fs::write(root().join("schema/README.md"), page).expect("the page can be written");
        return;
    }
    hold("Layout tables are fresh", &findings(&page, &tables()));
}

#[test]
fn the_hot_header_is_where_its_table_says() {
    let head = BatchHead {
        node: 1,
        incarnation: 2,
        sequence: 3,
        publish_monotonic_ns: 4,
        publish_wall_ns: 5,
        generation: 6,
        flags: 7,
    };
    for (kind, vtable_bytes, steps, readings) in
        [(HotKind::Steps, 8, 52, 0), (HotKind::Readings, 10, 0, 52)]
    {
        let mut bytes = [0; BATCH_HEADER_BYTES];
        write_header(&mut bytes, kind, &head, 9);
        let short = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let word = |at: usize| bytemuck::pod_read_unaligned::<u32>(&bytes[at..at + 4]);
        assert_eq!((word(0), &bytes[4..8]), (20, b"EEB1".as_slice()));
        assert_eq!(
            (8..20).step_by(2).map(short).collect::<Vec<_>>(),
            [vtable_bytes, 56, 4, steps, readings, 0]
        );
        assert_eq!(word(20), 12);
        assert_eq!(bytemuck::pod_read_unaligned::<BatchHead>(&bytes[24..72]), head);
        assert_eq!((word(72), word(76)), (4, 9));
    }
    assert_eq!(hot_header().last().map(|row| row.0), Some(80));
}

#[test]
fn the_places_in_a_door_do_not_overlap() {
    for rows in [door(), slot(), hot_header()] {
        for pair in rows.windows(2) {
            let kind = pair[0].1.replace("≤ ", "");
            let end = pair[0].0 + width(&kind);
            assert!(end <= pair[1].0, "{} reaches into {}", pair[0].2, pair[1].2);
        }
    }
    assert_eq!(Door::HEARTBEAT_BYTES, 32);
    assert_eq!(Door::SLOT_BYTES, Door::SLOT_HEADER_BYTES + size_of::<StepCore>());
}

#[test]
fn a_stale_table_and_a_field_out_of_place_are_found() {
    let tables = [("A", "| 0 |\n".to_owned())];
    let page = "# T\n<!-- layout: A -->\n| 0 |\n<!-- end -->\nrest";
    catches(&findings(page, &tables), &[]);
    catches(&findings(&page.replace("| 0 |", "| 8 |"), &tables), &["run ./dev gen"]);
    catches(&findings("# T", &tables), &["has no `<!-- layout: A -->`"]);

    let source = "pub struct A {\n    /// First.\n    pub a: u32,\n    pub b: [u8; 4],\n}";
    let good = (8, vec![("a", 0), ("b", 4)]);
    assert_eq!(rows(source, "A", &good).map(|rows| rows.len()), Ok(2));
    let numbers = numbers("pub enum E {\n    /// One.\n    A = 1,\n}", "E");
    assert_eq!(numbers.lines().last(), Some("| 1 | A | One. |"));
    for (bad, why) in [
        ((8, vec![("a", 0)]), "A.b is not in"),
        ((12, vec![("a", 0), ("b", 8)]), "no gaps on the wire"),
        ((16, vec![("a", 0), ("b", 4)]), "no gaps, no rest"),
    ] {
        let found = rows(source, "A", &bad).expect_err(why);
        assert!(found.contains(why), "{found}");
    }
}
