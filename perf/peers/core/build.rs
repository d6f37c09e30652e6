//! Compiles what calls C for this machine where its headers are, and says `cfg(dpdk)` and `cfg(pcap)` then.

use std::path::PathBuf;
use std::process::Command;

fn main() {
    for (package, name) in [("libdpdk", "dpdk"), ("libpcap", "pcap")] {
        println!("cargo:rerun-if-changed=src/{name}.c");
        println!("cargo:rustc-check-cfg=cfg({name})");
        if let Some(flags) = pkg_config("--cflags", package) {
            compile(name, &flags);
            println!("cargo:rustc-cfg={name}");
        }
    }
    // Of DPDK only what is not inline.
    if pkg_config("--cflags", "libdpdk").is_some() {
        for library in ["rte_net", "rte_mbuf", "rte_mempool", "rte_eal"] {
            println!("cargo:rustc-link-lib=dylib={library}");
        }
    }
    for library in
        pkg_config("--libs-only-l", "libpcap").iter().flat_map(|libraries| libraries.split_whitespace())
    {
        println!("cargo:rustc-link-lib=dylib={}", library.trim_start_matches("-l"));
    }
}

/// What pkg-config says of a package that is installed.
fn pkg_config(what: &str, package: &str) -> Option<String> {
    let found = Command::new("pkg-config").args([what, package]).output().ok()?;
    found.status.success().then(|| String::from_utf8(found.stdout).expect("flags are text"))
}

/// Makes a library of `src/NAME.c` and links it.
fn compile(name: &str, flags: &str) {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let (object, library) = (out.join(format!("{name}.o")), out.join(format!("libpeer{name}.a")));
    // The last -march counts.
    let mut compile = Command::new("cc");
    compile
        .args(flags.split_whitespace())
        .args(["-O3", "-march=native", "-c", &format!("src/{name}.c"), "-o"])
        .arg(&object);
    let mut pack = Command::new("ar");
    pack.arg("crs").arg(&library).arg(&object);
    for command in [&mut compile, &mut pack] {
        let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        assert!(status.success(), "{command:?}: {status}");
    }
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=peer{name}");
}
