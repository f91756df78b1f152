//! Rust text as the laws read it: without comments, strings and tests.

/// The code with comments, strings and characters blanked out. Lines stay
/// where they are.
pub(crate) fn bare(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at).unwrap_or(at);
        if end > at {
            out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
            at = end;
        } else {
            out.push(chars[at]);
            at += 1;
        }
    }
    out
}

/// Where the comment, string or character that begins here ends.
fn opaque_end(chars: &[char], at: usize) -> Option<usize> {
    let ahead = |ahead: usize| chars.get(at + ahead).copied().unwrap_or('\0');
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match (chars[at], ahead(1)) {
        ('/', '/') => Some(find(chars, at, &['\n'])),
        ('/', '*') => Some(block_comment_end(chars, at)),
        ('"', _) => Some(string_end(chars, at)),
        ('r', '"' | '#') if !in_word => raw_string_end(chars, at),
        ('b', 'r') if !in_word => raw_string_end(chars, at + 1),
        ('\'', '\\') => Some(find(chars, at + 3, &['\'']) + 1),
        ('\'', _) if ahead(2) == '\'' => Some(at + 3),
        _ => None,
    }
}

fn find(chars: &[char], from: usize, wanted: &[char]) -> usize {
    let rest = chars.get(from..).unwrap_or_default();
    let ahead = rest.windows(wanted.len()).position(|window| window == wanted);
    ahead.map_or(chars.len(), |ahead| from + ahead)
}

fn block_comment_end(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at + 1 < chars.len() {
        match (chars[at], chars[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    at += 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let mut wanted = vec!['"'];
    wanted.extend(std::iter::repeat_n('#', hashes));
    Some((find(chars, at + 2 + hashes, &wanted) + wanted.len()).min(chars.len()))
}

/// Bare code without what only tests compile, blanked out.
pub(crate) fn without_tests(bare: &str) -> String {
    let mut out = bare.to_owned();
    let mut from = 0;
    while let Some(at) = out[from..].find("#[cfg(").map(|at| from + at) {
        let condition_end = balanced_end(&out, at + 1, '[', ']');
        from = condition_end;
        if !only_in_tests(&out[at..condition_end]) {
            continue;
        }
        let end = item_end(&out, condition_end);
        let blank: String =
            out[at..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        from = at + blank.len();
        out.replace_range(at..end, &blank);
    }
    out
}

fn only_in_tests(condition: &str) -> bool {
    let mut names = condition.split(|c: char| !c.is_alphanumeric() && c != '_');
    let either = condition.contains("any(") || condition.contains("not(");
    !either && names.any(|name| name == "test")
}

/// Where the item that follows ends: after its braces or its semicolon.
fn item_end(text: &str, from: usize) -> usize {
    for (at, c) in text[from..].char_indices() {
        match c {
            ';' => return from + at + 1,
            '{' => return balanced_end(text, from + at, '{', '}'),
            _ => {}
        }
    }
    text.len()
}

/// Where what opens here closes.
pub(crate) fn balanced_end(text: &str, from: usize, open: char, close: char) -> usize {
    let mut depth = 0;
    for (at, c) in text[from..].char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth -= 1;
            if depth == 0 {
                return from + at + c.len_utf8();
            }
        }
    }
    text.len()
}

/// Words and signs of code; `::` is one of them.
pub(crate) fn tokens(bare: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = bare;
    while let Some(first) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let length = match first {
            _ if word > 0 => word,
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        if !first.is_whitespace() {
            tokens.push(&rest[..length]);
        }
        rest = &rest[length..];
    }
    tokens
}

#[test]
fn comments_strings_and_characters_are_blank() {
    for (text, code) in [
        ("a // crate::x\nb", "a            \nb"),
        ("a /* b /* c */ d */ e", "a                   e"),
        (r#"f("crate::x \" y")"#, "f(               )"),
        ("r#\"a \" b\"# c", "           c"),
        ("'a' 'b", "    'b"),
        ("'\\'' x", "     x"),
        ("<'a, 'b>", "<'a, 'b>"),
        ("bar\"x\"", "bar   "),
    ] {
        assert_eq!(bare(text), code, "{text}");
    }
}

#[test]
fn tests_are_blank_and_what_follows_them_is_not() {
    for (text, kept) in [
        ("a; #[cfg(test)] mod t { use b; fn c() { d } } e;", "a; e;"),
        ("#[cfg(test)] mod tests; e;", "e;"),
        ("#[cfg(all(test, loom))] mod t { x } e;", "e;"),
        ("#[cfg(not(test))] mod t { x }", "#[cfg(not(test))] mod t { x }"),
        ("#[cfg(loom)] mod t { x }", "#[cfg(loom)] mod t { x }"),
    ] {
        let words: Vec<_> = tokens(kept);
        assert_eq!(tokens(&without_tests(text)), words, "{text}");
    }
}
