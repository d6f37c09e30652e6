//! What can be told of a configuration's listeners before anything is opened.

use super::super::config::check as values;
use super::super::config::{Bind, Config, Listener, Place, Transport};
use super::super::error::Error;
use std::collections::HashSet;

/// All values are within bounds, all routes lead somewhere and may have clients, each rule has a port that none before it has,
/// and what a listener asks for can be done where it listens.
pub(in super::super) fn check(config: &Config) -> Result<(), Error> {
    values::check(config)?;
    let (mut taken, mut paths) = (HashSet::new(), HashSet::new());
    for listener in &config.listeners {
        check_routes(config, listener)?;
        check_kinds(config, listener).map_err(|problem| wrong(listener, problem))?;
        for bind in &listener.binds {
            let ports = match bind {
                Bind::Ports { address, ports } => {
                    ports.ranges.iter().cloned().flatten().map(move |port| (*address, port))
                }
                Bind::Unix(path) if !paths.insert(path) => {
                    return Err(wrong(
                        listener,
                        format!("`{bind}` stands there twice: of a path there is but one socket"),
                    ));
                }
                Bind::Unix(_) | Bind::Inherited(_) => continue,
            };
            let mut has_one = false;
            for &transport in bind.transports() {
                for (address, port) in ports.clone() {
                    has_one |= port == 0 || taken.insert((transport, address, port));
                }
            }
            if !has_one {
                return Err(Error::Shadowed { listener: listener.name.clone(), rule: bind.to_string() });
            }
        }
    }
    Ok(())
}

fn wrong(listener: &Listener, problem: impl Into<String>) -> Error {
    Error::Route { listener: listener.name.clone(), problem: problem.into() }
}

/// Whether all routes of a listener lead somewhere.
fn check_routes(config: &Config, listener: &Listener) -> Result<(), Error> {
    if listener.routes.is_empty() {
        return Err(wrong(listener, "it has no route"));
    }
    for route in &listener.routes {
        match config.upstreams.get(route.upstream) {
            None => return Err(wrong(listener, "its upstream is not there")),
            Some(upstream) if upstream.servers.is_empty() => {
                return Err(wrong(listener, "its upstream has no server"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Whether what is asked for goes together with where it listens. Of inherited sockets nothing is known yet.
fn check_kinds(config: &Config, listener: &Listener) -> Result<(), String> {
    let datagrams = listener.binds.iter().find(|bind| bind.transports().contains(&Transport::Udp));
    if let Some(bind) = datagrams {
        if let Some(path) = stream_server(config, listener) {
            return Err(datagrams_to(&bind.to_string(), &path));
        }
        if !listener.accept_proxy.is_empty() {
            return Err(format!(
                "`{bind}` takes datagrams, in which no PROXY header is looked for: `accept-proxy` in a listener for TCP alone"
            ));
        }
    }
    let is_tcp = |bind: &Bind| !matches!(bind, Bind::Unix(_)) && bind.transports() != [Transport::Udp];
    if !listener.binds.iter().any(is_tcp) {
        let options = &listener.options;
        for (asked, key) in
            [(options.defer_accept.is_some(), "defer-accept"), (options.fast_open.is_some(), "fast-open")]
        {
            if asked {
                return Err(format!("`{key}` is an option of TCP ports, and it listens on none"));
            }
        }
    }
    if !listener.binds.is_empty() && listener.binds.iter().all(|bind| matches!(bind, Bind::Unix(_))) {
        if listener.routes.iter().any(|route| !route.condition.networks.is_empty()) {
            return Err("clients of a Unix socket have no address: a route with `from` is for none of them"
                .to_owned());
        }
        if !listener.accept_proxy.is_empty() {
            return Err(
                "clients of a Unix socket have no address: `accept-proxy` trusts none of them".to_owned()
            );
        }
    }
    Ok(())
}

/// A server that a listener's routes lead to and that takes connections only.
pub(super) fn stream_server(config: &Config, listener: &Listener) -> Option<String> {
    let upstreams = listener.routes.iter().filter_map(|route| config.upstreams.get(route.upstream));
    let mut servers = upstreams.flat_map(|upstream| &upstream.servers);
    servers.find(|server| matches!(server.place, Place::Unix(_))).map(|server| server.place.to_string())
}

/// Why datagrams that come in at one place cannot go to another.
pub(super) fn datagrams_to(bind: &str, path: &str) -> String {
    format!("`{bind}` takes datagrams, which cannot go to a stream socket in the file system, {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_work_is_refused_with_what_and_why() {
        let upstreams =
            "[upstream]\na.servers = [\"10.0.0.1:80\"]\nx.servers = [\"10.0.0.1:80\", \"unix:/run/x\"]\n";
        let checked = |listener: &str| {
            let text = format!("{upstreams}[[listener]]\nname = \"it\"\n{listener}\n");
            check(&Config::from_toml(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
        };
        for (listener, reason) in [
            (
                "bind = [\"udp/53\"]\nto = \"x\"",
                "`udp/53` takes datagrams, which cannot go to a stream socket",
            ),
            ("bind = [\"any/53\"]\nto = \"x\"", "unix:/run/x"),
            ("bind = [\"unix:/a\", \"unix:/b\", \"unix:/a\"]\nto = \"a\"", "`unix:/a` stands there twice"),
            (
                "bind = [\"unix:/a\"]\nto = \"a\"\n[[listener]]\nbind = [\"unix:/a\"]\nto = \"x\"",
                "unix:/a: `unix:/a` stands there twice",
            ),
            (
                "bind = [\"udp/53\"]\nto = \"a\"\ndefer-accept = \"5s\"",
                "`defer-accept` is an option of TCP ports",
            ),
            (
                "bind = [\"udp/53\", \"unix:/a\"]\nto = \"a\"\nfast-open = 5",
                "`fast-open` is an option of TCP ports",
            ),
            (
                "bind = [\"any/53\"]\nto = \"a\"\naccept-proxy = [\"10.0.0.0/8\"]",
                "`any/53` takes datagrams, in which no PROXY header",
            ),
            (
                "bind = [\"unix:/a\"]\nto = \"a\"\naccept-proxy = [\"10.0.0.0/8\"]",
                "`accept-proxy` trusts none",
            ),
            (
                "bind = [\"unix:/a\"]\nroute = [{ to = \"a\", from = [\"10.0.0.0/8\"] }, { to = \"x\" }]",
                "a route with `from` is for none",
            ),
        ] {
            let error = checked(listener).expect_err(listener).to_string();
            assert!(error.contains(reason) && error.starts_with("listener "), "{listener}: {error}");
        }
        for listener in [
            "bind = [\"any/53\"]\nto = \"a\"\nfast-open = 5",
            "bind = [\"fd:web\"]\nto = \"x\"\ndefer-accept = \"5s\"\naccept-proxy = [\"10.0.0.0/8\"]",
            "bind = [\"unix:/a\", \"tcp/80\"]\nroute = [{ to = \"a\", from = [\"10.0.0.0/8\"] }, { to = \"x\" }]",
            "bind = [\"unix:/a\", \"unix:/b\"]\nto = \"x\"",
        ] {
            checked(listener).expect(listener);
        }
    }
}
