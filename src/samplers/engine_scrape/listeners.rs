//! Who listens on this host's ports: `/proc/net/tcp`, and whose socket it is.
//!
//! The kernel tells of listening sockets before all others, so only the start
//! of the file is read, however many connections a host has. The file is that
//! of our own network namespace, which is exactly what we can dial.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::super::procfs::{fields, lines, number};

/// Most listening sockets that are looked at.
pub const LISTENERS_MAX: usize = 1024;

/// How much of the file is read; a line has 150 bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Most descriptors that are looked at to find who owns a socket.
const DESCRIPTORS_MAX: usize = 65_536;

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listener {
    /// Where, as it was bound.
    pub address: SocketAddr,
    /// The socket's own number.
    pub inode: u64,
}

/// The listening sockets in the text of `/proc/net/tcp` or `tcp6`.
pub fn parse(text: &[u8], mut take: impl FnMut(Listener)) {
    const LISTENS: &[u8] = b"0A";
    let mut count = 0;
    for line in lines(text).skip(1) {
        let mut fields = fields(line);
        let (Some(local), Some(state)) = (fields.nth(1), fields.nth(1)) else { continue };
        if state != LISTENS || count == LISTENERS_MAX {
            return;
        }
        count += 1;
        let inode = fields.nth(5).and_then(number);
        if let (Some(address), Some(inode)) = (address(local), inode) {
            take(Listener { address, inode });
        }
    }
}

/// `0100007F:1F90`: each 32-bit word in the host's byte order, which is little.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let (ip, port) = text.split_once(':')?;
    let port = (port.len() == 4).then(|| u16::from_str_radix(port, 16).ok())??;
    let word = |at: usize| {
        let digits = ip.get(8 * at..8 * at + 8)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_le_bytes())
    };
    let ip = match ip.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for at in 0..4 {
                bytes[4 * at..4 * at + 4].copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// How many TCP sockets are in use here, of IPv4 and IPv6: where neither
/// number has moved, hardly anyone new listens. Where it cannot be had, nothing.
///
/// To list the sockets costs the kernel a walk of its whole table, 2 ms for
/// each read on a machine at rest; these numbers it keeps.
pub(super) fn sockets_in_use(proc: &Path) -> Option<[u64; 2]> {
    let used = |name: &str, row: &[u8]| {
        let mut text = Vec::new();
        let file = File::open(proc.join(name)).ok()?;
        file.take(FILE_BYTES_MAX).read_to_end(&mut text).ok()?;
        in_use(&text, row)
    };
    // A kernel without IPv6 has no such file.
    Some([used("net/sockstat", b"TCP:")?, used("net/sockstat6", b"TCP6:").unwrap_or(0)])
}

/// `TCP: inuse 5 orphan 0 …`
fn in_use(text: &[u8], row: &[u8]) -> Option<u64> {
    lines(text).find_map(|line| {
        let mut fields = fields(line);
        let named = fields.next()? == row && fields.next()? == b"inuse";
        named.then(|| fields.next().and_then(number))?
    })
}

/// Every listening socket that can be dialled from here, one for each port
/// and address, IPv4 first.
///
/// # Errors
///
/// When not even the file of IPv4 can be read.
pub(super) fn listeners(proc: &Path) -> io::Result<Vec<Listener>> {
    let mut all = Vec::new();
    let mut text = Vec::new();
    for (name, must) in [("net/tcp", true), ("net/tcp6", false)] {
        text.clear();
        let read = File::open(proc.join(name))
            .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut text));
        match read {
            Ok(_) => parse(&text, |listener| all.push(listener)),
            Err(error) if must => return Err(error),
            Err(_) => {}
        }
    }
    Ok(all)
}

/// Which process owns each of these sockets, as far as we may see it. Where
/// several do, the lowest: whoever passed it on to its children.
pub(super) fn owners(proc: &Path, inodes: &HashSet<u64>) -> HashMap<u64, u32> {
    let mut owners = HashMap::new();
    let mut left = DESCRIPTORS_MAX;
    for process in processes(proc) {
        let Ok(descriptors) = fs::read_dir(proc.join(process.to_string()).join("fd")) else {
            continue;
        };
        for descriptor in descriptors.flatten() {
            if left == 0 {
                return owners;
            }
            left -= 1;
            let Some(inode) = fs::read_link(descriptor.path()).ok().and_then(|to| socket(&to))
            else {
                continue;
            };
            if inodes.contains(&inode) {
                owners.entry(inode).or_insert(process);
            }
        }
    }
    owners
}

/// The sockets of this process itself.
pub(super) fn own_sockets() -> HashSet<u64> {
    let Ok(descriptors) = fs::read_dir("/proc/self/fd") else { return HashSet::new() };
    let links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|to| socket(&to)).collect()
}

/// A process's parent; nothing where it is unknown.
pub(super) fn parent(proc: &Path, process: u32) -> Option<u32> {
    let text = fs::read(proc.join(process.to_string()).join("stat")).ok()?;
    // The name before it may hold anything, parentheses too.
    let end = memchr::memrchr(b')', &text)?;
    let parent = fields(&text[end + 1..]).nth(1)?;
    number(parent).and_then(|parent| u32::try_from(parent).ok())
}

fn processes(proc: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(proc) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut all: Vec<u32> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    all.sort_unstable();
    all
}

fn socket(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use proptest::prelude::*;

    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn read(text: &str) -> Vec<(String, u64)> {
        let mut all = Vec::new();
        parse(text.as_bytes(), |l| all.push((l.address.to_string(), l.inode)));
        all
    }

    #[test]
    fn listening_sockets_are_read_and_the_first_other_ends_them() {
        let line = |local: &str, state: &str, inode: &str| {
            format!(
                "   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
            )
        };
        let text = [
            HEAD.to_owned(),
            line("0100007F:1F90", "0A", "7"),
            line("00000000:0050", "0A", "8"),
            line("00000000000000000000000001000000:2382", "0A", "9"),
            line("0000000000000000FFFF00000100007F:2383", "0A", "10"),
            line("0100007F:1F9", "0A", "11"),
            line("0100007F:1F90", "01", "12"),
            line("0100007F:1F91", "0A", "13"),
        ]
        .concat();
        let expected =
            [("127.0.0.1:8080", 7), ("0.0.0.0:80", 8), ("[::1]:9090", 9), ("127.0.0.1:9091", 10)];
        assert_eq!(read(&text), expected.map(|(address, inode)| (address.to_owned(), inode)));
    }

    #[test]
    fn sockets_in_use_are_the_kernel_s_own_numbers() {
        let text = b"sockets: used 8\nTCP: inuse 12 orphan 0 tw 2 alloc 1 mem 0\nUDP: inuse 3\n";
        assert_eq!(in_use(text, b"TCP:"), Some(12));
        for text in
            [&b"TCP: inuse\n"[..], b"TCP: inuse x\n", b"TCP: used 3\n", b"UDP: inuse 1\n", b""]
        {
            assert_eq!(in_use(text, b"TCP:"), None);
        }
        assert!(sockets_in_use(Path::new("/proc")).is_some());
        assert_eq!(sockets_in_use(Path::new("/nowhere")), None);
    }

    #[test]
    fn a_socket_of_this_process_is_found_with_its_owner() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let proc = Path::new("/proc");
        let all = listeners(proc).expect("these tests run where /proc is mounted");
        let found = all.iter().find(|listener| listener.address == address).unwrap();
        assert!(own_sockets().contains(&found.inode));
        let owners = owners(proc, &HashSet::from([found.inode]));
        assert_eq!(owners.get(&found.inode), Some(&std::process::id()));
        assert_eq!(parent(proc, std::process::id()), Some(std::os::unix::process::parent_id()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_harm(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut count = 0;
            parse(&text, |_| count += 1);
            prop_assert!(count <= text.iter().filter(|byte| **byte == b'\n').count());
        }
    }
}
