//! Every key, and every way to get one wrong.

use super::*;
use crate::proxy::config::{Admin, Place};
use crate::proxy::detect::Spoken;
use crate::proxy::proxy_protocol::Version;

const EXAMPLE: &str = include_str!("../../../../examples/proxy.toml");

#[test]
fn the_example_is_read_to_its_last_key() {
    let config = Config::from_toml(EXAMPLE).expect("the example");
    let upstream = |name: &str| config.upstreams.iter().find(|upstream| upstream.name == name).expect(name);
    let web = upstream("web");
    assert_eq!((web.balance, web.send_proxy), (Balance::ConsistentHash, Some(Version::V2)));
    let shares: Vec<_> =
        web.servers.iter().map(|server| (server.weight, server.max_connections, server.drain)).collect();
    assert_eq!(shares, [(1, 0, false), (2, 5_000, false), (1, 0, true)]);
    let seconds = Duration::from_secs;
    let check = web.health.clone().expect("a check");
    assert_eq!(
        check,
        HealthCheck { probe: Probe::Connect, interval: seconds(2), timeout: seconds(1), rise: 2, fall: 3 }
    );
    assert_eq!(web.ejection, Ejection::default(), "the example shows what holds anyway");
    assert_eq!(upstream("api").servers[1].place, Place::Unix("/run/api.sock".into()));
    let question = b"\xab\xcd\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01".to_vec();
    assert_eq!(upstream("dns").health.as_ref().map(|check| &check.probe), Some(&Probe::Datagram(question)));

    let [front, games, quic, resolver, local] = config.listeners.as_slice() else { panic!("five listeners") };
    assert_eq!(
        [&front.name, &games.name, &quic.name, &resolver.name, &local.name],
        ["front", "127.0.0.1:tcp/20000-29999", "front over QUIC", "resolver", "local"]
    );
    assert_eq!(quic.routes[0].condition.spoken, [Spoken::Quic]);
    assert!(config.upstreams.iter().all(|upstream| !upstream.transparent));
    let goes_to = |route: &Route| config.upstreams[route.upstream].name.clone();
    assert_eq!(front.routes.iter().map(goes_to).collect::<Vec<_>>(), ["api", "web", "ssh", "mail"]);
    assert_eq!(front.routes[1].condition.spoken, [Spoken::Tls, Spoken::Http1, Spoken::Http2]);
    assert!(front.routes[0].condition.names[1].matches("v1.api.example.org"));
    assert_eq!(front.routes[2].condition.networks[0].to_string(), "198.51.100.0/24");
    assert_eq!(front.accept_proxy.len(), 2);
    assert_eq!(front.options, SocketOptions { keep_alive: Some(seconds(60)), ..SocketOptions::default() });
    assert_eq!((config.timeouts, config.cores), (Timeouts::default(), vec![]));
    assert_eq!(
        config.limits.client,
        Allowance { client_connections: 1_000, client_rate: 500, client_burst: 1_000 }
    );
    assert_eq!(config.admin, Some(Admin { listen: "127.0.0.1:9901".parse().unwrap() }));
}

/// Lines that are commented out hold what holds without them.
#[test]
fn what_the_example_comments_out_is_the_default() {
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| {
            match line.strip_prefix("# ").filter(|line| is_key(line.split(" = ").next().unwrap_or_default()))
            {
                Some(line)
                    if !line.contains("defer-accept")
                        && !line.contains("fast-open")
                        && !line.contains("access") =>
                {
                    line.to_owned() + "\n"
                }
                _ => line.to_owned() + "\n",
            }
        })
        .collect();
    assert!(uncommented.contains("\nno-delay = true") && uncommented.contains("\nconnect = \"5s\""));
    assert_eq!(Config::from_toml(&uncommented), Config::from_toml(EXAMPLE));
    let all = uncommented
        .replace("# defer-accept", "defer-accept")
        .replace("# fast-open", "fast-open")
        .replace("# access", "access");
    let config = Config::from_toml(&all).expect("all keys");
    let options = &config.listeners[0].options;
    assert_eq!((options.defer_accept, options.fast_open), (Some(5), Some(256)));
    assert_eq!(config.access_log, Some("/var/log/wharf/access.jsonl".into()));
}

const UPSTREAM: &str = "[upstream.web]\nservers = [\"10.0.0.1:80\"]\n";
const LISTENER: &str = "[[listener]]\nbind = [\"tcp/80\"]\n";

#[test]
fn errors_name_the_line_the_key_and_what_to_do() {
    let good = format!("{UPSTREAM}{LISTENER}to = \"web\"\n");
    assert!(Config::from_toml(&good).is_ok());
    let in_upstream = |lines: &str| format!("{UPSTREAM}{lines}\n{LISTENER}to = \"web\"\n");
    let in_listener = |lines: &str| format!("{UPSTREAM}{LISTENER}{lines}\n");
    let mut wrong = String::new();
    for (text, line, key, reason) in [
        (String::new(), 1, "", "nothing to listen on: add a table [[listener]]"),
        (UPSTREAM.to_owned(), 1, "[upstream.web]", "nothing to listen on"),
        ("x = 1".to_owned(), 1, "x", "unknown field `x`, expected one of `cores`"),
        ("cores = [0\n".to_owned(), 1, "cores", ""),
        (
            good.replace("[\"tcp/80\"]", "\"tcp/80\""),
            4,
            "bind",
            "expected a list in brackets, such as [\"…\"]",
        ),
        (
            good.replace("[[listener]]", "[listener]"),
            3,
            "[listener]",
            "there may be several of these: write [[listener]]",
        ),
        (format!("{good}[limits]\nconnections = -1"), 7, "connections", "expected a number from 0"),
        (format!("{good}[log]\naccess = \"\""), 7, "access", "no path"),
        (good.replace("tcp/80", "80"), 4, "bind", "a port alone: write tcp/80, udp/80 or any/80"),
        (
            in_upstream("blance = \"round-robin\""),
            3,
            "blance",
            "unknown field `blance`, expected one of `balance`",
        ),
        (in_upstream("balance = \"random\""), 3, "balance", "expected one of `round-robin`"),
        (in_upstream("send-proxy = 2"), 3, "send-proxy", ""),
        (in_upstream("eject = { for = \"10\" }"), 3, "eject", "`10` is no time: a number without a unit"),
        (in_upstream("health = { rise = 0 }"), 3, "health", "a number from 1"),
        (in_upstream("health = { interval = \"0s\" }"), 3, "health", "a time above 0"),
        (in_upstream("health = { probe = \"datagram\" }"), 3, "health", "either `send` or `send-hex`"),
        (in_upstream("health = { send = \"x\" }"), 3, "health", "only `probe = \"datagram\"`"),
        (
            in_upstream("health = { probe = \"datagram\", send-hex = \"abc\" }"),
            3,
            "health",
            "pairs of hexadecimal",
        ),
        (
            "[upstream.a]\nservers = []\n".to_owned() + LISTENER + "to = \"a\"",
            2,
            "servers",
            "no server with a weight",
        ),
        (
            "[upstream.a]\nservers = [\n  \"10.0.0.1:80\",\n  \"10.0.0.1:80\",\n]\n".to_owned()
                + LISTENER
                + "to = \"a\"",
            4,
            "servers",
            "10.0.0.1:80 is there twice",
        ),
        (
            "[upstream.a]\nservers = [{ to = \"10.0.0.1:x\" }]".to_owned(),
            2,
            "servers",
            "no port from 1 to 65535 behind the `:`",
        ),
        (
            "[upstream.a]\nhealth = {}\nservers = [\"10.0.0.1\"]\n".to_owned(),
            3,
            "servers",
            "10.0.0.1 has no port that `health` could check",
        ),
        ("[upstream.a]\nservers = [{ weight = 1 }]".to_owned(), 2, "servers", "missing field `to`; it names"),
        ("[upstream.a]\nservers = [{ to = \"a:1\", weight = 65536 }]".to_owned(), 2, "servers", "65536"),
        ("[upstream.a]\nservers = [7]".to_owned(), 2, "servers", "expected a server such as \"10.0.0.1:80\""),
        (in_listener(""), 4, "bind", "add `to = \"UPSTREAM\"` or [[listener.route]]"),
        (
            in_listener("to = \"wbe\""),
            5,
            "to",
            "no upstream is called `wbe`: there are `web`; or add [upstream.wbe]",
        ),
        (in_listener("to = \"web\"\nkeep-alive = 60"), 6, "keep-alive", "expected a text in quotes"),
        (in_listener("to = \"web\"\naccept-proxy = [\"10.0.0.1/8\"]"), 6, "accept-proxy", "write 10.0.0.0/8"),
        (
            format!("{UPSTREAM}[[listener]]\nbind = [\"sctp/80\"]\nto = \"web\"\n"),
            4,
            "bind",
            "SCTP cannot be proxied",
        ),
        (format!("{UPSTREAM}[[listener]]\nbind = []\nto = \"web\"\n"), 4, "bind", "an empty list"),
        (
            format!("{UPSTREAM}[[listener]]\nto = \"web\"\n"),
            3,
            "[[listener]]",
            "missing field `bind`; it says",
        ),
        (format!("{good}{LISTENER}to = \"web\"\n"), 6, "[[listener]]", "two listeners `tcp/80`"),
        (
            in_listener("to = \"web\"\n[[listener.route]]\nspoken = [\"gopher\"]\nto = \"web\""),
            7,
            "spoken",
            "`gopher` is no protocol that is known: one of `tls`",
        ),
        (
            in_listener(
                "[[listener.route]]\nto = \"web\"\n[[listener.route]]\nspoken = [\"tls\"]\nto = \"web\"",
            ),
            9,
            "to",
            "never reached",
        ),
        (
            in_listener("[[listener.route]]\nnames = [\"a*\"]\nto = \"web\""),
            6,
            "names",
            "only one star, at the front",
        ),
        (
            format!(
                "{UPSTREAM}[[listener]]\nbind = [\"udp/53\"]\n[[listener.route]]\nspoken = [\"tls\"]\nto = \"web\""
            ),
            5,
            "[[listener.route]]",
            "of which `quic` is the only protocol that is known",
        ),
        (
            format!("{UPSTREAM}send-proxy = \"v1\"\n[[listener]]\nbind = [\"udp/53\"]\nto = \"web\""),
            4,
            "[[listener]]",
            "for which version 1 of the PROXY protocol has no word",
        ),
        (format!("[limits]\nclient-rate = 10001\n{good}"), 2, "client-rate", "at most 10000"),
        (format!("[limits]\nattempts = 0\n{good}"), 2, "attempts", "a number from 1"),
        (
            format!("[admin]\nlisten = \"localhost:9901\"\n{good}"),
            2,
            "listen",
            "an address and a port such as",
        ),
    ] {
        let error = Config::from_toml(&text).expect_err(&text);
        if (error.line, error.key.as_str()) != (line, key) || !error.reason.contains(reason) {
            wrong += &format!("{text}\ngives {error}\nnot line {line}, key `{key}`: {reason}\n\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
