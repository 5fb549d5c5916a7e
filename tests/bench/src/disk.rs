//! How long the disk takes to say that something is safe: the limit that no store can pass.

use std::fs::{self, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::figures::median;

const WRITES: usize = 500;
const BYTES: usize = 512;

/// Medians, in milliseconds.
pub struct Fdatasync {
    /// Of a file that grows.
    pub growing: f64,
    /// Of a file that has its length already.
    pub in_place: f64,
}

pub fn fdatasync(folder: &Path) -> Result<Fdatasync> {
    fs::create_dir_all(folder)?;
    let path = folder.join("fdatasync");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&path)?;
    let mut write = |deadline: Instant| -> Result<f64> {
        let mut times = Vec::new();
        while times.len() < WRITES && Instant::now() < deadline {
            file.write_all(&[0xa5; BYTES])?;
            let began = Instant::now();
            file.sync_data()?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        file.rewind()?;
        Ok(median(times).unwrap_or_default())
    };
    let soon = || Instant::now() + Duration::from_secs(2);
    let (growing, in_place) = (write(soon())?, write(soon())?);
    fs::remove_file(path)?;
    Ok(Fdatasync { growing, in_place })
}
