//! Frames between stores: what goes in comes out, however the bytes are split; damage is noticed.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use tinykv_proto::peer_frame::{PEER_FRAME_BYTES_MAX, PeerFrame, PeerFrameError, PeerHello};

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn hello() -> impl Strategy<Value = PeerHello> {
    (any::<[u64; 4]>(), ".{0,20}", any::<bool>()).prop_map(
        |([cluster_id, from, to, disk], text, b)| {
            let (agent, native, address) = (text.clone(), text.clone(), text);
            PeerHello {
                cluster_id,
                from,
                to,
                agent,
                native,
                address,
                disk,
                snapshots: b,
                layout: to,
            }
        },
    )
}

fn frame() -> impl Strategy<Value = PeerFrame> {
    prop_oneof![
        hello().prop_map(PeerFrame::Hello),
        hello().prop_map(PeerFrame::Welcome),
        ".{0,50}".prop_map(PeerFrame::Refused),
        prop::collection::vec(bytes(), 0..5).prop_map(PeerFrame::Messages),
        (any::<u64>(), any::<u32>(), bytes()).prop_map(|(id, timeout_ms, body)| PeerFrame::Ask {
            id,
            timeout_ms,
            body
        }),
        (any::<u64>(), bytes()).prop_map(|(id, body)| PeerFrame::Answer { id, body }),
        bytes().prop_map(PeerFrame::Snapshot),
    ]
}

fn encode(frames: &[PeerFrame]) -> BytesMut {
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| frame.encode(PEER_FRAME_BYTES_MAX, &mut out).unwrap());
    out
}

proptest! {
    #[test]
    fn frames_survive_any_split(
        frames in prop::collection::vec(frame(), 0..6),
        step in 1_usize..400,
    ) {
        let (mut input, mut out) = (BytesMut::new(), Vec::new());
        for part in encode(&frames).chunks(step) {
            input.extend_from_slice(part);
            while let Some(frame) = PeerFrame::decode(&mut input, PEER_FRAME_BYTES_MAX).unwrap() {
                out.push(frame);
            }
        }
        prop_assert!(input.is_empty());
        prop_assert_eq!(out, frames);
    }

    /// Any one byte changed: an error or a wait for more, and never another frame.
    #[test]
    fn a_changed_byte_is_noticed(frame in frame(), place in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut input = encode(std::slice::from_ref(&frame));
        let place = place.index(input.len());
        input[place] ^= by;
        prop_assert!(!matches!(PeerFrame::decode(&mut input, PEER_FRAME_BYTES_MAX), Ok(Some(_))));
    }

    #[test]
    fn noise_gives_an_error_and_no_panic(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut input = BytesMut::from(&noise[..]);
        let _ = PeerFrame::decode(&mut input, 100);
    }
}

#[test]
fn a_frame_beyond_the_limit_is_refused_by_both_sides() {
    let frame = PeerFrame::Snapshot(Bytes::from(vec![0; 100]));
    let mut out = BytesMut::from(&b"before"[..]);
    assert!(matches!(frame.encode(100, &mut out), Err(PeerFrameError::TooLarge { .. })));
    assert_eq!(&out[..], b"before");
    // Four bytes are enough to refuse it.
    let mut input = BytesMut::from(&encode(&[frame])[..4]);
    assert!(matches!(PeerFrame::decode(&mut input, 100), Err(PeerFrameError::TooLarge { .. })));
}

#[test]
fn another_version_is_named() {
    let mut input = encode(&[PeerFrame::Messages(Vec::new())]);
    input[8] = 2;
    let result = PeerFrame::decode(&mut input, PEER_FRAME_BYTES_MAX);
    assert!(matches!(result, Err(PeerFrameError::Version { version: 2 })));
}
