//! What is announced and does not come costs no memory, in any codec. One test, since it counts
//! the allocations of the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use tinykv_proto::Message;
use tinykv_proto::frame::FrameDecoder;
use tinykv_proto::resp::{Limits, ReplyDecoder, RequestDecoder};

/// The system's allocator, which notes the largest single allocation.
struct Noting;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LARGEST.fetch_max(size, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Noting = Noting;

/// The largest allocation, in bytes, that `work` makes.
fn largest(work: impl FnOnce()) -> usize {
    LARGEST.store(0, Ordering::Relaxed);
    work();
    LARGEST.load(Ordering::Relaxed)
}

#[test]
fn what_is_announced_costs_nothing() {
    let mut request = BytesMut::from("*1048576\r\n$536870912\r\nabc");
    let bytes = largest(|| {
        assert!(RequestDecoder::new(Limits::default()).decode(&mut request).unwrap().is_none());
    });
    assert!(bytes < 1024, "a request: {bytes} bytes");

    let mut reply = BytesMut::from("*1048576\r\n%524288\r\n~1048576\r\n$536870912\r\nabc");
    let bytes = largest(|| {
        assert!(ReplyDecoder::new(Limits::default()).decode(&mut reply).unwrap().is_none());
    });
    assert!(bytes < 1024, "a reply: {bytes} bytes");

    let mut frame = BytesMut::from(&b"\x00\xff\xff\xf0\x01\x02abc"[..]);
    let bytes = largest(|| assert!(FrameDecoder::default().decode(&mut frame).unwrap().is_none()));
    assert!(bytes < 1024, "a frame: {bytes} bytes");

    // A payload whose array announces 2^32 - 1 keys, and one whose key announces as many bytes.
    let get = b"\x81\xa1r\x81\xa4mget\x82\xa2cf\xa1d\xa1k\xdd\xff\xff\xff\xff";
    let one = b"\x81\xa1r\x81\xa3get\x82\xa2cf\xa1d\xa1k\xc6\xff\xff\xff\xff";
    for payload in [&get[..], one] {
        let mut frame = BytesMut::from(&[0, 0, 0, 10 + payload.len() as u8, 1, 2][..]);
        frame.extend_from_slice(&[0; 8]);
        frame.extend_from_slice(payload);
        let frame = FrameDecoder::default().decode(&mut frame).unwrap().unwrap();
        let bytes = largest(|| assert!(Message::decode(&frame).is_err()));
        assert!(bytes <= 1 << 20, "a payload: {bytes} bytes");
    }
}
