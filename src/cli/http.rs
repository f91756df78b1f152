//! One question to the agent's HTTP server, bounded in bytes and time.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::platform::clock;

/// How long an answer may take in all, and one step of it.
const ANSWER_NS: u64 = 2 * clock::SECOND_NS;
const STEP: Duration = Duration::from_millis(700);

/// Bytes of an answer; a longer one is no answer of ours.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A status and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Asks `path` of whoever listens at `address`.
pub(super) fn ask(address: SocketAddr, path: &str) -> Result<Answer, String> {
    let bytes = exchange(reachable(address), path).map_err(|error| error.to_string())?;
    answer(&bytes).ok_or_else(|| "what answers is no HTTP server".to_owned())
}

/// Where a server that listens everywhere is found from here.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    address
}

fn exchange(address: SocketAddr, path: &str) -> std::io::Result<Vec<u8>> {
    let deadline_ns = clock::monotonic_ns() + ANSWER_NS;
    let mut stream = TcpStream::connect_timeout(&address, STEP)?;
    stream.set_read_timeout(Some(STEP))?;
    stream.set_write_timeout(Some(STEP))?;
    let asking = format!("GET {path} HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(asking.as_bytes())?;
    let mut bytes = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        match stream.read(&mut part)? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&part[..count]),
        }
        if bytes.len() > ANSWER_BYTES_MAX || clock::monotonic_ns() > deadline_ns {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
    }
}

fn answer(bytes: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_a_status_and_a_body_or_none() {
        let said = |status, body: &str| Some(Answer { status, body: body.to_owned() });
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 OK\r\na: b\r\n\r\nok\n"[..], said(200, "ok\n")),
            (b"HTTP/1.0 503 No\r\n\r\n", said(503, "")),
            (b"HTTP/1.1 many\r\n\r\n", None),
            (b"SSH-2.0-x\r\n\r\n", None),
            (b"\xff\r\n\r\n", None),
            (b"", None),
        ] {
            assert_eq!(answer(bytes), expected);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_none(bytes: Vec<u8>) {
            let whole = [&b"HTTP/1.1 "[..], &bytes].concat();
            for bytes in [&bytes, &whole] {
                if let Some(answer) = answer(bytes) {
                    proptest::prop_assert!(answer.body.len() <= bytes.len());
                }
            }
        }
    }

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        for (listens, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1")]
        {
            let address: SocketAddr = listens.parse().unwrap();
            assert_eq!(reachable(address), asked.parse().unwrap());
        }
    }
}
