//! The kernel's side: sockets, mappings, namespaces. The island of unsafe code.
//!
//! One kernel concept a file. What leaves this module is safe to use: memory the kernel may still
//! write is never handed out as a slice, and every length read from shared memory is checked.
//!
//! With one exception: files are mapped where nobody has them open for writing, but nothing keeps anybody from opening one
//! later and writing in place ([`file_mapping`] says what then, and
//! [`CaptureFile::without_mapping`](crate::source::CaptureFile::without_mapping) does without).
//!
//! | file | concept |
//! | --- | --- |
//! | [`packet_abi`] | the structures of `linux/if_packet.h` that wharf shares with the kernel |
//! | [`packet_socket`] | an `AF_PACKET` socket and its options |
//! | `packet_sender` | frames sent in bulk through one |
//! | `fanout` | packet sockets that share an interface's frames |
//! | [`classic_bpf`] | programs that choose frames: instructions, assembler, interpreter |
//! | `mapping` | memory shared with the kernel |
//! | [`file_mapping`] | a part of a file, mapped to be read |
//! | `bus_guard` | what becomes of `SIGBUS` when such a file is cut |
//! | [`block_ring`] | who owns which block of a `TPACKET_V3` ring, and who may read it how long |
//! | `readers` | how many still read such a block (model-checked) |
//! | `problem` | what can go wrong with an interface, in words that say what to do |
//! | `netlink` | rtnetlink messages: build, send, read the answer |
//! | [`link`] | make, address and remove network interfaces |
//! | `link_watch` | whether one is up, down or gone (feature `xdp`) |
//! | [`interfaces`](mod@interfaces) | list network interfaces |
//! | [`link_counters`](mod@link_counters) | what an interface itself counts |
//! | `route` | which interfaces have a default route |
//! | `link_state` | who is at a link's other end, and what it lost |
//! | `softnet` | what each CPU did with frames, and what it dropped |
//! | [`terminal`] | how large a terminal is |
//! | `tcp_info` | what the kernel knows of a TCP connection (feature `proxy`) |
//! | `generic_netlink` | what drivers can do with XDP, and their polling contexts |
//! | [`ethtool`] | a driver's features, counters, rings, queues, clocks |
//! | `socket_options` | options of TCP and UDP sockets (feature `proxy`) |
//! | `datagrams` | datagrams received and sent in bulk (feature `proxy`) |
//! | [`namespace`] | private user and network namespaces |
//! | [`privileges`] | giving up root for an ordinary user |
//! | [`affinity`] | on which CPU a thread runs |
//! | `huge_pages` | large pages for memory that is read here and there |
//! | `prefetch` | hints to the processor (no kernel's, but unsafe all the same) |
//! | [`lab`] | two hosts joined by a wire, in namespaces of their own |
//! | `bpf` | eBPF programs: assembled, loaded, attached (features `xdp`, `proxy`) |
//! | `activation`, `supervisor` | sockets from a service manager, and what it is told (feature `proxy`) |
//! | `port_steering` | a listening socket for many ports (feature `proxy`) |
//! | `xdp` | `AF_XDP` sockets: their rings, the memory of their frames, the program in front of them (feature `xdp`) |

#[cfg(not(target_os = "linux"))]
compile_error!("wharf uses AF_PACKET, rtnetlink and namespaces: it builds for Linux only");

#[cfg(feature = "proxy")]
pub(crate) mod activation;
pub mod affinity;
pub mod block_ring;
#[cfg(any(feature = "xdp", feature = "proxy"))]
pub mod bpf;
mod bus_guard;
pub mod classic_bpf;
#[cfg(feature = "proxy")]
pub(crate) mod datagrams;
pub mod ethtool;
pub(crate) mod fanout;
pub mod file_mapping;
pub(crate) mod generic_netlink;
pub(crate) mod huge_pages;
pub mod interfaces;
pub mod lab;
pub mod link;
pub mod link_counters;
pub(crate) mod link_state;
#[cfg(feature = "xdp")]
pub(crate) mod link_watch;
mod mapping;
pub mod namespace;
pub(crate) mod netlink;
pub mod packet_abi;
pub(crate) mod packet_sender;
pub mod packet_socket;
#[cfg(feature = "proxy")]
pub(crate) mod port_steering;
pub(crate) mod prefetch;
pub mod privileges;
pub(crate) mod problem;
mod readers;
pub(crate) mod route;
#[cfg(feature = "proxy")]
pub(crate) mod socket_options;
pub(crate) mod softnet;
#[cfg(feature = "proxy")]
pub mod supervisor;
#[cfg(feature = "proxy")]
pub(crate) mod tcp_info;
pub mod terminal;
#[cfg(feature = "xdp")]
pub mod xdp;

pub use interfaces::{InterfaceInfo, interfaces};
pub use lab::Lab;
pub use link_counters::{LinkCounters, link_counters};
