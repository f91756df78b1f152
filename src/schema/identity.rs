//! Names, their hashes, and how they stand in a subject.

/// The longest name that the wire carries; longer ones are cut at a character.
pub const NAME_BYTES_MAX: usize = 255;

/// Longest text of an event or verdict, bytes; a longer one is cut.
pub const TEXT_BYTES_MAX: usize = 4096;

/// The 64-bit FNV-1a hash of a name, by which hot structs refer to it.
///
/// FNV is chosen since any language writes it in five lines; it protects
/// against chance, not against an enemy, who could as well lie about his name.
#[must_use]
pub const fn name_hash(name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut at = 0;
    while at < bytes.len() {
        hash ^= bytes[at] as u64;
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

/// A name as one token of a subject: `[A-Za-z0-9_-]`, anything else is `_`.
///
/// The true name travels inside the message. An empty name becomes `_`.
#[must_use]
pub fn subject_token(name: &str) -> String {
    if name.is_empty() {
        return "_".to_owned();
    }
    let keep = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    bounded_name(name).chars().map(keep).collect()
}

/// A name cut to [`NAME_BYTES_MAX`] at a character's boundary.
#[must_use]
pub fn bounded_name(name: &str) -> &str {
    &name[..name.floor_char_boundary(NAME_BYTES_MAX)]
}

/// A text cut to [`TEXT_BYTES_MAX`] at a character's boundary.
#[must_use]
pub fn bounded_text(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_agree_with_the_published_vectors_of_fnv_1a() {
        assert_eq!(name_hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(name_hash("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(name_hash("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_token_keeps_letters_digits_underscore_and_hyphen() {
        for (name, token) in [
            ("meta-llama/Llama-3.1-8B", "meta-llama_Llama-3_1-8B"),
            ("node.one", "node_one"),
            ("", "_"),
            ("a b>*", "a_b__"),
            ("é", "_"),
        ] {
            assert_eq!(subject_token(name), token);
        }
    }

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let long = "é".repeat(200);
        assert_eq!(bounded_name(&long).len(), 254);
    }
}
