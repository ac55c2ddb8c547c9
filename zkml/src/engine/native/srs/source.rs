//! A file as a stream: counted, hashed, and never held whole.

use std::io::Read;

use halo2_axiom::SerdeCurveAffine;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::{SrsError, SrsProgress};

/// Bytes read at a time: some thousand points, so that all threads have work and memory stays small.
const BLOCK_BYTES: usize = 1 << 18;

/// What is left of a file. All that is read goes through the hash.
pub struct Source<'s> {
    reader: &'s mut dyn Read,
    hasher: Sha256,
    length: u64,
    read: u64,
    block: Vec<u8>,
    progress: &'s mut dyn FnMut(SrsProgress),
}

impl<'s> Source<'s> {
    /// A stream that is said to have so many bytes.
    pub fn new(reader: &'s mut dyn Read, length: u64, progress: &'s mut dyn FnMut(SrsProgress)) -> Self {
        Self { reader, hasher: Sha256::new(), length, read: 0, block: Vec::new(), progress }
    }

    /// Bytes of the whole.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes not yet read.
    pub fn left(&self) -> u64 {
        self.length - self.read
    }

    /// The next bytes, as many as an array holds.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], SrsError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.next(N)?);
        Ok(bytes)
    }

    /// The next number of four bytes.
    pub fn u32(&mut self) -> Result<u32, SrsError> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next number of eight bytes.
    pub fn u64(&mut self) -> Result<u64, SrsError> {
        self.array().map(u64::from_le_bytes)
    }

    /// All that is left. Only for what has been found to be small enough to be held.
    pub fn rest(&mut self) -> Result<Vec<u8>, SrsError> {
        let mut rest = Vec::new();
        while self.left() > 0 {
            rest.extend_from_slice(self.next(self.next_block(self.left()))?);
        }
        Ok(rest)
    }

    /// Passes over bytes. They count for the hash alone.
    pub fn skip(&mut self, mut bytes: u64) -> Result<(), SrsError> {
        self.announced(bytes)?;
        while bytes > 0 {
            let block = self.next_block(bytes);
            self.next(block)?;
            bytes -= block as u64;
        }
        Ok(())
    }

    /// The next points: coordinates in Montgomery form, little-endian, each below the modulus and each pair on its curve.
    pub fn points<C: SerdeCurveAffine>(&mut self, group: &'static str, count: usize) -> Result<Vec<C>, SrsError> {
        let point_bytes = point_bytes::<C>();
        // What is not there is not made room for.
        self.announced((count as u64).saturating_mul(point_bytes as u64))?;
        let mut points = Vec::with_capacity(count);
        while points.len() < count {
            let first = points.len();
            let take = (count - first).min(BLOCK_BYTES / point_bytes);
            let block = self.next(take * point_bytes)?;
            let decode = |(index, bytes): (usize, &[u8])| {
                let point = C::from_raw_bytes(bytes).ok_or(SrsError::OffCurve { group, index: first + index })?;
                let is_identity = bool::from(point.is_identity());
                if is_identity { Err(SrsError::Identity { group, index: first + index }) } else { Ok(point) }
            };
            let decoded: Result<Vec<C>, SrsError> =
                block.par_chunks_exact(point_bytes).enumerate().map(decode).collect();
            points.extend(decoded?);
        }
        Ok(points)
    }

    /// Reads on to the end, whatever became of what was read, and gives the hash of the whole.
    pub fn finish(mut self) -> Result<[u8; 32], SrsError> {
        self.skip(self.left())?;
        Ok(self.hasher.finalize().into())
    }

    fn next(&mut self, bytes: usize) -> Result<&[u8], SrsError> {
        self.announced(bytes as u64)?;
        self.block.resize(bytes, 0);
        self.reader.read_exact(&mut self.block).map_err(SrsError::Read)?;
        self.hasher.update(&self.block);
        self.read += bytes as u64;
        (self.progress)(SrsProgress::Reading { bytes: self.read, of: self.length });
        Ok(&self.block)
    }

    /// Whether so many more bytes can be there at all.
    pub fn announced(&self, bytes: u64) -> Result<(), SrsError> {
        let expected = self.read.saturating_add(bytes);
        if expected > self.length { Err(SrsError::Length { expected, actual: self.length }) } else { Ok(()) }
    }

    fn next_block(&self, bytes: u64) -> usize {
        usize::try_from(bytes).map_or(BLOCK_BYTES, |bytes| bytes.min(BLOCK_BYTES))
    }
}

/// Bytes of a point whose coordinates are written out.
pub fn point_bytes<C>() -> usize {
    size_of::<C>()
}
