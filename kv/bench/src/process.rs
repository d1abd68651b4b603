//! What the kernel counts of this process.

use std::fs;
use std::io::Result;
use std::path::Path;

/// Bytes that this process caused to be written to the disk so far. Pages that are dirty but not
/// yet on their way are counted too; bytes of the file system's own journal are not.
pub fn written_bytes() -> u64 {
    field("/proc/self/io", "write_bytes:").unwrap_or(0)
}

/// The largest resident size of this process so far, in bytes.
pub fn peak_memory_bytes() -> u64 {
    field("/proc/self/status", "VmHWM:").unwrap_or(0) * 1024
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes that a folder takes on the disk, by its allocated blocks.
pub fn disk_bytes(dir: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut sum = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        sum += if meta.is_dir() { disk_bytes(&entry.path())? } else { meta.blocks() * 512 };
    }
    Ok(sum)
}
