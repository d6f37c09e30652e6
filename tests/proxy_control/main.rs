//! What decides in a running proxy, on loopback: routes, PROXY headers, limits, checks, reloads, and what is told of them.
#![cfg(all(feature = "proxy", feature = "cli"))]

mod command;
mod headers;
mod health;
mod limits;
mod listeners;
mod log;
mod reload;
mod routes;
mod setup;
#[path = "../support/skip.rs"]
mod skip;
mod upgrade;
