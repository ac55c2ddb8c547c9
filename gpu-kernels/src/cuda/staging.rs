//! Transfers by way of page-locked memory, in which the device reads and writes by itself.
//!
//! From ordinary memory the driver copies first and has the caller wait. Here the caller copies into a chunk that is
//! not in use, asks for the transfer, and goes on; a chunk is waited for when it is needed again. This module never
//! lets a chunk be written while the device may still read it.

use crate::KernelError;

/// Bytes of a chunk: several columns of an alert, which is then uploaded without a wait.
pub(super) const CHUNK_BYTES: usize = 4 << 20;
/// One is filled while the other is on its way.
pub(super) const CHUNKS: usize = 2;
/// Transfers begin at multiples of this, as the device's memory does.
const ALIGNMENT: usize = 256;

/// Page-locked chunks, and one lane's transfers from and to them.
pub(super) trait Link: Send {
    /// A moment in the lane.
    type Mark: Send;

    /// The memory of a chunk.
    fn chunk(&mut self, index: usize) -> &mut [u8];

    /// Asks for a transfer from a chunk to an address of the device.
    fn send(&mut self, piece: Piece, address: u64) -> Result<(), KernelError>;

    /// Asks for one from an address to a chunk.
    fn fetch(&mut self, piece: Piece, address: u64) -> Result<(), KernelError>;

    /// The moment at which all that was asked for is done.
    fn mark(&mut self) -> Result<Self::Mark, KernelError>;

    /// Waits for a moment.
    fn wait(&mut self, mark: &Self::Mark) -> Result<(), KernelError>;
}

/// Part of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub chunk: usize,
    pub start: usize,
    pub bytes: usize,
}

/// Chunks in turn.
pub(super) struct Staging<L: Link> {
    link: L,
    current: usize,
    used: usize,
    /// When the transfers of each chunk are done, for chunks that are full.
    marks: [Option<L::Mark>; CHUNKS],
}

impl<L: Link> Staging<L> {
    pub fn new(link: L) -> Self {
        Self { link, current: 0, used: 0, marks: [const { None }; CHUNKS] }
    }

    /// Brings bytes to the device. They may be changed when this returns.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> Result<(), KernelError> {
        let mut sent = 0;
        while sent < bytes.len() {
            let piece = self.room(bytes.len() - sent)?;
            self.link.chunk(piece.chunk)[piece.start..][..piece.bytes].copy_from_slice(&bytes[sent..][..piece.bytes]);
            self.link.send(piece, address + sent as u64)?;
            sent += piece.bytes;
        }
        Ok(())
    }

    /// Brings bytes back, behind all that the lane was asked for.
    pub fn read(&mut self, address: u64, bytes: &mut [u8]) -> Result<(), KernelError> {
        let mut fetched = 0;
        while fetched < bytes.len() {
            let piece = self.room(bytes.len() - fetched)?;
            self.link.fetch(piece, address + fetched as u64)?;
            let mark = self.link.mark()?;
            self.link.wait(&mark)?;
            bytes[fetched..][..piece.bytes]
                .copy_from_slice(&self.link.chunk(piece.chunk)[piece.start..][..piece.bytes]);
            fetched += piece.bytes;
            // All that was asked for before is done as well.
            self.used = 0;
            self.marks = [const { None }; CHUNKS];
        }
        Ok(())
    }

    /// Room for some of the bytes, in memory that no transfer uses.
    fn room(&mut self, bytes: usize) -> Result<Piece, KernelError> {
        if self.used == CHUNK_BYTES {
            self.marks[self.current] = Some(self.link.mark()?);
            let next = (self.current + 1) % CHUNKS;
            if let Some(mark) = &self.marks[next] {
                self.link.wait(mark)?;
                self.marks[next] = None;
            }
            (self.current, self.used) = (next, 0);
        }
        let piece = Piece { chunk: self.current, start: self.used, bytes: bytes.min(CHUNK_BYTES - self.used) };
        self.used = (self.used + piece.bytes).next_multiple_of(ALIGNMENT).min(CHUNK_BYTES);
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A device that transfers as late as it may: when a moment is waited for.
    struct Late {
        chunks: [Vec<u8>; CHUNKS],
        device: Vec<u8>,
        asked: Vec<(Piece, u64, bool)>,
        done: usize,
        waits: usize,
    }

    impl Link for Late {
        type Mark = usize;

        fn chunk(&mut self, index: usize) -> &mut [u8] {
            &mut self.chunks[index]
        }

        fn send(&mut self, piece: Piece, address: u64) -> Result<(), KernelError> {
            self.asked.push((piece, address, true));
            Ok(())
        }

        fn fetch(&mut self, piece: Piece, address: u64) -> Result<(), KernelError> {
            self.asked.push((piece, address, false));
            Ok(())
        }

        fn mark(&mut self) -> Result<usize, KernelError> {
            Ok(self.asked.len())
        }

        fn wait(&mut self, mark: &usize) -> Result<(), KernelError> {
            self.waits += 1;
            while self.done < *mark {
                let (piece, address, is_sent) = self.asked[self.done];
                let host = &mut self.chunks[piece.chunk][piece.start..][..piece.bytes];
                let device = &mut self.device[address as usize..][..piece.bytes];
                if is_sent {
                    device.copy_from_slice(host)
                } else {
                    host.copy_from_slice(device)
                }
                self.done += 1;
            }
            Ok(())
        }
    }

    fn staging(bytes: usize) -> Staging<Late> {
        let chunks = [const { Vec::new() }; CHUNKS].map(|_: Vec<u8>| vec![0xa5; CHUNK_BYTES]);
        Staging::new(Late { chunks, device: vec![0; bytes], asked: Vec::new(), done: 0, waits: 0 })
    }

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|index| (index * 7 + index / 4099) as u8).collect()
    }

    #[test]
    fn bytes_of_every_length_come_to_the_device_and_back() {
        for bytes in [1, ALIGNMENT + 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 5 * CHUNK_BYTES + 77] {
            let (mut staging, sent, mut back) = (staging(bytes), content(bytes), vec![0; bytes]);
            staging.write(0, &sent).unwrap();
            staging.read(0, &mut back).unwrap();
            assert!(back == sent, "{bytes}");
            back[bytes - 1] ^= 1;
            assert!(back != sent);
        }
    }

    #[test]
    fn many_small_writes_wait_only_when_all_chunks_are_on_their_way() {
        let (size, count) = (CHUNK_BYTES / 8, 24);
        let (mut staging, sent) = (staging(size * count), content(size * count));
        let mut waits = Vec::new();
        for (index, bytes) in sent.chunks(size).enumerate() {
            staging.write((index * size) as u64, bytes).unwrap();
            waits.push(staging.link.waits);
        }
        // The first chunk is needed again when both are full, and what was sent of it is done from then on.
        assert_eq!((waits[8 * CHUNKS - 1], waits[8 * CHUNKS], waits[count - 1]), (0, 1, 1));
        let mut back = vec![0; sent.len()];
        staging.read(0, &mut back).unwrap();
        assert!(back == sent);
    }
}
