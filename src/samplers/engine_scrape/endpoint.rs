//! Where an engine's page is, and what the engine is called.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ureq_proto::http::Uri;

/// Where pages are unless the address says otherwise.
pub(super) const PATH: &str = "/metrics";

/// Longest address.
const ENDPOINT_BYTES_MAX: usize = 512;

/// One engine's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// A name or an address, an IPv6 one without its brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query.
    pub(super) path: String,
    /// What the configuration calls the engine; empty where it does not.
    pub(super) name: String,
}

impl Endpoint {
    /// From `host:port`, `http://host:port/path`, either with `=name` behind.
    ///
    /// # Errors
    ///
    /// A sentence with what is wrong.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "\"{text}\" {why}; write host:port or http://host:port/path, with =name behind it if you like"
            )
        };
        if text.len() > ENDPOINT_BYTES_MAX || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong("is too long or has odd characters"));
        }
        let (address, name) = text.rsplit_once('=').unwrap_or((text, ""));
        if address.starts_with("https://") {
            return Err(format!(
                "\"{text}\" asks for TLS, which engine_scrape does not speak; give it the engine's plain port on a network that you trust"
            ));
        }
        let rest = address.strip_prefix("http://").unwrap_or(address);
        if rest.contains("://") {
            return Err(wrong("is no http address"));
        }
        let uri: Uri = format!("http://{rest}").parse().map_err(|_| wrong("is no address"))?;
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("has a user, which nobody would hide"));
        }
        let port = uri.port_u16().filter(|port| *port > 0).ok_or_else(|| wrong("has no port"))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let path = match uri.path_and_query().map_or("/", |path| path.as_str()) {
            "/" => PATH,
            path => path,
        };
        Ok(Self { host, port, path: path.to_owned(), name: name.to_owned() })
    }

    /// Of a port that listens on this host.
    pub(super) fn listening(address: SocketAddr, path: &str) -> Self {
        Self {
            host: address.ip().to_string(),
            port: address.port(),
            path: path.to_owned(),
            name: String::new(),
        }
    }

    /// Its address, where nobody need be asked for it.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        let ip = match self.host.as_str() {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host.parse().ok()?,
        };
        Some(SocketAddr::new(ip, self.port))
    }

    /// Host and port as others dial it: what is local to us is our node's.
    pub(super) fn dialled(&self, node: &str) -> String {
        let local = self.address().is_some_and(|address| address.ip().is_loopback());
        match &self.host {
            _ if local => format!("{node}:{}", self.port),
            host if host.contains(':') => format!("[{host}]:{}", self.port),
            host => format!("{host}:{}", self.port),
        }
    }

    /// What to ask for.
    pub(super) fn uri(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        format!("http://{host}:{}{}", self.port, self.path)
    }
}

/// Whether this address is one of this host's, so that what listens there is
/// a process of ours. Sends nothing.
pub(super) fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || std::net::UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_what_it_leaves_out() {
        for (text, host, port, path, name, dialled) in [
            ("10.0.0.7:8000", "10.0.0.7", 8000, "/metrics", "", "10.0.0.7:8000"),
            ("localhost:1=a/b", "localhost", 1, "/metrics", "a/b", "n1:1"),
            ("http://h:80/", "h", 80, "/metrics", "", "h:80"),
            ("http://h:81/p/m?x=1=n", "h", 81, "/p/m?x=1", "n", "h:81"),
            ("[::1]:9", "::1", 9, "/metrics", "", "n1:9"),
            ("[fd00::2]:9=n", "fd00::2", 9, "/metrics", "n", "[fd00::2]:9"),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(
                (endpoint.host.as_str(), endpoint.port, endpoint.path.as_str()),
                (host, port, path),
                "{text}"
            );
            assert_eq!(
                (endpoint.name.as_str(), endpoint.dialled("n1")),
                (name, dialled.to_owned())
            );
        }
        assert_eq!(Endpoint::parse("[::1]:9/x").unwrap().uri(), "http://[::1]:9/x");
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_sentence() {
        for (text, part) in [
            ("", "is no address"),
            ("host", "has no port"),
            ("host:0", "has no port"),
            ("host:99999", "has no port"),
            (":8000", "has no host"),
            ("https://h:1", "TLS"),
            ("ftp://h:1", "no http"),
            ("u:p@h:1", "has a user"),
            ("h:1/\r\nx", "odd characters"),
            ("h:1/ü", "odd characters"),
        ] {
            let why = Endpoint::parse(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn an_address_of_this_host_is_known() {
        assert!(is_own("127.0.0.1".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()), "reserved for documentation");
    }
}
