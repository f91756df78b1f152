//! What the scraper needs, as `doctor` says it.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use super::super::{Context, Need, Settings};
use super::endpoint::Endpoint;
use super::listeners::listeners;
use super::settings::Plan;
use super::token;

/// How long an endpoint may take to accept a connection.
const CONNECT: Duration = Duration::from_millis(500);

/// Most endpoints that are tried, so that `doctor` ends.
const ENDPOINTS_MAX: usize = 16;

/// Connects to the endpoints of the configuration and asks them nothing; the
/// ports of this host are only counted.
pub(super) fn needs(context: &Context, settings: &Settings) -> Vec<Need> {
    let plan = match Plan::from_settings(settings) {
        Ok(plan) => plan,
        Err(sentence) => {
            return vec![Need::trouble("engine_scrape", sentence, "correct the setting")];
        }
    };
    let mut needs = Vec::new();
    if plan.discover {
        needs.push(ports(&context.host_root.join("proc")));
    }
    needs.extend(plan.token_file.as_deref().map(token_file));
    needs.extend(plan.endpoints.iter().take(ENDPOINTS_MAX).map(endpoint));
    needs
}

fn ports(proc: &Path) -> Need {
    let what = proc.join("net/tcp").display().to_string();
    match listeners(proc) {
        Ok(all) => Need::fine(what, format!("tells of {} ports that listen", all.len())),
        Err(error) => Need::limited(
            what,
            format!("cannot be read: {error}"),
            "list engines in samplers.engine_scrape.endpoints, or mount /proc there",
        ),
    }
}

fn token_file(path: &Path) -> Need {
    let what = path.display().to_string();
    match token::read(path) {
        Ok(_) => Need::fine(what, "holds a token"),
        Err(why) => Need::trouble(
            what,
            why,
            "write the token into the file's first line, readable by the agent's user",
        ),
    }
}

fn endpoint(endpoint: &Endpoint) -> Need {
    let what = endpoint.uri();
    let addresses: Vec<SocketAddr> = match endpoint.address() {
        Some(address) => vec![address],
        None => match (endpoint.host.as_str(), endpoint.port).to_socket_addrs() {
            Ok(all) => all.collect(),
            Err(error) => {
                return Need::trouble(
                    what,
                    format!("its name has no address: {error}"),
                    "correct the name, or give the address",
                );
            }
        },
    };
    let Some(address) = addresses.first() else {
        return Need::trouble(what, "its name has no address", "correct the name");
    };
    match TcpStream::connect_timeout(address, CONNECT) {
        Ok(_) => Need::fine(what, format!("{address} accepts connections")),
        Err(error) => Need::trouble(
            what,
            format!("{address} cannot be reached: {error}"),
            "start the engine, correct the endpoint, or let the agent through to it",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::samplers::NeedState;

    #[test]
    fn what_is_missing_is_said_with_its_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let token = folder.path().join("token");
        let settings = Settings::new(vec![
            ("endpoints", format!("127.0.0.1:{open}, 127.0.0.1:{closed}")),
            ("token_file", token.display().to_string()),
        ]);
        let context = Context::to_look(folder.path().into(), folder.path().into());
        let states = |needs: Vec<Need>| needs.iter().map(|need| need.state).collect::<Vec<_>>();
        use NeedState::{Fine, Limited, Trouble};
        assert_eq!(states(needs(&context, &settings)), [Limited, Trouble, Fine, Trouble]);
        std::fs::write(&token, "x\n").unwrap();
        let context = Context::to_look("/".into(), folder.path().into());
        assert_eq!(states(needs(&context, &settings)), [Fine, Fine, Fine, Trouble]);
        let wrong = Settings::new(vec![("discover", "perhaps".to_owned())]);
        assert_eq!(states(needs(&context, &wrong)), [Trouble]);
    }
}
