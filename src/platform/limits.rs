//! Limits that the system sets for this process.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one, for the whole
/// process, and says what it is now; nothing where there is no limit.
///
/// The usual soft limit of 1,024 is for programs that call `select`; each
/// engine costs its agent two descriptors.
///
/// # Errors
///
/// When the system refuses; the limit then stays as it was.
pub fn raise_descriptors() -> io::Result<Option<u64>> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    }
    Ok(limit.maximum)
}

/// The soft and the hard limit of open descriptors, of locked memory (bytes)
/// and of processes with threads; nothing where there is no limit.
#[must_use]
pub fn limits() -> [(Option<u64>, Option<u64>); 3] {
    [Resource::Nofile, Resource::Memlock, Resource::Nproc].map(|of| {
        let Rlimit { current, maximum } = getrlimit(of);
        (current, maximum)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_of_descriptors_rises_to_the_hard_one() {
        let hard = raise_descriptors().unwrap();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!((limit.current, limit.maximum), (hard, hard));
    }
}
