//! Who is alive: processes that start, are killed, stop when asked to, stand still for a while, or have a wrong clock.

use super::{Event, RESTART_MS, World};
use crate::process::{Process, Task};

/// What became of a process, for the roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It was started.
    Up,
    /// It is gone.
    Down,
    /// It was asked to hand over and end.
    Stop,
}

/// One process, through all its lives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    pub(super) number: u64,
    pub(super) is_up: bool,
    pub(super) is_paused: bool,
    /// By how much its wall clock is wrong.
    pub(super) clock_off_ms: i64,
    /// Calls made by it, as a key for random numbers.
    pub(super) calls: u64,
    /// Calls with an effect.
    pub(super) effects: u64,
    /// When the newest of its messages to the broker arrives: one connection keeps their order.
    pub(super) lane_ms: u64,
}

impl World {
    /// The number of the life that a process is in.
    #[must_use]
    pub fn life(&self, process: Process) -> u64 {
        self.lives[process.index()].number
    }

    /// What the wall clock of a process says.
    #[must_use]
    pub fn clock_of(&self, process: Process) -> u64 {
        self.clock_ms().saturating_add_signed(self.lives[process.index()].clock_off_ms)
    }

    /// A role ended by itself: its supervisor starts the process again.
    pub fn ended(&mut self, process: Process) {
        self.kill(process, RESTART_MS);
    }

    /// Lets a task go on that has something to hear, as soon as its process runs.
    pub fn wake(&mut self, task: Task) {
        let is_paused = self.lives[task.process().index()].is_paused;
        if is_paused {
            self.held_up.insert(task)
        } else {
            self.ready.insert(task)
        };
    }

    pub(super) fn start(&mut self, process: Process) {
        let life = &mut self.lives[process.index()];
        if life.is_up {
            return;
        }
        // A connection of its own: what the life before has sent may still arrive, after what this one sends.
        life.number += 1;
        life.is_up = true;
        life.lane_ms = 0;
        self.turned.push((process, Turn::Up));
        self.ready.extend(process.tasks());
    }

    pub(super) fn kill(&mut self, process: Process, down_ms: u64) {
        let life = &mut self.lives[process.index()];
        if !life.is_up {
            return;
        }
        life.is_up = false;
        life.is_paused = false;
        self.met.ends += 1;
        let number = life.number;
        self.calls.retain(|_, caller| caller.task.process() != process || caller.life != number);
        let calls = &self.calls;
        self.waiting.retain(|call, _| calls.contains_key(call));
        self.answers.retain(|_, (of, _)| *of != process);
        self.held_up.retain(|task| task.process() != process);
        self.ready.retain(|task| task.process() != process);
        self.broker.abandon(process);
        self.turned.push((process, Turn::Down));
        self.after(down_ms, Event::Start(process));
    }

    /// A replica hands over what it holds; the others have nothing to hand over.
    pub(super) fn stop(&mut self, process: Process) {
        if process.role().is_none() {
            return self.ended(process);
        }
        if self.lives[process.index()].is_up {
            self.turned.push((process, Turn::Stop));
        }
    }

    /// The process stands still: what it has sent is on its way, what it is told waits.
    pub(super) fn pause(&mut self, process: Process, for_ms: u64) {
        let life = &mut self.lives[process.index()];
        if life.is_up && !life.is_paused {
            life.is_paused = true;
            self.after(for_ms, Event::GoOn(process));
        }
    }

    pub(super) fn go_on(&mut self, process: Process) {
        let life = &mut self.lives[process.index()];
        if life.is_paused {
            life.is_paused = false;
            let (own, others) = std::mem::take(&mut self.held_up).into_iter().partition(|t| t.process() == process);
            self.held_up = others;
            self.ready.append(&mut { own });
        }
    }

    pub(super) fn set_clock(&mut self, process: Process, off_ms: i64, for_ms: u64) {
        self.lives[process.index()].clock_off_ms = off_ms;
        self.after(for_ms, Event::RightClock(process));
    }
}
