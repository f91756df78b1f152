//! Where NATS is and how to be let in.
//!
//! Raw settings are checked as a whole, every mistake at once. Whatever is
//! said about them, in an error or in a debug print, holds no secret: URLs
//! are shown without what stands before the `@`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::ServerAddr;
use nkeys::{KeyPair, KeyPairType};

use super::login::Login;

/// The most URLs that may be configured, and servers known at a time.
pub const SERVERS_MAX: usize = 64;

/// A word that never shows in prints or errors.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// How to reach and enter NATS.
#[derive(Clone)]
pub struct NatsSettings {
    /// Servers, as `nats://host:4222` or `tls://host`; a user and password
    /// (or a token alone) before an `@` hold for that server.
    pub urls: Vec<String>,
    /// The name under which the server lists this connection.
    pub name: String,
    /// User name; together with `password`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// Token, instead of a user.
    pub token: Option<Secret>,
    /// Seed of a user NKey (`SU…`), instead of a user.
    pub nkey_seed: Option<Secret>,
    /// A credentials file (JWT and seed), instead of a user. Read again at
    /// every connection, so a renewed file is taken without a restart.
    pub credentials_file: Option<PathBuf>,
    /// Encryption.
    pub tls: TlsSettings,
    /// How long one address may take to let us in; at most 1 s is sensible.
    pub connect_timeout: Duration,
    /// How often a silent server is asked whether it lives. It counts as gone
    /// after two questions without an answer: 300 ms detect within a second.
    pub ping_interval: Duration,
    /// Attempts to connect are spread evenly between nothing and a delay that
    /// doubles up to this, so that a fleet does not return as one.
    pub reconnect_delay_max: Duration,
    /// Batches that may wait for the sending thread. When it is full, the
    /// offered batch is dropped and counted, and the newest full state takes
    /// the place of everything that waits.
    pub queue_batches: usize,
    /// Commands that may wait inside the NATS client. Small, because what
    /// waits there grows old and cannot be called back.
    pub client_capacity: usize,
    /// Messages that one subscription may hold before the newest are lost,
    /// which is counted.
    pub subscription_capacity: usize,
    /// First token of reply subjects; a server can restrict a user to its own.
    pub inbox_prefix: String,
    /// Whether to use addresses that servers tell of each other. Off, because
    /// behind a load balancer or address translation they often lead nowhere;
    /// list several URLs instead. On, it helps where one seed URL leads into
    /// a cluster.
    pub servers_discovered: bool,
    /// Requests are answered after a random hold up to this, so that a
    /// thousand answers do not arrive as one burst.
    pub answer_hold_max: Duration,
}

/// Encryption and certificates.
#[derive(Debug, Clone, Default)]
pub struct TlsSettings {
    /// Refuse servers that do not encrypt.
    pub required: bool,
    /// Encrypt before the server says a word (`handshake_first` there).
    pub handshake_first: bool,
    /// Certificates of the authority that signed the server's, as PEM; the
    /// system's when absent.
    pub ca: Option<PathBuf>,
    /// Our certificate, as PEM; together with `key`.
    pub cert: Option<PathBuf>,
    /// The private key of `cert`, as PEM.
    pub key: Option<PathBuf>,
}

/// A setting that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// There is no URL.
    #[error("no NATS URL is set: give at least one, such as nats://127.0.0.1:4222")]
    UrlMissing,
    /// There are too many.
    #[error("{0} NATS URLs are set, at most {SERVERS_MAX} are possible")]
    UrlsTooMany(usize),
    /// It cannot be understood.
    #[error("cannot read the NATS URL {url}: {reason}; write nats://host:port or tls://host:port")]
    UrlInvalid {
        /// The URL without its secret.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Two ways to log in.
    #[error("{0} are both set: choose one way to log in to NATS")]
    LoginsSeveral(&'static str),
    /// A password without a user, or the reverse.
    #[error("user and password of NATS belong together, one of them is missing")]
    PasswordAlone,
    /// Not a user's seed.
    #[error("the NKey seed is not a user's: it starts with SU and has 58 characters")]
    NkeyInvalid,
    /// A certificate without its key, or the reverse.
    #[error("certificate and key for NATS belong together, one of them is missing")]
    CertificateAlone,
    /// A number outside of what works.
    #[error("{name} is {value}, it must be {limits}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        limits: &'static str,
    },
}

/// One server that settings name, ready to be dialled.
#[derive(Debug, Clone)]
pub(super) struct ServerNamed {
    pub(super) address: ServerAddr,
    pub(super) login: Login,
}

impl Secret {
    /// Hides `word`.
    #[must_use]
    pub fn new(word: impl Into<String>) -> Self {
        Self(word.into())
    }

    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(word: &str) -> Self {
        Self::new(word)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hidden)")
    }
}

impl fmt::Debug for NatsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<_> = self.urls.iter().map(|url| without_secret(url)).collect();
        f.debug_struct("NatsSettings")
            .field("urls", &urls)
            .field("name", &self.name)
            .field("user", &self.user)
            .field("password", &self.password)
            .field("token", &self.token)
            .field("nkey_seed", &self.nkey_seed)
            .field("credentials_file", &self.credentials_file)
            .field("tls", &self.tls)
            .field("connect_timeout", &self.connect_timeout)
            .field("ping_interval", &self.ping_interval)
            .field("reconnect_delay_max", &self.reconnect_delay_max)
            .field("queue_batches", &self.queue_batches)
            .field("client_capacity", &self.client_capacity)
            .field("subscription_capacity", &self.subscription_capacity)
            .field("inbox_prefix", &self.inbox_prefix)
            .field("servers_discovered", &self.servers_discovered)
            .field("answer_hold_max", &self.answer_hold_max)
            .finish()
    }
}

impl Default for NatsSettings {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            name: "eagle-eye".into(),
            user: None,
            password: None,
            token: None,
            nkey_seed: None,
            credentials_file: None,
            tls: TlsSettings::default(),
            connect_timeout: Duration::from_secs(1),
            ping_interval: Duration::from_millis(300),
            reconnect_delay_max: Duration::from_secs(1),
            queue_batches: 64,
            client_capacity: 32,
            subscription_capacity: 1024,
            inbox_prefix: "_INBOX".into(),
            servers_discovered: false,
            answer_hold_max: Duration::from_millis(100),
        }
    }
}

impl NatsSettings {
    /// Settings for `urls` and nothing else.
    #[must_use]
    pub fn with_urls<T: Into<String>>(urls: impl IntoIterator<Item = T>) -> Self {
        Self { urls: urls.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Looks for mistakes.
    ///
    /// # Errors
    ///
    /// All of them, each with what to do.
    pub fn check(&self) -> Result<(), Vec<SettingsError>> {
        self.servers().map(drop)
    }

    /// The servers to dial, when nothing is wrong with the settings.
    pub(super) fn servers(&self) -> Result<Vec<ServerNamed>, Vec<SettingsError>> {
        let mut faults = self.faults();
        let common = self.login();
        let mut servers = Vec::new();
        for url in &self.urls {
            match server_named(url, &common) {
                Ok(server) => servers.push(server),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(servers) } else { Err(faults) }
    }

    fn login(&self) -> Login {
        if let Some(path) = &self.credentials_file {
            Login::Credentials(path.clone())
        } else if let Some(seed) = &self.nkey_seed {
            Login::Nkey(seed.clone())
        } else if let Some(token) = &self.token {
            Login::Token(token.clone())
        } else if let (Some(user), Some(password)) = (&self.user, &self.password) {
            Login::Password { user: user.clone(), password: password.clone() }
        } else {
            Login::Nobody
        }
    }

    fn faults(&self) -> Vec<SettingsError> {
        let mut faults = Vec::new();
        match self.urls.len() {
            0 => faults.push(SettingsError::UrlMissing),
            1..=SERVERS_MAX => {}
            many => faults.push(SettingsError::UrlsTooMany(many)),
        }
        let ways = [
            ("user", self.user.is_some() || self.password.is_some()),
            ("token", self.token.is_some()),
            ("NKey seed", self.nkey_seed.is_some()),
            ("credentials file", self.credentials_file.is_some()),
        ];
        let set: Vec<_> = ways.iter().filter(|way| way.1).map(|way| way.0).collect();
        if set.len() > 1 {
            faults.push(SettingsError::LoginsSeveral(pair_named(set[0], set[1])));
        }
        if self.user.is_some() != self.password.is_some() {
            faults.push(SettingsError::PasswordAlone);
        }
        if self.nkey_seed.as_ref().is_some_and(|seed| !is_user_seed(seed.reveal())) {
            faults.push(SettingsError::NkeyInvalid);
        }
        if self.tls.cert.is_some() != self.tls.key.is_some() {
            faults.push(SettingsError::CertificateAlone);
        }
        self.push_range_faults(&mut faults);
        faults
    }

    fn push_range_faults(&self, faults: &mut Vec<SettingsError>) {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let ranges = [
            (
                "connect_timeout (ms)",
                milliseconds(self.connect_timeout),
                10..=10_000,
                "10 to 10000",
            ),
            ("ping_interval (ms)", milliseconds(self.ping_interval), 50..=60_000, "50 to 60000"),
            (
                "reconnect_delay_max (ms)",
                milliseconds(self.reconnect_delay_max),
                10..=60_000,
                "10 to 60000",
            ),
            ("answer_hold_max (ms)", milliseconds(self.answer_hold_max), 0..=5_000, "0 to 5000"),
            ("queue_batches", self.queue_batches as u64, 1..=65_536, "1 to 65536"),
            ("client_capacity", self.client_capacity as u64, 1..=2_048, "1 to 2048"),
            ("subscription_capacity", self.subscription_capacity as u64, 1..=65_536, "1 to 65536"),
        ];
        for (name, value, range, limits) in ranges {
            if !range.contains(&value) {
                faults.push(SettingsError::OutOfRange { name, value: value.to_string(), limits });
            }
        }
        let prefix = &self.inbox_prefix;
        let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let whole = !prefix.split('.').any(str::is_empty);
        if !whole || prefix.len() > 128 || !prefix.bytes().all(word) {
            faults.push(SettingsError::OutOfRange {
                name: "inbox_prefix",
                value: format!("{prefix:?}"),
                limits: "tokens of letters, digits, _ and -, separated by dots",
            });
        }
    }
}

/// `scheme://host:port` of an address: what may be shown.
pub(super) fn label(address: &ServerAddr) -> String {
    let host = address.host();
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{}://{open}{host}{close}:{}", address.scheme(), address.port())
}

fn server_named(url: &str, common: &Login) -> Result<ServerNamed, SettingsError> {
    let invalid = |reason: &str| SettingsError::UrlInvalid {
        url: without_secret(url),
        reason: reason.to_owned(),
    };
    let given: ServerAddr = url.trim().parse().map_err(|error: std::io::Error| {
        // The parser's message names the fault only, never the text.
        invalid(&error.to_string())
    })?;
    if given.is_websocket() {
        return Err(invalid("WebSocket is not spoken here"));
    }
    if given.host().is_empty() {
        return Err(invalid("it names no host"));
    }
    let login = match (given.username(), given.password()) {
        (None, None) => common.clone(),
        (Some(token), None) => Login::Token(Secret::new(percent_decoded(token))),
        (user, password) => Login::Password {
            user: percent_decoded(user.unwrap_or_default()),
            password: Secret::new(percent_decoded(password.unwrap_or_default())),
        },
    };
    let bare = label(&given).parse().map_err(|_| invalid("its host and port do not fit"))?;
    Ok(ServerNamed { address: bare, login })
}

/// The URL as it may be shown, whether or not it can be understood.
fn without_secret(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let shown = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let shown: String = shown.chars().take(128).collect();
    if scheme.is_empty() { shown } else { format!("{scheme}://{shown}") }
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) if bytes[at] == b'%' => {
                plain.push(byte);
                at += 3;
            }
            _ => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

fn is_user_seed(seed: &str) -> bool {
    KeyPair::from_seed(seed).is_ok_and(|pair| pair.key_pair_type() == KeyPairType::User)
}

fn pair_named(one: &str, other: &str) -> &'static str {
    match (one, other) {
        ("user", "token") => "user and token",
        ("user", "NKey seed") => "user and NKey seed",
        ("user", _) => "user and credentials file",
        ("token", "NKey seed") => "token and NKey seed",
        ("token", _) => "token and credentials file",
        _ => "NKey seed and credentials file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut NatsSettings), expected: &[&str]) {
        let mut settings = NatsSettings::with_urls(["nats://127.0.0.1:4222"]);
        change(&mut settings);
        let said: Vec<_> = match settings.check() {
            Ok(()) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(said.len(), expected.len(), "{said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.contains(expected), "{said:?} should say {expected:?}");
        }
    }

    #[test]
    fn every_mistake_is_told_at_once_and_says_what_to_do() {
        check(|_| {}, &[]);
        check(|s| s.urls.clear(), &["at least one"]);
        check(|s| s.urls = vec!["nats://a".into(); 65], &["at most 64"]);
        check(|s| s.urls = vec!["http://a".into()], &["invalid scheme"]);
        check(|s| s.urls = vec!["ws://a".into()], &["WebSocket"]);
        check(|s| s.urls = vec!["nats://".into(), "nats://a:b".into()], &["cannot", "cannot"]);
        check(|s| s.user = Some("u".into()), &["belong together"]);
        check(|s| s.nkey_seed = Some("SUnot".into()), &["starts with SU"]);
        check(|s| s.tls.key = Some("k".into()), &["belong together"]);
        check(|s| s.ping_interval = Duration::ZERO, &["ping_interval"]);
        check(|s| s.queue_batches = 0, &["queue_batches"]);
        check(|s| s.inbox_prefix = "a..b".into(), &["inbox_prefix"]);
        check(|s| s.inbox_prefix = "a >".into(), &["inbox_prefix"]);
        check(
            |s| {
                s.token = Some("t".into());
                s.credentials_file = Some("f".into());
                s.client_capacity = 0;
            },
            &["token and credentials file", "client_capacity"],
        );
    }

    #[test]
    fn neither_prints_nor_errors_hold_a_secret() {
        let settings = NatsSettings {
            password: Some("hush1".into()),
            token: Some("hush2".into()),
            nkey_seed: Some("hush3".into()),
            urls: vec!["nats://me:hush4@[bad".into(), "http://hush5@h".into()],
            ..NatsSettings::default()
        };
        let faults = settings.check().unwrap_err();
        let said =
            format!("{faults:?} {}", faults.iter().map(ToString::to_string).collect::<String>());
        assert!(!said.contains("hush"), "{said}");
        let printed = format!("{settings:?}");
        for hidden in ["hush1", "hush2", "hush3"] {
            assert!(!printed.contains(hidden), "{printed}");
        }
        assert!(!printed.contains("hush4"), "{printed}");
    }

    #[test]
    fn a_url_brings_its_own_login() {
        let settings =
            NatsSettings::with_urls(["nats://me:s%40crt@h:1", "tls://tok@[::1]", "plain"]);
        let servers = settings.servers().unwrap();
        assert!(matches!(&servers[0].login, Login::Password { user, password }
            if user == "me" && password.reveal() == "s@crt"));
        assert!(matches!(&servers[1].login, Login::Token(token) if token.reveal() == "tok"));
        assert!(matches!(&servers[2].login, Login::Nobody));
        let labels: Vec<_> = servers.iter().map(|server| label(&server.address)).collect();
        assert_eq!(labels, ["nats://h:1", "tls://[::1]:4222", "nats://plain:4222"]);
    }
}
