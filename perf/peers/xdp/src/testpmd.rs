//! DPDK's testpmd, which receives through its driver for AF_XDP and looks at nothing.

use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::{fs, thread, time::Duration};
use wharf::sys::lab::Host;

pub(crate) struct Testpmd {
    child: Child,
    output: BufReader<ChildStdout>,
}

fn command() -> String {
    std::env::var("TESTPMD").unwrap_or_else(|_| "dpdk-testpmd".to_owned())
}

/// Whether it is here, with that driver.
pub(crate) fn is_here() -> bool {
    let drivers = ["/usr/lib", "/usr/local/lib"]
        .into_iter()
        .flat_map(|place| fs::read_dir(place).into_iter().flatten());
    let places =
        drivers.flatten().flat_map(|place| fs::read_dir(place.path().join("dpdk")).into_iter().flatten());
    let has_driver = places.flatten().any(|place| place.path().join("librte_net_af_xdp.so").exists());
    let runs = Command::new(command()).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    has_driver && runs.is_ok()
}

impl Testpmd {
    /// Starts it inside a host, on CPU 1; its main thread, which only waits, on CPU 0. It receives when this returns.
    pub(crate) fn start(host: &Host, scratch: &PathBuf) -> io::Result<Self> {
        let device = format!("net_af_xdp0,iface={}", host.interface);
        let mut child = host.namespace.run(|| {
            Command::new(command())
                .args([
                    "-l",
                    "0,1",
                    "--main-lcore",
                    "0",
                    "--no-pci",
                    "--no-huge",
                    "--no-shconf",
                    "--no-telemetry",
                ])
                .args(["-m", "512", "--vdev", &device, "--", "--forward-mode=rxonly", "--no-flush-rx"])
                .args(["--nb-cores=1", "--total-num-mbufs=32768", "--stats-period", "100"])
                .env("RUNTIME_DIRECTORY", scratch)
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
        })?;
        let mut output = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        while !line.contains("RX queue number") {
            line.clear();
            if output.read_line(&mut line)? == 0 {
                return Err(io::Error::other("testpmd ended before it received"));
            }
        }
        thread::sleep(Duration::from_millis(300));
        Ok(Self { child, output })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it; how many frames it says that it has received.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        // SAFETY: a signal to a child that has not been waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        let mut said = String::new();
        self.output.read_to_string(&mut said)?;
        self.child.wait()?;
        let count = said.lines().rev().find_map(|line| line.trim().strip_prefix("RX-packets: "));
        let count = count.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        count.ok_or_else(|| io::Error::other(format!("testpmd does not say what it received: {said}")))
    }
}

/// It does not outlive what failed beside it.
impl Drop for Testpmd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
