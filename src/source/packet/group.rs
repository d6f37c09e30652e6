//! The rings that share an interface's frames: how they are opened, and how more room is made while frames come.
//!
//! All rings of an interface are members of one fan-out group, even if there is but one: the group's program, which
//! chooses the ring of each frame, is what allows to change rings between two frames. When the kernel has lost some,
//! the group opens larger rings beside the first, lets them join, and replaces the program by one that chooses among
//! them. Each frame meets the one program or the other, so that none is lost or comes twice; and a worker reads its
//! new ring when the old one has nothing of the time before any more, so that none is overtaken. The old rings stay:
//! a member that leaves would change the others' numbers.

use super::counts::Keeper;
use super::meter::Meter;
use super::problem::{self, Problem};
use super::ring::Ring;
use super::spread::{self, Spread};
use super::time_stamps::DeviceStamps;
use super::{filter, options};
use crate::frame::LinkType;
use crate::sys::block_ring::BlockRing;
use crate::sys::fanout::{Choice, Fanout, GroupId};
use crate::sys::packet_abi::RingRequest;
use crate::sys::packet_socket::{EVERY_PROTOCOL, Mode, PacketSocket};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use socket2::SockFilter;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most members of a group, as the kernel has it.
const MOST_MEMBERS: usize = 256;

/// What rings are opened by.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    /// The kernel's index of the interface; 0 for `any`.
    pub(super) index: u32,
    pub(super) mode: Mode,
    pub(super) link_type: LinkType,
    pub(super) snap_length: u32,
    /// The program in front of each ring.
    pub(super) filter: Vec<SockFilter>,
    pub(super) incoming_only: bool,
    pub(super) promiscuous: bool,
    /// One ring for each part.
    pub(super) parts: usize,
    pub(super) spread: Spread,
    pub(super) rollover: bool,
    /// The device stamps frames.
    pub(super) device_times: bool,
    pub(super) request: RingRequest,
    /// What the rings are raised to when the kernel loses frames.
    pub(super) larger: Option<RingRequest>,
}

/// The rings of one interface.
#[derive(Debug)]
pub(super) struct Group {
    plan: Plan,
    pub(super) mode: Mode,
    pub(super) link_type: LinkType,
    pub(super) snap_length: u32,
    pub(super) index: u32,
    pub(super) retire: Duration,
    /// What its rings show of themselves.
    pub(super) meter: Meter,
    /// Reads the kernel's counters when nobody else does.
    _keeper: Option<Keeper>,
    fanout: Option<(Fanout, GroupId)>,
    growth: Mutex<Growth>,
    /// There is something to [take](Group::take_raised).
    raised: AtomicBool,
    /// Sockets that are closed to wait for frames under way.
    barriers: Mutex<Vec<PacketSocket>>,
    /// The CPUs of whoever opened it: workers are pinned, and what makes more room shall not be in their way.
    cpus: Option<CpuSet>,
    /// Keeps the device stamping, where it is to.
    _stamps: Option<DeviceStamps>,
}

/// How far raising the rings is.
#[derive(Debug)]
enum Growth {
    /// Sockets opened at the start, when there was permission.
    Ready(Vec<PacketSocket>),
    UnderWay,
    /// By part, until taken.
    Done(Vec<Option<(PacketSocket, BlockRing)>>),
    Failed(String),
    /// It cannot be, for that reason.
    Barred(&'static str),
    /// There is to be no more of it.
    Over,
}

impl Group {
    /// Opens a ring for each part. From then on frames come.
    pub(super) fn open(plan: Plan) -> Result<Vec<Ring>, Problem> {
        let open = || PacketSocket::open(plan.mode).map_err(|error| Problem::of(error, problem::open));
        let sockets = |count| (0..count).map(|_| open()).collect::<Result<Vec<_>, _>>();
        // Before there is a ring, so that no frame comes without.
        let stamps =
            plan.device_times.then(|| DeviceStamps::switch_on(&plan.name, plan.index)).transpose()?;
        let mut members = Vec::new();
        let mut fanout = None;
        for (part, socket) in sockets(plan.parts)?.into_iter().enumerate() {
            let ring = plan.set_up(&socket, &plan.request)?;
            match (part, fanout) {
                (0, _) => match plan.found(&socket) {
                    Ok(founded) => fanout = Some(founded),
                    // One ring does without.
                    Err(_) if plan.parts == 1 => {}
                    Err(error) => return Err(Problem::with("cannot spread frames over rings")(error)),
                },
                (_, Some((fanout, group))) => {
                    socket.join_fanout(fanout, group).map_err(Problem::with("cannot add a ring"))?;
                }
                (_, None) => unreachable!("several rings have a group"),
            }
            members.push((socket, ring));
        }
        if fanout.is_some() {
            plan.choose_from(&members[0].0, 0).map_err(Problem::with("cannot spread frames over rings"))?;
        }
        for (socket, _) in &members {
            socket.attach_filter(&plan.filter).map_err(Problem::with("cannot attach a filter"))?;
        }
        if plan.promiscuous && plan.index != 0 {
            members[0].0.set_promiscuous(plan.index).map_err(Problem::with("cannot set promiscuous mode"))?;
        }
        let can_grow = fanout.is_some() && plan.larger.is_some() && plan.parts * 2 <= MOST_MEMBERS;
        let growth = match plan.bar() {
            _ if !can_grow => Growth::Over,
            Some(reason) => Growth::Barred(reason),
            None => Growth::Ready(sockets(plan.parts)?),
        };
        let meter = Meter::default();
        let kept = meter.clone();
        let keeper = Keeper::of(move || kept.counts());
        let group = Arc::new(Self {
            mode: plan.mode,
            link_type: plan.link_type,
            snap_length: plan.snap_length,
            index: plan.index,
            retire: Duration::from_millis(u64::from(plan.request.retire_timeout)),
            meter,
            _keeper: Some(keeper.map_err(Problem::with("cannot start a thread"))?),
            fanout,
            growth: Mutex::new(growth),
            raised: AtomicBool::new(false),
            barriers: Mutex::new(if fanout.is_some() { sockets(plan.parts)? } else { Vec::new() }),
            cpus: sched_getaffinity(None).ok(),
            _stamps: stamps,
            plan,
        });
        let rings = (0..).zip(members).map(|(part, (socket, ring))| Ring::new(&group, part, socket, ring));
        Ok(rings.collect())
    }

    pub(super) fn has_fanout(&self) -> bool {
        self.fanout.is_some()
    }

    /// Whether the device was to stamp frames.
    pub(super) fn has_device_times(&self) -> bool {
        self.plan.device_times
    }

    pub(super) fn parts(&self) -> usize {
        self.plan.parts
    }

    /// Waits for frames that are on their way into a ring; each part may once.
    pub(super) fn let_pass(&self) {
        // Closing a packet socket waits until no frame is on its way into any (`synchronize_net` in `packet_release`).
        let barrier = self.barriers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        drop(barrier);
    }

    /// Raises the rings once, on a thread of its own: the kernel takes its time to find the memory.
    pub(super) fn raise(self: &Arc<Self>) {
        let mut growth = self.lock();
        let sockets = match &mut *growth {
            Growth::Ready(sockets) => std::mem::take(sockets),
            Growth::Barred(reason) => {
                // Settled before anybody else can ask: it is told once.
                let reason = (*reason).to_owned();
                *growth = Growth::Failed(reason.clone());
                drop(growth);
                return self.meter.tell(false, &self.plan.not_raised(&reason));
            }
            _ => return,
        };
        *growth = Growth::UnderWay;
        drop(growth);
        let group = Arc::clone(self);
        let started = std::thread::Builder::new().name("wharf-ring".into()).spawn(move || {
            if let Some(cpus) = &group.cpus {
                // Where that is refused it runs beside the worker.
                let _ = sched_setaffinity(None, cpus);
            }
            if let Err(problem) = group.open_larger(sockets) {
                group.fail(problem.reason);
            }
        });
        if let Err(error) = started {
            self.fail(error.to_string());
        }
    }

    /// The rings stay as they are.
    fn fail(&self, reason: String) {
        self.meter.tell(false, &self.plan.not_raised(&reason));
        *self.lock() = Growth::Failed(reason);
    }

    fn open_larger(&self, sockets: Vec<PacketSocket>) -> Result<(), Problem> {
        let (Some(request), Some((fanout, id))) = (&self.plan.larger, self.fanout) else { return Ok(()) };
        let mut members = Vec::new();
        for socket in sockets {
            let ring = self.plan.set_up(&socket, request)?;
            socket.join_fanout(fanout, id)?;
            members.push((socket, ring));
        }
        let mut growth = self.lock();
        if !matches!(*growth, Growth::UnderWay) {
            // The capture has been stopped meanwhile.
            return Ok(());
        }
        for (socket, _) in &members {
            socket.attach_filter(&self.plan.filter)?;
        }
        let first = self.plan.parts as u32;
        if let Some((socket, _)) = members.first() {
            self.plan.choose_from(socket, first)?;
        }
        *growth = Growth::Done(members.into_iter().map(Some).collect());
        self.raised.store(true, Ordering::Release);
        self.meter.tell(true, &self.plan.raised_to(request));
        Ok(())
    }

    /// The larger ring of a part, once there is one; frames come into it already.
    pub(super) fn take_raised(self: &Arc<Self>, part: usize) -> Option<Ring> {
        if !self.raised.load(Ordering::Acquire) {
            return None;
        }
        let Growth::Done(rings) = &mut *self.lock() else { return None };
        let (socket, blocks) = rings.get_mut(part)?.take()?;
        Some(Ring::new(self, part, socket, blocks))
    }

    /// Lets no more rings be opened. What has been opened by now can be taken still.
    pub(super) fn stop_growing(&self) {
        let mut growth = self.lock();
        if matches!(*growth, Growth::Ready(_) | Growth::UnderWay) {
            *growth = Growth::Over;
        }
    }

    /// What is to be said of the rings, and their bytes before they were raised.
    pub(super) fn told(&self) -> (Option<u64>, Vec<String>) {
        let plan = &self.plan;
        match (&*self.lock(), &plan.larger) {
            (Growth::Done(_), Some(larger)) => {
                (Some(bytes(&plan.request) * plan.parts as u64), vec![plan.raised_to(larger)])
            }
            (Growth::Failed(reason), _) => (None, vec![plan.not_raised(reason)]),
            _ => (None, Vec::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Growth> {
        self.growth.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(request: &RingRequest) -> u64 {
    u64::from(request.block_size) * u64::from(request.block_count)
}

impl Plan {
    /// Says that the rings were raised.
    fn raised_to(&self, larger: &RingRequest) -> String {
        let [from, to] = [&self.request, larger].map(|request| bytes(request).div_ceil(1 << 20));
        let name = &self.name;
        format!(
            "{name}: raised from {from} to {to} MiB when the kernel lost packets; --ring {to}M has it so from the start"
        )
    }

    /// Says why they were not.
    fn not_raised(&self, reason: &str) -> String {
        let mebibytes = self.larger.as_ref().map_or(0, |larger| bytes(larger).div_ceil(1 << 20));
        let name = &self.name;
        format!("{name}: the ring could not be raised: {reason}; --ring {mebibytes}M has more from the start")
    }

    /// A ring behind the socket, which is bound and lets nothing in.
    fn set_up(&self, socket: &PacketSocket, request: &RingRequest) -> Result<BlockRing, Problem> {
        let headroom = options::headroom(self.mode);
        socket.set_reserve(headroom as u32).map_err(Problem::with("cannot reserve headroom"))?;
        socket.attach_filter(&filter::NOTHING).map_err(Problem::with("cannot attach a filter"))?;
        if self.device_times {
            socket.set_device_times().map_err(Problem::with("cannot ask for the device's times"))?;
        }
        if self.incoming_only {
            // Spares the kernel a copy of each frame sent. Before Linux 4.20 the filter alone does it.
            let _ = socket.ignore_outgoing();
        }
        let ring = BlockRing::of_socket(socket, request)
            .map_err(|error| Problem::of(error, |error| problem::ring(error, request)))?;
        socket.bind(self.index, EVERY_PROTOCOL).map_err(Problem::with("cannot bind to it"))?;
        if let Some(error) = socket.take_error().map_err(Problem::with("cannot read the socket's state"))? {
            return Err(Problem::of(error, |error| match error.raw_os_error() {
                Some(libc::ENETDOWN) => problem::down_at_start(&self.name),
                _ => error.to_string(),
            }));
        }
        Ok(ring)
    }

    /// Makes the group, with this socket as its first member.
    fn found(&self, socket: &PacketSocket) -> io::Result<(Fanout, GroupId)> {
        let choice = if self.spread == Spread::RoundRobin { Choice::InTurn } else { Choice::Program };
        let fanout = Fanout { choice, rollover: self.rollover, ignore_outgoing: self.incoming_only };
        // A kernel that does not know how to leave out what is sent leaves it to the filter.
        let heeding = Fanout { ignore_outgoing: false, ..fanout };
        let found = |fanout| socket.found_fanout(fanout).map(|group| (fanout, group));
        found(fanout).or_else(|error| if self.incoming_only { found(heeding) } else { Err(error) })
    }

    /// Why the rings cannot be raised between two frames, where that is so.
    ///
    /// A ring lets nothing in until it has joined the group: it would have every frame a second time. A program that
    /// does not name it yet keeps frames away from it until its filter lets them in. In turn, or when another is
    /// full, the kernel goes to it at once, and what it gives to a filter that refuses it is lost and not counted.
    fn bar(&self) -> Option<&'static str> {
        match (self.spread, self.rollover) {
            (Spread::RoundRobin, _) => {
                Some("packets go to rings in turn, and would be lost uncounted when one joins")
            }
            (_, true) => Some("packets roll over to other rings, and would be lost uncounted when one joins"),
            _ => None,
        }
    }

    /// From now on frames go to the members from number `first` on, one for each part.
    fn choose_from(&self, socket: &PacketSocket, first: u32) -> io::Result<()> {
        let Some(program) = spread::program(self.spread, self.parts as u32, first) else { return Ok(()) };
        socket.set_fanout_program(&program.into_iter().map(SockFilter::from).collect::<Vec<_>>())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The group of a ring in plain memory.
    pub(in super::super) fn in_memory(link_type: LinkType, device_times: bool) -> Arc<Group> {
        let request = RingRequest {
            block_size: 4096,
            block_count: 1,
            frame_size: 2048,
            frame_count: 2,
            retire_timeout: 1,
            private_size: 0,
            features: 0,
        };
        let plan = Plan {
            name: "memory".into(),
            index: 1,
            mode: Mode::Raw,
            link_type,
            snap_length: 0,
            filter: Vec::new(),
            incoming_only: false,
            promiscuous: false,
            parts: 1,
            spread: Spread::Hash,
            rollover: false,
            device_times,
            request,
            larger: None,
        };
        Arc::new(Group {
            mode: plan.mode,
            link_type,
            snap_length: 0,
            index: plan.index,
            retire: Duration::from_millis(1),
            meter: Meter::default(),
            _keeper: None,
            fanout: None,
            growth: Mutex::new(Growth::Over),
            raised: AtomicBool::new(false),
            barriers: Mutex::default(),
            cpus: None,
            _stamps: None,
            plan,
        })
    }

    /// The filter would leave out what is sent as well, but for each frame only after the kernel has made a copy of it.
    #[test]
    fn who_wants_what_comes_in_alone_spares_the_kernel_what_goes_out() {
        for incoming_only in [true, false] {
            let request = RingRequest {
                block_size: 1 << 16,
                block_count: 2,
                frame_size: 2048,
                frame_count: 64,
                retire_timeout: 10,
                private_size: 0,
                features: 0,
            };
            let index = crate::sys::link::index_of("lo").unwrap();
            let plan = Plan {
                name: "lo".into(),
                index,
                mode: Mode::Raw,
                link_type: LinkType::ETHERNET,
                snap_length: 0,
                // Lets everything in whole.
                filter: vec![SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, u32::MAX)],
                incoming_only,
                promiscuous: false,
                parts: 1,
                spread: Spread::Hash,
                rollover: false,
                device_times: false,
                request,
                larger: None,
            };
            let rings = match Group::open(plan) {
                Ok(rings) => rings,
                // Not as root, or the loopback is down: then it is for a run elsewhere to tell.
                Err(problem) => return eprintln!("SKIPPED: {}", problem.reason),
            };
            let fanout = rings[0].group.fanout.map(|(fanout, _)| fanout.ignore_outgoing);
            assert_eq!(rings[0].socket.ignores_outgoing().unwrap(), incoming_only, "the socket");
            assert_eq!(fanout, Some(incoming_only), "the group, which counts where there is one");
        }
    }
}
