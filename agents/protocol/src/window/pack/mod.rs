//! A patient's window in few bytes.
//!
//! Layout, version 1: the configuration, the clock, the stay's start, the newest end emitted, the devices, the facts,
//! then a track for each variable that has one, named by a bit mask. Instants count back from the tick that the clock
//! lies in, values are differences from the value next to them, and a variable that was never measured takes no byte.
//! What a machine reaches comes back equal, and goes on as if it had never been packed.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod sample;
mod sequence;
mod track;

use self::sample::Base;
use super::facts::Facts;
use super::sequence::Sequences;
use super::track::Track;
use super::{PatientWindow, WindowConfig};
use crate::code::READINGS;
use crate::pack::{PackError, Reader, Writer};
use crate::time::Timestamp;

const VERSION: u8 = 1;

/// Bits of the mask of variables.
const _: () = assert!(READINGS <= 64);

/// The ticks of a configuration, numbered from the epoch.
#[derive(Clone, Copy)]
struct Grid {
    tick_ms: u64,
    /// The tick that the clock lies in: no tick is newer.
    newest: u64,
}

impl PatientWindow {
    /// The machine in as few bytes as it needs: some 500 for a chart of hourly vitals and two days of laboratory values.
    #[must_use]
    pub fn pack(&self) -> Box<[u8]> {
        let grid = Grid::new(&self.config, self.clock);
        let base = Base { at: grid.end(grid.newest), value_milli: 0 };
        let mut out = Writer::new(VERSION);
        for number in numbers(&self.config) {
            out.number(number);
        }
        out.number(self.clock.as_millis());
        pack_option(self.first.map(|first| self.clock.millis_since(first)), &mut out);
        pack_option(self.closed.map(|closed| grid.newest.saturating_sub(grid.index(closed))), &mut out);
        self.sequences.pack(&mut out);
        self.facts.pack(base, &mut out);
        let is_known = |slot: &usize| self.tracks.get(*slot).is_some_and(|track| !track.is_empty());
        out.number((0..READINGS).filter(is_known).fold(0, |mask, slot| mask | 1 << slot));
        for track in self.tracks.iter().filter(|track| !track.is_empty()) {
            track.pack(grid, &mut out);
        }
        out.finish()
    }

    /// The machine that was packed, to go on under `config`.
    ///
    /// # Errors
    /// [`PackError::OtherConfig`] where it was packed under another configuration, and every other variant for bytes
    /// that [`PatientWindow::pack`] never made.
    pub fn unpack(bytes: &[u8], config: WindowConfig) -> Result<PatientWindow, PackError> {
        let mut input = Reader::new(bytes, VERSION)?;
        for number in numbers(&config) {
            if input.number()? != number {
                return Err(PackError::OtherConfig);
            }
        }
        let clock = unpack_instant(&mut input)?;
        let grid = Grid::new(&config, clock);
        let first = unpack_option(&mut input)?.map(|back_ms| back(clock, back_ms)).transpose()?;
        let closed = unpack_option(&mut input)?.map(|ticks| grid.back(ticks)).transpose()?;
        let sequences = Sequences::unpack(&mut input)?;
        let facts = Facts::unpack(Base { at: grid.end(grid.newest), value_milli: 0 }, &mut input)?;
        let mut tracks: [Track; READINGS] = Default::default();
        unpack_tracks(&mut tracks, grid, &mut input)?;
        input.finish()?;
        Ok(PatientWindow { config, sequences, tracks, facts, first, clock, closed })
    }
}

impl Grid {
    fn new(config: &WindowConfig, clock: Timestamp) -> Grid {
        let tick_ms = u64::from(config.tick_s.get()).saturating_mul(1_000);
        Grid { tick_ms, newest: clock.as_millis().div_ceil(tick_ms) }
    }

    /// The tick that an instant lies in.
    fn index(self, at: Timestamp) -> u64 {
        at.as_millis().div_ceil(self.tick_ms)
    }

    /// The end of a tick. The last one ends where time does.
    fn end(self, index: u64) -> Timestamp {
        Timestamp::from_millis(index.saturating_mul(self.tick_ms))
    }

    /// The end of the tick that lies `ticks` before the newest.
    fn back(self, ticks: u64) -> Result<Timestamp, PackError> {
        self.newest.checked_sub(ticks).map(|index| self.end(index)).ok_or(PackError::OutOfRange)
    }
}

fn numbers(config: &WindowConfig) -> [u64; 5] {
    let WindowConfig { tick_s, lateness_s, backfill_s, trend_s, carry_forward_s } = *config;
    [tick_s.get(), lateness_s, backfill_s, trend_s, carry_forward_s].map(u64::from)
}

fn unpack_tracks(tracks: &mut [Track; READINGS], grid: Grid, input: &mut Reader<'_>) -> Result<(), PackError> {
    let mask = input.number()?;
    if mask >> READINGS != 0 {
        return Err(PackError::UnknownSlot);
    }
    let known = tracks.iter_mut().enumerate().filter(|(slot, _)| mask >> slot & 1 == 1);
    for (_, track) in known {
        *track = Track::unpack(grid, input)?;
    }
    Ok(())
}

fn unpack_instant(input: &mut Reader<'_>) -> Result<Timestamp, PackError> {
    Timestamp::try_from(input.number()?).map_err(|_| PackError::OutOfRange)
}

fn back(from: Timestamp, back_ms: u64) -> Result<Timestamp, PackError> {
    from.as_millis().checked_sub(back_ms).map(Timestamp::from_millis).ok_or(PackError::OutOfRange)
}

/// Zero stands for nothing.
fn pack_option(number: Option<u64>, out: &mut Writer) {
    out.number(number.map_or(0, |number| number.saturating_add(1)));
}

fn unpack_option(input: &mut Reader<'_>) -> Result<Option<u64>, PackError> {
    Ok(input.number()?.checked_sub(1))
}
