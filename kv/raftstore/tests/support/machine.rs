//! A state machine of registers that can be set and appended to.
#![allow(dead_code, reason = "every suite uses a part")]

use bytes::{BufMut, Bytes, BytesMut};
use engine::{Batch, Cf, Engine, Range};
use proto::peer::{Region, RegionError};
use std::collections::BTreeMap;
use tinykv_raftstore::{Executed, KeySpan, StateMachine, Timed};

/// What can be asked of a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Sets it.
    Put(Bytes, Bytes),
    /// Adds at its end.
    Append(Bytes, Bytes),
    /// Removes it.
    Delete(Bytes),
}

impl Op {
    pub(crate) fn key(&self) -> Bytes {
        match self {
            Op::Put(key, _) | Op::Append(key, _) | Op::Delete(key) => key.clone(),
        }
    }

    pub(crate) fn keys(&self) -> KeySpan {
        KeySpan::of(self.key())
    }

    pub(crate) fn encode(&self) -> Bytes {
        let (op, key, value) = match self {
            Op::Put(key, value) => (0, key, value.clone()),
            Op::Append(key, value) => (1, key, value.clone()),
            Op::Delete(key) => (2, key, Bytes::new()),
        };
        let mut out = BytesMut::new();
        out.put_u8(op);
        out.put_u16(key.len() as u16);
        out.put_slice(key);
        out.put_slice(&value);
        out.freeze()
    }

    fn decode(bytes: &Bytes) -> Op {
        let len = usize::from(u16::from_be_bytes([bytes[1], bytes[2]]));
        let (key, value) = (bytes.slice(3..3 + len), bytes.slice(3 + len..));
        match bytes[0] {
            0 => Op::Put(key, value),
            1 => Op::Append(key, value),
            _ => Op::Delete(key),
        }
    }
}

/// Registers in the family `default`. A command answers with the register's new value.
#[derive(Debug, Default)]
pub(crate) struct Registers;

impl StateMachine for Registers {
    type Response = Bytes;

    fn execute(
        &mut self,
        engine: &dyn Engine,
        region: &Region,
        commands: &[Timed],
    ) -> engine::Result<Executed<Bytes>> {
        let mut batch = Batch::new();
        let mut written: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        let mut responses = Vec::new();
        for Timed { command, .. } in commands {
            let op = Op::decode(command);
            let key = op.key();
            if !region.contains(&key) {
                let region = Box::new(region.clone());
                responses.push(Err(RegionError::KeyNotInRegion { key, region }));
                continue;
            }
            let old = match written.get(&key) {
                Some(value) => value.clone(),
                None => engine.get(Cf::Default, &key)?.unwrap_or_default(),
            };
            let new: Bytes = match op {
                Op::Put(_, value) => value,
                Op::Append(_, tail) => [&old[..], &tail].concat().into(),
                Op::Delete(_) => Bytes::new(),
            };
            match new.is_empty() {
                true => batch.delete(Cf::Default, key.clone()),
                false => batch.put(Cf::Default, key.clone(), new.clone()),
            };
            written.insert(key, new.clone());
            responses.push(Ok(new));
        }
        Ok(Executed { batch, responses })
    }

    fn reset(&mut self, _: &dyn Engine) -> engine::Result<()> {
        Ok(())
    }

    fn ranges(region: &Region) -> Vec<(Cf, Range)> {
        let end = (!region.end.is_empty()).then(|| region.end.clone());
        vec![(Cf::Default, Range { start: region.start.clone(), end })]
    }

    fn owns(region: &Region, _: Cf, key: &[u8]) -> bool {
        region.contains(key)
    }
}
