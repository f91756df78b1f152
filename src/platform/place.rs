//! Where an agent of this user keeps its socket and its state.

use std::ffi::OsString;
use std::path::PathBuf;

use rustix::process::geteuid;

/// Folders in which an agent's socket may be, the best first: a user's own
/// agent is meant for his engines and routers, root's is for everyone. The
/// first is where an agent of this user puts its own.
#[must_use]
pub fn run_folders() -> Vec<PathBuf> {
    folders(geteuid().is_root(), |name| std::env::var_os(name), "/run/eagle-eye", "XDG_RUNTIME_DIR")
}

/// Where an agent of this user keeps what must outlive it.
#[must_use]
pub fn state_folder() -> PathBuf {
    let of_root = "/var/lib/eagle-eye";
    folders(geteuid().is_root(), |name| std::env::var_os(name), of_root, "XDG_STATE_HOME")
        .swap_remove(0)
}

fn folders(
    is_root: bool,
    variable: impl Fn(&str) -> Option<OsString>,
    of_root: &str,
    of_user: &str,
) -> Vec<PathBuf> {
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let named = absolute(of_user);
    // A service or a container may have neither; a folder that others can make
    // before us, such as one in /tmp, is no substitute.
    let home = absolute("HOME").map(|home| home.join(".local/state"));
    let own = named.or(home).map(|folder| folder.join("eagle-eye"));
    let of_root = Some(PathBuf::from(of_root));
    let order = if is_root { [of_root, own] } else { [own, of_root] };
    order.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_s_own_folder_comes_before_root_s_and_root_s_own_is_root_s() {
        let check = |is_root, runtime: &str, home: &str, expected: &[&str]| {
            let variable = |name: &str| match name {
                "XDG_RUNTIME_DIR" => Some(runtime.into()),
                "HOME" => Some(home.into()),
                _ => None,
            };
            let found = folders(is_root, variable, "/run/eagle-eye", "XDG_RUNTIME_DIR");
            assert_eq!(found, expected.iter().map(PathBuf::from).collect::<Vec<_>>());
        };
        check(false, "/run/user/7", "/h", &["/run/user/7/eagle-eye", "/run/eagle-eye"]);
        check(false, "", "/h", &["/h/.local/state/eagle-eye", "/run/eagle-eye"]);
        check(false, "not/absolute", "", &["/run/eagle-eye"]);
        check(true, "/run/user/0", "/h", &["/run/eagle-eye", "/run/user/0/eagle-eye"]);
    }
}
