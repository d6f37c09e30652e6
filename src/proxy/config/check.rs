//! Whether numbers and times are such as the proxy can work with, wherever the configuration came from. What the
//! [file](super::file) says is checked there too, where its line can be named.

use super::super::error::Error;
use super::{Config, HealthCheck, Limits, Place, Upstream};
use crate::duration::{DurationError, LONGEST};
use crate::proxy::limits::Allowance;
use std::time::Duration;

/// Names the first value that is out of bounds.
pub(in super::super) fn check(config: &Config) -> Result<(), Error> {
    let wrong = |place: String, problem: String| Err(Error::Value { place, problem });
    if let Err(problem) = limits(&config.limits) {
        return wrong("limits".to_owned(), problem);
    }
    for (name, time) in [
        ("connect", config.timeouts.connect),
        ("tcp-idle", config.timeouts.tcp_idle),
        ("udp-idle", config.timeouts.udp_idle),
        ("drain", config.timeouts.drain),
    ] {
        if let Err(problem) = not_for_ever(name, time) {
            return wrong("timeouts".to_owned(), problem);
        }
    }
    for upstream in &config.upstreams {
        if let Err(problem) = self::upstream(upstream) {
            return wrong(format!("upstream {}", upstream.name), problem);
        }
    }
    for listener in &config.listeners {
        let keep_alive = listener.options.keep_alive.unwrap_or_default();
        for (name, time) in [("detect-timeout", listener.detect_timeout), ("keep-alive", keep_alive)] {
            if let Err(problem) = not_for_ever(name, time) {
                return wrong(format!("listener {}", listener.name), problem);
            }
        }
    }
    Ok(())
}

fn limits(limits: &Limits) -> Result<(), String> {
    let Allowance { client_connections, client_rate, client_burst } = limits.client;
    at_least_one("attempts", limits.attempts.into())?;
    at_most("client-connections", client_connections, Allowance::MOST_CONNECTIONS)?;
    at_most("client-rate", client_rate, Allowance::MOST_RATE)?;
    at_most("client-burst", client_burst, Allowance::MOST_RATE)
}

fn upstream(upstream: &Upstream) -> Result<(), String> {
    not_for_ever("eject.first", upstream.ejection.first)?;
    not_for_ever("eject.longest", upstream.ejection.longest)?;
    if !upstream.servers.is_empty() && upstream.servers.iter().all(|server| server.weight == 0) {
        return Err("it has no server with a weight above 0".to_owned());
    }
    let Some(HealthCheck { interval, timeout, rise, fall, .. }) = &upstream.health else { return Ok(()) };
    for (name, time) in [("health.interval", *interval), ("health.timeout", *timeout)] {
        if time.is_zero() {
            return Err(format!("`{name}` is 0: a time above 0"));
        }
        not_for_ever(name, time)?;
    }
    at_least_one("health.rise", *rise)?;
    at_least_one("health.fall", *fall)?;
    let no_port =
        |place: &&Place| matches!(place, Place::Address { port: None, .. } | Place::Name { port: None, .. });
    match upstream.servers.iter().map(|server| &server.place).find(no_port) {
        Some(place) => Err(format!("{place} has no port that `health` could check: {place}:PORT")),
        None => Ok(()),
    }
}

fn at_least_one(name: &str, number: u32) -> Result<(), String> {
    if number > 0 { Ok(()) } else { Err(format!("`{name}` is 0: a number from 1")) }
}

fn at_most(name: &str, number: u32, most: u32) -> Result<(), String> {
    if number <= most { Ok(()) } else { Err(format!("`{name}` is {number}: at most {most}")) }
}

fn not_for_ever(name: &str, time: Duration) -> Result<(), String> {
    if time <= LONGEST { Ok(()) } else { Err(format!("`{name}` is {}", DurationError::TooLong)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::Proxy;

    /// What is made without a file is held to the same bounds.
    #[test]
    fn values_out_of_bounds_are_named() {
        let text = "[upstream.a]\nservers = [\"127.0.0.1:9\"]\nhealth = {}\n\
                    [[listener]]\nname = \"web\"\nbind = [\"tcp/0\"]\nto = \"a\"\n";
        let good = Config::from_toml(text).unwrap();
        Proxy::check(&good).unwrap();
        let health = |config: &mut Config, change: &dyn Fn(&mut HealthCheck)| {
            change(config.upstreams[0].health.as_mut().expect("one"));
        };
        type Change<'a> = &'a dyn Fn(&mut Config);
        let cases: [(Change<'_>, &str); 13] = [
            (&|all| health(all, &|of| of.interval = Duration::ZERO), "upstream a: `health.interval` is 0"),
            (&|all| health(all, &|of| of.timeout = Duration::ZERO), "upstream a: `health.timeout` is 0"),
            (&|all| health(all, &|of| of.interval = Duration::MAX), "upstream a: `health.interval` is more"),
            (&|all| health(all, &|of| of.rise = 0), "upstream a: `health.rise` is 0"),
            (&|all| health(all, &|of| of.fall = 0), "upstream a: `health.fall` is 0"),
            (&|all| all.upstreams[0].servers[0].weight = 0, "upstream a: it has no server with a weight"),
            (&|all| all.upstreams[0].servers[0].place = "10.0.0.1".parse().unwrap(), "10.0.0.1 has no port"),
            (&|all| all.upstreams[0].ejection.longest = Duration::MAX, "upstream a: `eject.longest`"),
            (&|all| all.limits.attempts = 0, "limits: `attempts` is 0"),
            (&|all| all.limits.client.client_connections = 65_535, "at most 65534"),
            (&|all| all.limits.client.client_burst = 10_001, "`client-burst` is 10001: at most 10000"),
            (&|all| all.timeouts.connect = Duration::MAX, "timeouts: `connect` is more than a hundred"),
            (&|all| all.listeners[0].detect_timeout = Duration::MAX, "listener web: `detect-timeout`"),
        ];
        for (change, said) in cases {
            let mut config = good.clone();
            change(&mut config);
            for refused in [Proxy::check(&config).err(), Proxy::bind(&config).err()] {
                let refused = refused.expect(said).to_string();
                assert!(refused.contains(said), "{refused}");
            }
        }
    }
}
