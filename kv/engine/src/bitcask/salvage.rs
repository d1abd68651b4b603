//! Rescues what can be rescued from a damaged folder.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;

use wal::Fs;

use super::load::load;
use super::run::Run;
use super::segment::Segments;
use super::survey::{Damage, Survey, rescue};
use super::{Options, open, read_value};
use crate::usage::Usage;
use crate::{Batch, Cf, Direction, Durability, Engine, Error, Range, Result};

/// Bytes that are copied in one batch.
const BATCH_BYTES: usize = 1 << 20;

/// What [`salvage`] rescued and lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Keys that were copied.
    pub keys: u64,
    /// Bytes of these keys and their values.
    pub bytes: u64,
    /// Whether the list of segments was lost, so that all segment files were read: keys that were
    /// removed long ago may be back.
    pub list_lost: bool,
    /// The damaged places. Batches there are lost, or a part of them: their keys have an older
    /// value or none, and keys that they removed may be back.
    pub damage: Vec<Damage>,
}

/// Copies the newest intact value of every key to a new folder `out`. The old folder stays as it
/// is. A record is intact if its CRC is; unlike a start, this also takes the intact records of a
/// batch of which others are lost.
///
/// # Errors
/// `Locked` if the folder is in use, `Invalid` if `out` already holds data, `Io` if the folder
/// cannot be read, and all errors of writing.
pub fn salvage(fs: Arc<dyn Fs>, path: impl AsRef<Path>, out: impl AsRef<Path>) -> Result<Salvaged> {
    let survey = Survey::new(Arc::clone(&fs), path.as_ref())?;
    let uid = survey.segments.first().map_or(0, |surveyed| surveyed.segment.head.uid);
    let options = Options { uid: uid.wrapping_add(1), background: false, ..Options::default() };
    let target = open(fs, out.as_ref(), options)?;
    if target.stats().cfs.iter().any(|cf| cf.keys > 0) {
        return Err(Error::Invalid(format!(
            "{}: the folder already holds data: choose an empty one",
            out.as_ref().display()
        )));
    }
    let mut segments = Segments::default();
    let mut runs: Vec<(NonZeroU32, Run)> = Vec::new();
    for surveyed in &survey.segments {
        let mut run = Run::default();
        rescue(&surveyed.segment, |offset, seq, record| run.add(&record, offset, seq), |_, _| {})?;
        run.sort();
        runs.push((surveyed.segment.id, run));
        segments.insert(Arc::clone(&surveyed.segment));
    }
    let index = Arc::new(load(&runs, u64::MAX >> 1, &Usage::default(), |_, _| {}));
    drop(runs);
    let (damage, list_lost) = (survey.damage.clone(), !survey.listed);
    let mut salvaged = Salvaged { damage, list_lost, ..Salvaged::default() };
    let view = index.view();
    for cf in Cf::ALL {
        let mut cursor = index.cursor(cf, view.seq, Range::all(), Direction::Forward);
        let mut batch = Batch::new();
        let mut bytes = 0;
        while let Some((key, seq, location)) =
            cursor.next(|key, seq, location| (key.to_vec(), seq, *location))
        {
            let segment = segments.get(location.segment).expect("the segment was just read");
            let value = read_value(segment, location, seq, &key, false)?;
            salvaged.keys += 1;
            salvaged.bytes += (key.len() + value.len()) as u64;
            bytes += key.len() + value.len();
            batch.put(cf, key, value);
            if bytes >= BATCH_BYTES {
                target.write(std::mem::take(&mut batch), Durability::Never)?;
                bytes = 0;
            }
        }
        target.write(batch, Durability::Never)?;
    }
    target.flush()?;
    Ok(salvaged)
}
