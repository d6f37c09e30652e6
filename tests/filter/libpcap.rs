//! libpcap as the distribution has it, opened at run time: what every expression is held against.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uchar, c_uint, c_void};
use wharf::frame::LinkType;
use wharf::sys::classic_bpf::Instruction;

/// `struct bpf_insn` (pcap/bpf.h).
#[repr(C)]
#[derive(Clone, Copy)]
struct BpfInsn {
    code: u16,
    jt: u8,
    jf: u8,
    k: u32,
}

/// `struct bpf_program` (pcap/bpf.h).
#[repr(C)]
struct BpfProgram {
    length: c_uint,
    instructions: *mut BpfInsn,
}

/// `struct pcap_pkthdr` (pcap/pcap.h).
#[repr(C)]
struct Header {
    time: [c_long; 2],
    captured: u32,
    length: u32,
}

type OpenDead = unsafe extern "C" fn(c_int, c_int) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void);
type Compile = unsafe extern "C" fn(*mut c_void, *mut BpfProgram, *const c_char, c_int, u32) -> c_int;
type GetErr = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type FreeCode = unsafe extern "C" fn(*mut BpfProgram);
type OfflineFilter = unsafe extern "C" fn(*const BpfProgram, *const Header, *const c_uchar) -> c_int;
type BpfFilter = unsafe extern "C" fn(*const BpfInsn, *const c_uchar, c_uint, c_uint) -> c_uint;
type Version = unsafe extern "C" fn() -> *const c_char;

/// The library.
pub(crate) struct Libpcap {
    open_dead: OpenDead,
    close: Close,
    compile: Compile,
    get_error: GetErr,
    free_code: FreeCode,
    filter: OfflineFilter,
    bpf_filter: BpfFilter,
    version: String,
    /// Keeps the functions loaded.
    _library: libloading::Library,
}

/// A program of libpcap's.
pub(crate) struct Theirs<'l> {
    library: &'l Libpcap,
    program: BpfProgram,
}

impl Libpcap {
    /// Opens it; `None` where there is none.
    pub(crate) fn open() -> Option<Self> {
        // SAFETY: libpcap has no initialiser that anything here depends on.
        let library = unsafe { libloading::Library::new("libpcap.so.0.8") }.ok()?;
        // SAFETY: the types are those of pcap/pcap.h; the functions live as long as the library, which is kept beside them.
        unsafe {
            let version: Version = *library.get(b"pcap_lib_version\0").ok()?;
            Some(Self {
                open_dead: *library.get(b"pcap_open_dead\0").ok()?,
                close: *library.get(b"pcap_close\0").ok()?,
                compile: *library.get(b"pcap_compile\0").ok()?,
                get_error: *library.get(b"pcap_geterr\0").ok()?,
                free_code: *library.get(b"pcap_freecode\0").ok()?,
                bpf_filter: *library.get(b"bpf_filter\0").ok()?,
                filter: *library.get(b"pcap_offline_filter\0").ok()?,
                version: CStr::from_ptr(version()).to_string_lossy().into_owned(),
                _library: library,
            })
        }
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Compiles an expression; the error as libpcap words it.
    pub(crate) fn compile(
        &self,
        expression: &str,
        link_type: LinkType,
        optimise: bool,
    ) -> Result<Theirs<'_>, String> {
        // The network's mask is not known: 0xffffffff.
        self.compile_in(expression, link_type, optimise, u32::MAX)
    }

    /// The same in a network of that mask.
    pub(crate) fn compile_in(
        &self,
        expression: &str,
        link_type: LinkType,
        optimise: bool,
        mask: u32,
    ) -> Result<Theirs<'_>, String> {
        let text = CString::new(expression).map_err(|error| error.to_string())?;
        let mut program = BpfProgram { length: 0, instructions: std::ptr::null_mut() };
        // SAFETY: the handle is closed once, after its last use; libpcap copies the text and owns the program's instructions
        // until they are given back in `drop`.
        unsafe {
            let handle = (self.open_dead)(dlt(link_type), 262_144);
            assert!(!handle.is_null(), "no memory");
            let failed = (self.compile)(handle, &mut program, text.as_ptr(), optimise.into(), mask) != 0;
            let error = CStr::from_ptr((self.get_error)(handle)).to_string_lossy().into_owned();
            (self.close)(handle);
            if failed { Err(error) } else { Ok(Theirs { library: self, program }) }
        }
    }
}

/// Link types have other numbers inside of libpcap (pcap-common.c) where systems disagreed.
fn dlt(link_type: LinkType) -> c_int {
    match link_type {
        LinkType::RAW => 12,
        LinkType(number) => number.into(),
    }
}

impl Theirs<'_> {
    pub(crate) fn instructions(&self) -> Vec<Instruction> {
        // SAFETY: libpcap gives so many instructions there.
        let all =
            unsafe { std::slice::from_raw_parts(self.program.instructions, self.program.length as usize) };
        let convert = |BpfInsn { code, jt, jf, k }: &BpfInsn| Instruction {
            code: *code,
            then: *jt,
            otherwise: *jf,
            constant: *k,
        };
        all.iter().map(convert).collect()
    }

    /// libpcap's own verdict.
    pub(crate) fn matches(&self, data: &[u8], wire_length: u32) -> bool {
        let header = Header { time: [0; 2], captured: data.len() as u32, length: wire_length };
        // SAFETY: the header says how many bytes there are.
        unsafe { (self.library.filter)(&self.program, &header, data.as_ptr()) != 0 }
    }
}

impl Theirs<'_> {
    /// The same by its interpreter alone.
    pub(crate) fn run(&self, data: &[u8], wire_length: u32) -> bool {
        // SAFETY: the program is libpcap's own, and there are so many bytes.
        unsafe {
            let instructions = self.program.instructions;
            (self.library.bpf_filter)(instructions, data.as_ptr(), wire_length, data.len() as u32) != 0
        }
    }
}

impl Drop for Theirs<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `pcap_compile`, given back once.
        unsafe { (self.library.free_code)(&mut self.program) }
    }
}
