//! A counter in the broker's memory: claims or allocates, maps, adds one, and ends without giving the memory back.

use std::ffi::{c_void, CStr};
use std::os::raw::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

const MB_OK: c_int = 0;
const MB_NOT_FOUND: c_int = 100;

#[repr(C)]
struct Error {
    code: c_int,
    system_error: c_int,
    name: [c_char; 64],
    message: [c_char; 1024],
    parameters: [c_char; 8192],
}

#[repr(C)]
struct Claimed {
    allocation: *const c_void,
    mappings: *const *mut c_void,
    mapping_count: usize,
    joined: bool,
}

#[repr(C)]
struct Rebuilt {
    claimed: *const Claimed,
    claimed_count: usize,
    not_claimed: *const c_void,
    not_claimed_count: usize,
}

#[link(name = "membroker")]
extern "C" {
    fn mb_connect(options: *const c_void, broker: *mut *mut c_void, error: *mut Error) -> c_int;
    fn mb_close(broker: *mut c_void);
    fn mb_allocate(
        broker: *mut c_void, name: *const c_char, bytes: u64, options: *const c_void, allocation: *mut *mut c_void, error: *mut Error,
    ) -> c_int;
    fn mb_map(broker: *mut c_void, name: *const c_char, options: *const c_void, mapping: *mut *mut c_void, error: *mut Error) -> c_int;
    fn mb_claim(broker: *mut c_void, name: *const c_char, options: *const c_void, rebuilt: *mut *mut Rebuilt, error: *mut Error) -> c_int;
    fn mb_rebuilt_free(rebuilt: *mut Rebuilt);
    fn mb_mapping_memory(mapping: *mut c_void, memory: *mut *mut c_void, error: *mut Error) -> c_int;
}

fn must(code: c_int, error: &Error) {
    if code != MB_OK {
        let text = |bytes: &[c_char]| unsafe { CStr::from_ptr(bytes.as_ptr()) }.to_string_lossy().into_owned();
        eprintln!("counter: {}: {}", text(&error.name), text(&error.message));
        std::process::exit(1);
    }
}

fn main() {
    let name = b"example/rust\0".as_ptr() as *const c_char;
    let mut broker = ptr::null_mut();
    let mut mapping = ptr::null_mut();
    let mut memory = ptr::null_mut();
    let mut rebuilt = ptr::null_mut();
    unsafe {
        let mut error: Error = std::mem::zeroed();
        must(mb_connect(ptr::null(), &mut broker, &mut error), &error);
        let code = mb_claim(broker, name, ptr::null(), &mut rebuilt, &mut error);
        if code == MB_NOT_FOUND {
            must(mb_allocate(broker, name, 4096, ptr::null(), ptr::null_mut(), &mut error), &error);
            must(mb_map(broker, name, ptr::null(), &mut mapping, &mut error), &error);
        } else {
            must(code, &error);
            mapping = *(*(*rebuilt).claimed).mappings;
            mb_rebuilt_free(rebuilt);
        }
        must(mb_mapping_memory(mapping, &mut memory, &mut error), &error);
        let counter = &*(memory as *const AtomicU64);
        println!("run {}", counter.fetch_add(1, Ordering::SeqCst) + 1);
        mb_close(broker);
    }
}
