//! Engines that report themselves: their steps are newer and say more than any
//! page, so the page of such an engine is not read while it does.

use std::path::Path;

use crate::newest::Names;

use super::endpoint::Endpoint;
use super::listeners::parent;

/// How an engine reports whose page is read.
pub(super) const SOURCE: &str = "scrape";

/// The engines of this node that report themselves.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    version: Option<u64>,
    engines: Vec<Door>,
}

#[derive(Debug)]
struct Door {
    endpoint: Option<Endpoint>,
    process: u32,
    parent: u32,
}

/// A page, by what it shares with an engine that reports itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// Whether it is of this host.
    pub(super) own: bool,
    /// Who listens there; 0 where unknown.
    pub(super) process: u32,
    /// Its parent; 0 where unknown.
    pub(super) parent: u32,
}

impl Pushed {
    /// Looks whether the names changed; cheap where they did not.
    pub(super) fn look(&mut self, names: &Names, proc: &Path) {
        let version = names.version();
        if self.version == Some(version) {
            return;
        }
        self.version = Some(version);
        let engines = names.engines().into_iter().filter(|engine| engine.source != SOURCE);
        self.engines = engines
            .map(|engine| Door {
                endpoint: Endpoint::parse(&engine.endpoint).ok(),
                process: engine.process,
                parent: parent(proc, engine.process).unwrap_or(0),
            })
            .collect();
    }

    /// Whether the engine of this page reports itself: the same port of this
    /// host, the same address elsewhere, or the same process, its parent or
    /// its child.
    pub(super) fn has(&self, page: Whose<'_>) -> bool {
        // Process 1 is everybody's parent.
        let related = |one: u32, other: u32| one > 1 && one == other;
        self.engines.iter().any(|door| {
            let same_place = door.endpoint.as_ref().is_some_and(|endpoint| {
                endpoint.port == page.endpoint.port
                    && (page.own || endpoint.host == page.endpoint.host)
            });
            same_place
                || related(door.process, page.process)
                || related(door.parent, page.process)
                || related(door.process, page.parent)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Engine;

    #[test]
    fn an_engine_reports_itself_by_its_port_its_address_or_its_process() {
        let proc = Path::new("/proc");
        let own = std::process::id();
        let parent = std::os::unix::process::parent_id();
        for (endpoint, process, source, at, is_own, listener, expected) in [
            ("http://n1:8000", 0, "plugin", "127.0.0.1:8000", true, 0, true),
            ("http://n1:8000", 0, "scrape", "127.0.0.1:8000", true, 0, false),
            ("http://n1:8001", 0, "plugin", "127.0.0.1:8000", true, 0, false),
            ("http://n1:8000", 0, "direct", "n2:8000", false, 0, false),
            ("http://n2:8000", 0, "direct", "n2:8000", false, 0, true),
            ("", own, "plugin", "127.0.0.1:8000", true, own, true),
            ("", own, "plugin", "127.0.0.1:8000", true, parent, true),
            ("", parent, "plugin", "127.0.0.1:8000", true, own, true),
            ("", 1, "plugin", "127.0.0.1:8000", true, own, false),
            ("", 0, "plugin", "127.0.0.1:8000", true, 0, false),
        ] {
            let names = Names::new("n1");
            let engine = Engine {
                endpoint: endpoint.to_owned(),
                process,
                source: source.to_owned(),
                ..Engine::named("e", "m")
            };
            names.put_engine(engine);
            let mut pushed = Pushed::default();
            pushed.look(&names, proc);
            let endpoint = Endpoint::parse(at).unwrap();
            let of_listener = super::parent(proc, listener).unwrap_or(0);
            let page =
                Whose { endpoint: &endpoint, own: is_own, process: listener, parent: of_listener };
            // A parent that is process 1 or in another namespace is nobody's.
            let known = parent > 1 || listener != parent && process != parent;
            assert_eq!(pushed.has(page), expected && known, "{endpoint:?} {process} {at}");
        }
    }
}
