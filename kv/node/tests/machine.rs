//! The state machine of the replicated log: how commands are grouped must not show.

use bytes::Bytes;
use engine::{Cf, Direction, Durability, Engine, Memory, Range};
use proto::peer::Region;
use raftstore::{StateMachine, Timed};
use tinykv_node::{Chunk, Expiry, RawMachine, Response, Time, Write, encode_chunk};

fn commands() -> Vec<Timed> {
    let key = |at: u64| Bytes::from(format!("k{}", at % 3));
    (0..40u64)
        .map(|at| {
            let cf = Cf::Default;
            let write = match at % 5 {
                0 => {
                    let expiry = Expiry::At(Time(at + 7));
                    Write::Put { cf, key: key(at), value: Bytes::from_static(b"5"), expiry }
                }
                1 => Write::Add { cf, key: key(at + 1), delta: 3 },
                2 => Write::Append { cf, key: key(at), tail: Bytes::from_static(b"1") },
                3 => Write::GetDelete { cf, key: key(at + 2) },
                _ => Write::Add { cf, key: key(at), delta: 1 },
            };
            Timed { time: at, command: encode_chunk(&Chunk::from(vec![write.into()])) }
        })
        .collect()
}

/// Carries the commands out in groups of a size; gives the responses and what the engine holds.
fn run(group: usize) -> (Vec<Vec<Response>>, Vec<(Bytes, Bytes)>) {
    let engine = Memory::new();
    let (mut machine, region) = (RawMachine::default(), Region::default());
    let mut responses = Vec::new();
    for commands in commands().chunks(group) {
        let executed = machine.execute(&engine, &region, commands).expect("memory can be read");
        engine.write(executed.batch, Durability::Never).expect("memory can be written");
        let each = executed.responses.into_iter().map(|it| it.expect("all keys are inside"));
        responses.extend(each);
        // What one replica remembers and another does not must not show either.
        machine.reset(&engine).expect("memory can be read");
    }
    let view = engine.view().expect("memory can be read");
    let all = [Cf::Default, Cf::Expiry]
        .into_iter()
        .flat_map(|cf| view.iter(cf, Range::all(), Direction::Forward).collect::<Vec<_>>());
    let pairs = all.map(|pair| pair.expect("memory can be read")).collect();
    (responses, pairs)
}

#[test]
fn the_same_commands_give_the_same_however_they_are_grouped() {
    let alone = run(1);
    assert_eq!(alone.0.len(), 40);
    for group in [2, 3, 7, 40] {
        assert_eq!(run(group), alone, "groups of {group}");
    }
}

#[test]
fn a_chunk_with_a_key_outside_changes_nothing() {
    let engine = Memory::new();
    let region = Region { end: Bytes::from_static(b"rk1"), ..Region::default() };
    let executed = RawMachine::default().execute(&engine, &region, &commands());
    let responses = executed.expect("memory can be read").responses;
    assert!(responses.iter().any(Result::is_ok) && responses.iter().any(Result::is_err));
}
