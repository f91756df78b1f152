//! An engine's container, by the kernel's word about its process.

use eagle_eye::schema::name_hash;

use super::agent::{Agent, run_dir, socket, until};
use super::engines::CHILD_SOCKET;
use crate::cgroup::RealCgroup;

#[test]
fn an_engine_in_a_real_container_is_named_with_it_whatever_it_says_itself() {
    let dir = run_dir();
    let agent = Agent::start(dir.path());
    let Some(container) = RealCgroup::make("engine") else { return };
    let program = std::env::current_exe().expect("a path of this program");
    let mut child = container
        .command(program.to_str().expect("its path is text"))
        .args(["door::engines::a_child_that_writes_until_it_is_killed", "--exact", "--ignored"])
        .env(CHILD_SOCKET, socket(dir.path()))
        .spawn()
        .expect("an engine starts");
    let engine = || agent.names.engine(name_hash("child"));
    until("the engine is named", || engine().is_some());
    let named = engine().expect("it was named");
    assert_eq!((named.process, named.container), (child.id(), container.id.clone()));
    assert_eq!(named.pod, "", "the path names no pod");
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}
