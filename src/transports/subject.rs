//! Subjects and the patterns that choose among them.

/// Whether `subject` fits `pattern`: tokens are separated by dots, `*` stands
/// for one token, `>` at the end for one or more.
#[must_use]
pub fn subject_fits(pattern: &str, subject: &str) -> bool {
    let mut tokens = subject.split('.');
    let mut wanted = pattern.split('.').peekable();
    while let Some(want) = wanted.next() {
        let Some(token) = tokens.next() else { return false };
        if want == ">" && wanted.peek().is_none() {
            return true;
        }
        if want != "*" && want != token {
            return false;
        }
    }
    tokens.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_subjects_by_token() {
        let check = |pattern, subject, fits| {
            assert_eq!(subject_fits(pattern, subject), fits, "{pattern} against {subject}");
        };
        check("a.b", "a.b", true);
        check("a.b", "a.c", false);
        check("a.b", "a.b.c", false);
        check("a.b.c", "a.b", false);
        check("a.*", "a.b", true);
        check("a.*", "a", false);
        check("a.*", "a.b.c", false);
        check("a.*.c", "a.b.c", true);
        check("a.>", "a.b", true);
        check("a.>", "a.b.c", true);
        check("a.>", "a", false);
        check(">", "a", true);
        check("*", "ab", true);
        check("a.>.c", "a.b.c", false);
    }
}
