//! Connections taken in: as many as there is room for, each socket in its turn.

use super::super::notice::Notice;
use super::super::tcp::Context;
use super::super::token::Token;
use super::Worker;
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};
use std::net::SocketAddr;
use std::time::Duration;

/// Connections accepted from one socket before others have their turn.
const ACCEPTS: usize = 64;
/// Times that so many are accepted before a socket is closed: those who waited there, and not those who go on coming.
const LAST_ACCEPTS: usize = 64;
/// Until accepting is tried again after the process, or the host, had no more descriptors.
const PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    /// Whether there is room for who comes.
    fn accepts(&self) -> bool {
        !self.full && self.paused_until.is_none()
    }

    /// Accepts what waits, each socket in turn, as long as there is room.
    pub(super) fn accept(&mut self, cx: Context<'_>) {
        if self.paused_until.is_some_and(|until| until <= cx.now) {
            self.paused_until = None;
        }
        let was_full = std::mem::take(&mut self.full);
        for _ in 0..self.waiting.len() {
            if self.full || self.paused_until.is_some() {
                break;
            }
            let Some(number) = self.waiting.pop_front() else { break };
            if !self.accept_from(cx, number) {
                self.waiting.push_back(number);
            }
        }
        if self.full && !was_full {
            cx.counters.tcp.pauses.add(1);
        }
    }

    /// Accepts from one socket; true when nothing waits there any more.
    fn accept_from(&mut self, cx: Context<'_>, number: u32) -> bool {
        let Some(socket) = self.listening.get(number) else { return true };
        let tcp = &cx.counters.tcp;
        let mut refused = 0;
        for _ in 0..ACCEPTS {
            if self.tcp.is_full() {
                self.full = true;
                return false;
            }
            let accepted = match self.tcp.has_spare() {
                true => acceptfrom_with(&socket.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC),
                false => Err(Errno::MFILE),
            };
            match accepted {
                Ok((client, peer)) => {
                    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
                    self.tcp.accept(cx, socket, client, peer);
                }
                Err(Errno::AGAIN) => return true,
                Err(Errno::INTR) => {}
                Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    tcp.pauses.add(1);
                    self.paused_until = Some(cx.now + PAUSE);
                    return false;
                }
                // It listens no more, and never will: another process has it, too, and has shut it down.
                Err(Errno::INVAL | Errno::BADF | Errno::NOTSOCK) => {
                    tcp.accept_errors.add(1);
                    (self.notice)(Notice::ListenerDied { place: socket.endpoint.place.to_string() });
                    self.leave(cx, Token::Listening(number));
                    return true;
                }
                // It went away while it waited, or a firewall keeps it out: the next one may be well (accept(2)).
                Err(_) => {
                    tcp.accept_errors.add(1);
                    refused += 1;
                }
            }
        }
        if refused == ACCEPTS {
            // None was: it is a rule that refuses all of them, and they will go on coming.
            tcp.pauses.add(1);
            self.paused_until = Some(cx.now + PAUSE);
        }
        false
    }

    /// No new clients from now on.
    pub(super) fn begin_to_end(&mut self, cx: Context<'_>) {
        self.deadline = Some(cx.now + self.shared.plan.get().timeouts.drain);
        (self.paused_until, self.full) = (None, false);
        // Closed, so that who comes now is refused and does not wait in vain.
        let numbers: Vec<_> = self.listening.numbers().collect();
        for number in numbers {
            self.accept_the_last(cx, number);
            self.leave(cx, Token::Listening(number));
        }
    }

    /// Takes in who waits at a socket that is about to be closed: those who are connected by their own account would be reset.
    pub(super) fn accept_the_last(&mut self, cx: Context<'_>, number: u32) {
        for _ in 0..LAST_ACCEPTS {
            if self.accept_from(cx, number) || !self.accepts() {
                break;
            }
        }
    }
}
