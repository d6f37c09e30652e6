//! The status in the text format of Prometheus (version 0.0.4).

use super::super::status::{RouteStatus, ServerStatus, Status};
use std::fmt::{Display, Write};

/// What the format calls itself.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics.
pub(super) fn text(status: &Status) -> String {
    let mut out = Text(String::with_capacity(4096));
    let Status { totals, .. } = status;
    let tcp = &totals.tcp;
    out.head("build_info", "gauge", "Always 1; which version it is.");
    out.sample("build_info", &[("version", status.version)], 1);
    out.one("uptime_seconds", "gauge", "Since the start.", status.uptime_seconds);
    out.one("workers", "gauge", "Worker threads.", status.workers);
    out.one("draining", "gauge", "1 while no new clients are taken.", u8::from(status.draining));
    out.one("connections_accepted_total", "counter", "TCP connections taken from the kernel.", tcp.accepted);
    out.one("connections_open", "gauge", "TCP connections that have not ended.", status.connections_open);
    let ended = totals.ended.named();
    out.many("connections_ended_total", "counter", "TCP connections that ended, by how.", "reason", &ended);
    out.head("bytes_total", "counter", "Payload sent on, up to servers and down to clients.");
    for (transport, up, down) in
        [("tcp", tcp.bytes_up, tcp.bytes_down), ("udp", totals.udp.bytes_up, totals.udp.bytes_down)]
    {
        out.sample("bytes_total", &[("transport", transport), ("direction", "up")], up);
        out.sample("bytes_total", &[("transport", transport), ("direction", "down")], down);
    }
    out.one(
        "spliced_bytes_total",
        "counter",
        "Of TCP's bytes, those that went by splice(2).",
        tcp.bytes_spliced,
    );
    out.one("connect_attempts_total", "counter", "Connections to servers that were begun.", tcp.attempts);
    out.one(
        "connect_retries_total",
        "counter",
        "Of those, second and further ones for a client.",
        tcp.retries,
    );
    out.one("accept_pauses_total", "counter", "Times that accepting stopped for want of room.", tcp.pauses);
    out.one(
        "accept_errors_total",
        "counter",
        "Connections that went away before they were taken in, and listening sockets that died.",
        tcp.accept_errors,
    );
    let udp = &totals.udp;
    out.one("sessions_opened_total", "counter", "UDP sessions begun.", udp.opened);
    out.one("sessions_open", "gauge", "UDP sessions that have not ended.", status.sessions_open);
    let ends = [
        ("idle", udp.idle),
        ("evicted", udp.evicted),
        ("refused", udp.refused),
        ("drained", udp.drained),
        ("handed_over", udp.handed_over),
    ];
    out.many("sessions_ended_total", "counter", "UDP sessions that ended, by how.", "reason", &ends);
    out.one("datagrams_received_total", "counter", "UDP datagrams from clients and servers.", udp.received);
    out.one("datagrams_sent_total", "counter", "Of those, the ones sent on.", udp.sent);
    let dropped = [
        ("no_session", udp.no_session),
        ("limited", udp.limited),
        ("full", udp.full),
        ("too_long", udp.too_long),
        ("failed", udp.failed),
        ("kernel", status.datagrams_lost),
    ];
    let why = "Of those, the others, by why; and those that the kernel dropped before they were received.";
    out.many("datagrams_dropped_total", "counter", why, "reason", &dropped);
    out.one(
        "icmp_unreachable_total",
        "counter",
        "Times that ICMP said a server is unreachable.",
        udp.unreachable,
    );
    out.one("clients_uncounted_total", "counter", "Connections let in uncounted.", status.uncounted_clients);
    out.one("log_records_written_total", "counter", "Records in the access log.", status.log_written);
    out.one("log_records_dropped_total", "counter", "Records the access log lost.", status.log_dropped);
    let server = |out: &mut Text, name, kind, help, value: &dyn Fn(&ServerStatus) -> u64| {
        out.head(name, kind, help);
        for upstream in &status.upstreams {
            for server in &upstream.servers {
                out.sample(name, &[("upstream", &upstream.name), ("server", &server.name)], value(server));
            }
        }
    };
    let out_ref = &mut out;
    server(out_ref, "server_up", "gauge", "1 unless active checks fail.", &|s| s.healthy.into());
    server(out_ref, "server_ejected", "gauge", "1 while failures have it out.", &|s| s.ejected.into());
    server(out_ref, "server_draining", "gauge", "1 while it gets no new ones.", &|s| s.draining.into());
    server(out_ref, "server_active", "gauge", "Connections and sessions it has.", &|s| s.active.into());
    server(out_ref, "server_chosen_total", "counter", "How often it was chosen.", &|s| s.chosen);
    server(out_ref, "server_failed_total", "counter", "How often it failed.", &|s| s.failed);
    let help = "Connections and sessions that ended, by route; empty: those without one.";
    out.head("route_ended_total", "counter", help);
    for route in &status.routes {
        out.sample("route_ended_total", &names(route), route.ended);
    }
    out.head("route_bytes_total", "counter", "Payload of those, up to servers and down to clients.");
    for route in &status.routes {
        for (direction, bytes) in [("up", route.bytes_up), ("down", route.bytes_down)] {
            let labels = [&names(route)[..], &[("direction", direction)]].concat();
            out.sample("route_bytes_total", &labels, bytes);
        }
    }
    out.0
}

/// By which a route is known.
fn names(route: &RouteStatus) -> [(&'static str, &str); 4] {
    let RouteStatus { transport, listener, route, upstream, .. } = route;
    [("transport", transport), ("listener", listener), ("route", route), ("upstream", upstream)]
}

struct Text(String);

impl Text {
    // Writing to a string cannot fail.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP wharf_proxy_{name} {help}\n# TYPE wharf_proxy_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "wharf_proxy_{name}");
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if index == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.sample(name, &[], value);
    }

    fn many(&mut self, name: &str, kind: &str, help: &str, label: &str, values: &[(&'static str, u64)]) {
        self.head(name, kind, help);
        for (text, value) in values {
            self.sample(name, &[(label, text)], value);
        }
    }
}
