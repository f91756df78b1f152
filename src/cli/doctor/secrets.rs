//! What must never be shown, and hiding it.
//!
//! Two nets: a setting that is a secret by its name is never written; and
//! whatever text leaves, wherever it came from, is searched for every secret
//! that this run knows, in the spellings that JSON and URLs give it, and for
//! logins in URLs.

use std::collections::HashMap;

/// What stands in place of a secret.
pub(super) const HIDDEN: &str = "[hidden]";

/// A shorter word is no secret worth the name, and would be found in every
/// other word.
const SECRET_BYTES_LEAST: usize = 4;

/// How often a text is searched anew for one secret.
const ROUNDS_MAX: usize = 8;

/// Words by which a setting's key says that its value is a secret.
const SECRET_KEYS: [&str; 8] =
    ["password", "token", "secret", "bearer", "authorization", "headers", "seed", "api_key"];

/// The secrets of this run.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Those in settings, and in variables named as settings are, whether or
    /// not these were understood.
    pub(super) fn of(
        values: &HashMap<String, String>,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let mut secrets = Self::default();
        for (key, value) in values {
            secrets.take(key, value);
        }
        for (name, value) in variables {
            secrets.take(&name.to_lowercase(), &value);
        }
        // The longest first: a secret may hold another.
        secrets.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.0.dedup();
        secrets
    }

    fn take(&mut self, key: &str, value: &str) {
        if is_secret(key) {
            self.add(value);
        }
        for login in logins(value) {
            // A user's name alone is no secret; a token in its place is.
            self.add(login);
            self.add(login.split_once(':').map_or(login, |(_, password)| password));
        }
    }

    fn add(&mut self, secret: &str) {
        let spellings = [secret.to_owned(), decoded(secret), encoded(secret), escaped(secret)];
        self.0.extend(spellings.into_iter().filter(|s| s.len() >= SECRET_BYTES_LEAST));
    }

    /// `text` without secrets.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = without_logins(text);
        for secret in self.0.iter().filter(|secret| !HIDDEN.contains(secret.as_str())) {
            // What is put in may make the secret anew with what stands beside.
            for _ in 0..ROUNDS_MAX {
                if !text.contains(secret.as_str()) {
                    break;
                }
                text = text.replace(secret.as_str(), HIDDEN);
            }
        }
        text
    }

    /// A setting's value as it may be written.
    pub(super) fn setting(&self, key: &str, value: &str) -> String {
        if is_secret(key) && !value.is_empty() { HIDDEN.to_owned() } else { self.hide(value) }
    }
}

/// Whether the value of this setting is a secret. A file that holds one is
/// named, and never read.
fn is_secret(key: &str) -> bool {
    let last = key.rsplit('.').next().unwrap_or(key);
    !last.ends_with("file") && SECRET_KEYS.iter().any(|word| last.contains(word))
}

/// What stands before the `@` of URLs in `text`. A list may hold several, and
/// a password may hold commas and slashes: all up to the last `@` before the
/// next URL.
fn logins(text: &str) -> impl Iterator<Item = &str> {
    let mut parts = text.split("://");
    let first = parts.next().into_iter().filter(|_| !text.contains("://"));
    first.chain(parts).filter_map(|part| {
        let part = part.split(['\n', '"', ' ']).next().unwrap_or(part);
        part.rsplit_once('@').map(|(login, _)| login).filter(|login| !login.is_empty())
    })
}

fn without_logins(text: &str) -> String {
    let mut parts = text.split("://");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        whole.push_str("://");
        let (url, rest) = part.split_at(part.find(['\n', '"', ' ']).unwrap_or(part.len()));
        match url.rsplit_once('@') {
            Some((_, host)) => whole.extend([HIDDEN, "@", host, rest]),
            None => whole.push_str(part),
        }
    }
    whole
}

fn escaped(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}

/// As a URL spells it.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// As a URL means it.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = more.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[2..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(pairs: &[(&str, &str)]) -> Secrets {
        let values = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Secrets::of(&values, [])
    }

    #[test]
    fn secrets_are_hidden_in_every_spelling() {
        let secrets = secrets(&[
            ("nats.password", "ge\"heim"),
            ("nats.urls", "nats://me:s%40cret@a:1,nats://tok-en@b:2"),
            ("nats.user", "me"),
        ]);
        for text in [
            "ge\"heim",
            "{\"a\":\"ge\\\"heim\"}",
            "says ge%22heim",
            "s@cret and s%40cret",
            "nats://x:whatever@h",
            "token tok-en",
        ] {
            let hidden = secrets.hide(text);
            for word in ["heim", "cret", "whatever", "tok-en"] {
                assert!(!hidden.contains(word), "{text}: {hidden}");
            }
        }
        assert_eq!(secrets.hide("nats://a:1 says me"), "nats://a:1 says me");
    }

    proptest::proptest! {
        #[test]
        fn no_secret_is_left_in_any_text(secret in "[!-~]{4,12}", before: String, after: String) {
            let secrets = secrets(&[("nats.password", &secret)]);
            let text = format!("{before}{secret}{after}");
            let json = serde_json::to_string(&text).unwrap();
            for text in [text, json] {
                let hidden = secrets.hide(&text);
                proptest::prop_assert!(!hidden.contains(&secret) || HIDDEN.contains(&secret));
            }
        }
    }

    #[test]
    fn a_setting_that_is_a_secret_by_its_name_is_not_shown_however_short() {
        let secrets = secrets(&[]);
        for (key, value, shown) in [
            ("nats.password", "a", HIDDEN),
            ("nats.password", "", ""),
            ("nats.token", "t", HIDDEN),
            ("samplers.engine_scrape.bearer", "t", HIDDEN),
            ("nats.credentials_file", "/etc/user.creds", "/etc/user.creds"),
            ("samplers.engine_scrape.token_file", "/etc/token", "/etc/token"),
            ("nats.urls", "nats://u:p,q@a,nats://b", "nats://[hidden]@a,nats://b"),
        ] {
            assert_eq!(secrets.setting(key, value), shown, "{key}");
        }
    }

    #[test]
    fn variables_are_searched_even_where_no_setting_has_their_name() {
        let variables = [("EAGLE_EYE_NATS_PASSWORT_TOKEN".to_owned(), "geheim".to_owned())];
        let secrets = Secrets::of(&HashMap::new(), variables);
        assert_eq!(secrets.hide("x geheim"), "x [hidden]");
    }
}
