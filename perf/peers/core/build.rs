//! Compiles DPDK's inline functions for this machine where its headers are, and says `cfg(dpdk)` then.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=src/dpdk.c");
    println!("cargo:rustc-check-cfg=cfg(dpdk)");
    let Ok(found) = Command::new("pkg-config").args(["--cflags", "libdpdk"]).output() else { return };
    if !found.status.success() {
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let (object, library) = (out.join("dpdk.o"), out.join("libpeerdpdk.a"));
    let flags = String::from_utf8(found.stdout).expect("flags are text");
    // The last -march counts.
    let mut compile = Command::new("cc");
    compile
        .args(flags.split_whitespace())
        .args(["-O3", "-march=native", "-c", "src/dpdk.c", "-o"])
        .arg(&object);
    let mut pack = Command::new("ar");
    pack.arg("crs").arg(&library).arg(&object);
    for command in [&mut compile, &mut pack] {
        let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        assert!(status.success(), "{command:?}: {status}");
    }
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=peerdpdk");
    for library in ["rte_net", "rte_mbuf", "rte_mempool", "rte_eal"] {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    println!("cargo:rustc-cfg=dpdk");
}
