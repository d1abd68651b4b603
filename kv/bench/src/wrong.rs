//! Wrong answers on purpose, that the run must notice: see `mutants.toml`. An engine that loses a key
//! is fast.

use std::sync::Arc;

use bytes::Bytes;
use engine::{
    Batch, Cf, Direction, Durability, Engine, Entries, Pairs, Range, Result, Stats, View, Write,
};
use mutant::mutant;

/// Puts an engine behind one that gives the wrong answer that is switched on.
pub(crate) fn behind_wrong_answers(engine: Arc<dyn Engine>) -> Arc<dyn Engine> {
    if cfg!(feature = "mutants") { Arc::new(Wrong(engine)) } else { engine }
}

#[derive(Debug)]
struct Wrong(Arc<dyn Engine>);

/// One key of ten, and none that is absent.
fn is_chosen(key: &[u8]) -> bool {
    key.last() == Some(&b'7')
}

impl Engine for Wrong {
    fn write(&self, batch: Batch, durability: Durability) -> Result<()> {
        let mut kept = Batch::new();
        for write in batch {
            match write {
                Write::Put { key, .. } if is_chosen(&key) && mutant!("bench-put-dropped") => {}
                Write::Delete { key, .. } if is_chosen(&key) && mutant!("bench-delete-dropped") => {
                }
                Write::Put { cf, key, value } => {
                    kept.put(cf, key, value);
                }
                Write::Delete { cf, key } => {
                    kept.delete(cf, key);
                }
                Write::DeleteRange { cf, range } => {
                    kept.delete_range(cf, range);
                }
            }
        }
        self.0.write(kept, durability)
    }

    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        let mut asked = key.to_vec();
        if is_chosen(key) && mutant!("bench-value-of-a-neighbour") {
            asked.pop();
            asked.push(b'6');
        }
        if is_chosen(key) && mutant!("bench-key-not-found") {
            return Ok(None);
        }
        if key.last() == Some(&b'x') && mutant!("bench-absent-key-found") {
            return Ok(Some(Bytes::from_static(b"never written")));
        }
        let value = self.0.get(cf, &asked)?;
        let cut = is_chosen(key) && mutant!("bench-value-cut");
        Ok(value.map(|value| if cut { value.slice(..value.len() - 1) } else { value }))
    }

    fn view(&self) -> Result<Arc<dyn View>> {
        Ok(Arc::new(WrongView(self.0.view()?)))
    }

    fn flush(&self) -> Result<()> {
        self.0.flush()
    }

    fn merge(&self) -> Result<()> {
        self.0.merge()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }
}

#[derive(Debug)]
struct WrongView(Arc<dyn View>);

impl View for WrongView {
    fn get(&self, cf: Cf, key: &[u8]) -> Result<Option<Bytes>> {
        self.0.get(cf, key)
    }

    fn iter(&self, cf: Cf, range: Range, direction: Direction) -> Pairs<'_> {
        let direction = match direction {
            Direction::Backward if mutant!("bench-scan-turned-round") => Direction::Forward,
            direction => direction,
        };
        let mut before = None;
        Box::new(self.0.iter(cf, range, direction).filter_map(move |item| {
            let Ok((key, value)) = item else { return Some(item) };
            if is_chosen(&key) && mutant!("bench-scan-skips-a-key") {
                return None;
            }
            let last = before.replace(value.clone());
            let swapped = last.filter(|_| is_chosen(&key) && mutant!("bench-scan-old-value"));
            Some(Ok((key, swapped.unwrap_or(value))))
        }))
    }

    fn keys(&self, cf: Cf, range: Range, direction: Direction) -> Entries<'_> {
        self.0.keys(cf, range, direction)
    }
}
