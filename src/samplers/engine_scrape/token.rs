//! The bearer token of the configuration: read again now and then, since
//! whoever hands out tokens replaces them, and never shown.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::platform::clock::SECOND_NS;

/// Longest token.
const TOKEN_BYTES_MAX: u64 = 8192;

/// How often the file is read.
const REFRESH_NS: u64 = 60 * SECOND_NS;

/// A token in a file.
pub(super) struct Token {
    path: PathBuf,
    text: Option<String>,
    next_ns: u64,
}

impl Token {
    /// The token in this file, which is not read yet.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), text: None, next_ns: 0 }
    }

    /// Reads the file again when it is time. A file that cannot be read leaves
    /// the token that was there.
    pub(super) fn refresh(&mut self, now_ns: u64) {
        if now_ns >= self.next_ns {
            self.next_ns = now_ns + REFRESH_NS;
            if let Ok(text) = read(&self.path) {
                self.text = Some(text);
            }
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("path", &self.path).finish_non_exhaustive()
    }
}

/// The first line of a file, if it can stand in a header.
///
/// # Errors
///
/// A sentence without a byte of what stands there.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot be read: {error}");
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(TOKEN_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]).trim_ascii();
    let fits = !line.is_empty() && line.len() as u64 <= TOKEN_BYTES_MAX;
    if !fits || !line.iter().all(u8::is_ascii_graphic) {
        return Err("its first line is no token: printable characters without blanks".to_owned());
    }
    Ok(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_line_that_fits_a_header_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (text, expected) in [
            ("abc.DEF-1\n", Some("abc.DEF-1")),
            ("  abc \r\nmore", Some("abc")),
            ("", None),
            ("\n", None),
            ("a b", None),
            ("a\x01", None),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path).ok().as_deref(), expected, "{text:?}");
        }
        std::fs::write(&path, "sesame\n").unwrap();
        let mut token = Token::new(&path);
        token.refresh(0);
        assert_eq!(token.text(), Some("sesame"));
        assert!(!format!("{token:?}").contains("sesame"));
        std::fs::remove_file(&path).unwrap();
        token.refresh(REFRESH_NS);
        assert_eq!(token.text(), Some("sesame"), "until there is another");
    }
}
