//! `wharf proxy`: pass on TCP connections and UDP datagrams, by port.

mod options;
mod successor;
mod voice;

pub(crate) use options::ProxyArgs;

use crate::args;
use crate::counted::counted;
use crate::exit::{self, Outcome};
use crate::print::print;
use crate::signals;
use anyhow::Context;
use options::read_config;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR2};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, fchown};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use voice::Voice;
use wharf::engine::Shutdown;
use wharf::proxy::config::Transport;
use wharf::proxy::{Error, Level, Proxy};
use wharf::sys::privileges::User;

/// Places named at the start; of a long range the rest is counted.
const NAMED: usize = 16;

pub(crate) fn run(arguments: ProxyArgs) -> anyhow::Result<Outcome> {
    if let Some(path) = &arguments.check {
        let config = read_config(path)?;
        let name = path.display();
        Proxy::check(&config).map_err(|error| args::of_a_file(&format!("{name}, {error}")))?;
        let listeners = counted(config.listeners.len(), "listener");
        print(format!("{name}: right: {listeners}, {}\n", counted(config.upstreams.len(), "upstream")))?;
        return Ok(Outcome::Done);
    }
    if arguments.listen.is_empty() && arguments.config.is_none() {
        return Err(args::usage(
            "nothing to listen on: give --listen RULE=UPSTREAM, --config FILE or --check FILE",
        )
        .into());
    }
    let user = arguments.relinquish_privileges.as_deref().map(User::named).transpose().context("-Z")?;
    // Before there is a thread that would keep it: that which waits for signals, the log's.
    user.as_ref().map_or(Ok(()), User::prepare).context("-Z")?;
    // Each connection takes two descriptors: all that are allowed, then.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let shutdown = Shutdown::default();
    let reload = Arc::new(AtomicBool::new(false));
    // There is something to read, or to open, anew.
    if arguments.config.is_some() || arguments.access_log.is_some() {
        signals::install_for(&shutdown, &[SIGINT, SIGTERM])?;
        signal_hook::flag::register(SIGHUP, Arc::clone(&reload)).context("cannot handle SIGHUP")?;
    } else {
        signals::install(&shutdown)?;
    }
    let upgrade = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(SIGUSR2, Arc::clone(&upgrade)).context("cannot handle SIGUSR2")?;
    let mut woken = wake_on_signals().context("cannot wait for signals")?;
    // Where it is by now: a new version may take its place.
    let program = std::env::current_exe();
    let config = arguments.config()?;
    if user.is_some() && config.upstreams.iter().any(|upstream| upstream.transparent) {
        return Err(args::usage(
            "-Z gives up CAP_NET_ADMIN, which `transparent` needs as long as the proxy runs: in a systemd unit have User= and AmbientCapabilities=CAP_NET_ADMIN instead",
        )
        .into());
    }
    let go_on = || !shutdown.requested();
    let proxy = match Proxy::bind_while(&config, successor::predecessor()?, go_on) {
        Err(Error::Ending) => return Ok(Outcome::Done),
        proxy => proxy?,
    };
    if let Some(user) = user
        // One that takes another's place is so already.
        && !user.is_in_force().unwrap_or(false)
    {
        if let Some(path) = &config.access_log {
            give_away(path, &user)
                .with_context(|| format!("-Z: cannot give the access log {} to the user", path.display()))?;
        }
        user.become_for_good().context("-Z")?;
    }
    let workers = proxy.workers();
    let voice = Voice { least: arguments.log_level, format: arguments.log_format };
    for (transport, place) in proxy.places().take(NAMED) {
        let transport = if transport == Transport::Tcp { "tcp" } else { "udp" };
        voice.tell(&format!("listening on {transport} {place}"));
    }
    match proxy.places().count().saturating_sub(NAMED) {
        0 => {}
        more => voice.tell(&format!("and on {more} more")),
    }
    if let Some(address) = proxy.admin_address() {
        voice.tell(&format!("metrics and status at http://{address}"));
    }
    let mut running = proxy.start_with(move |notice| voice.say(notice.level(), &notice.to_string()))?;
    voice.tell(&format!("{} at work", counted(workers, "worker")));
    successor::tell_manager(voice, "READY=1");
    let mut handed_over = false;
    while !handed_over && !shutdown.requested() && !running.is_finished() {
        match woken.read(&mut [0; 16]) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => break,
            _ => {}
        }
        if reload.swap(false, Ordering::Relaxed) {
            let go_on = || !shutdown.requested();
            match arguments.config().and_then(|config| Ok(running.reload_while(&config, go_on)?)) {
                Ok(()) => {
                    let done = match &arguments.config {
                        Some(path) => format!("{} is in force", path.display()),
                        None => "the access log is opened anew".to_owned(),
                    };
                    voice.say(Level::Info, &done);
                }
                Err(error) => {
                    voice.say(
                        Level::Warning,
                        &format!("not reloaded, all stays as it was: {}", exit::told(&error)),
                    );
                }
            }
        }
        if upgrade.swap(false, Ordering::Relaxed) {
            match successor::start(&program, &mut running, &shutdown, voice) {
                Ok(process) => {
                    voice.say(Level::Info, &format!("process {process} has taken over"));
                    handed_over = true;
                }
                Err(error) => {
                    let what = format!("not handed over, all stays as it was: {}", exit::told(&error));
                    voice.say(Level::Warning, &what);
                }
            }
        }
    }
    if !handed_over {
        successor::tell_manager(voice, "STOPPING=1");
    }
    running.stop();
    let totals = running.wait()?;
    for line in totals.to_string().lines() {
        voice.tell(line);
    }
    if arguments.json {
        print(serde_json::to_string(&totals)? + "\n")?;
    }
    Ok(Outcome::Done)
}

/// Makes a file of root's a user's, who is to open it anew. What is no file of its own there, or somebody's, is left as it is:
/// whoever may write to the directory must not have others given to them.
fn give_away(path: &Path, user: &User) -> std::io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(path, flags, Mode::empty()).map(File::from) else { return Ok(()) };
    let found = file.metadata()?;
    match found.is_file() && found.nlink() == 1 && found.uid() == 0 {
        true => fchown(&file, Some(user.uid), Some(user.gid)),
        false => Ok(()),
    }
}

/// A stream that has a byte in it when a signal came that ends us.
fn wake_on_signals() -> anyhow::Result<UnixStream> {
    let (read, write) = UnixStream::pair()?;
    // Now and then it is looked whether the workers still work.
    read.set_read_timeout(Some(Duration::from_secs(1)))?;
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR2] {
        signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
    }
    Ok(read)
}
