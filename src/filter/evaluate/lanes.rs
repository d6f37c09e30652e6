//! Many frames at once: each step is asked of all frames that have come to it, before the next one is.
//!
//! Which frames those are is a mask, a bit a frame; a step divides it in two. No branch depends on a frame's content but
//! where all of them, or none, go one way: on mixed traffic it is the branches guessed wrong that walking decisions frame by
//! frame takes its time for.

use super::columns::{ALL, Column, Frames, LANES, Machine, Numbers, each};
use super::flat::{ACCEPT, FIRST, Flat};
use super::plan::{Ask, MOST_STEPS, MOST_WORDS, Plan, Planned};
use super::values::Locals;
use crate::frame::Batch;

/// Most filters need no more words of a frame: there is less to clear.
const FEW_WORDS: usize = 8;

/// Room to work in, for `WORDS` words.
struct Lanes<'l, const WORDS: usize> {
    plan: &'l Plan,
    flat: &'l Flat,
    columns: [Column; WORDS],
    locals: Locals,
    /// Frames that have come to each step; meant where the step is pending.
    come: [u64; MOST_STEPS],
    /// Steps to which frames have come, a bit each.
    pending: [u64; MOST_STEPS / 64],
    wanted: u64,
}

/// Adds to `wanted` the indices of the frames that are, in order.
#[inline(always)] // Compiled for the machine's instructions.
pub(super) fn choose(
    machine: impl Machine,
    plan: &Plan,
    flat: &Flat,
    batch: Batch<'_>,
    wanted: &mut Vec<u16>,
) {
    if plan.words.len() <= FEW_WORDS {
        choose_by::<FEW_WORDS>(machine, plan, flat, batch, wanted);
    } else {
        choose_by::<MOST_WORDS>(machine, plan, flat, batch, wanted);
    }
}

#[inline(always)]
fn choose_by<const WORDS: usize>(
    machine: impl Machine,
    plan: &Plan,
    flat: &Flat,
    batch: Batch<'_>,
    wanted: &mut Vec<u16>,
) {
    let mut lanes = Lanes::<WORDS> {
        plan,
        flat,
        columns: [Column::NONE; WORDS],
        locals: Locals::NONE,
        come: [0; MOST_STEPS],
        pending: [0; MOST_STEPS / 64],
        wanted: 0,
    };
    wanted.reserve(batch.len());
    for first in (0..batch.len()).step_by(LANES) {
        let chosen = lanes.run(machine, &Frames::new(machine, batch, first, plan.reads_bytes));
        let index = |lane: usize| (first + lane) as u16;
        if chosen == ALL {
            wanted.extend((0..LANES).map(index));
        } else {
            each(chosen).for_each(|lane| wanted.push(index(lane)));
        }
    }
}

impl<const WORDS: usize> Lanes<'_, WORDS> {
    /// Which of the frames are wanted.
    #[inline(always)]
    fn run(&mut self, machine: impl Machine, frames: &Frames<'_>) -> u64 {
        self.columns.iter_mut().take(self.plan.words.len()).for_each(|column| column.loaded = 0);
        self.wanted = 0;
        self.arrive(self.plan.entry, frames.all());
        while let Some((number, here)) = self.next() {
            let step = &self.plan.steps[number];
            let (holds, read) = self.ask(machine, step, frames, here);
            self.arrive(step.next[1], here & read & holds);
            self.arrive(step.next[0], here & read & !holds);
        }
        self.wanted
    }

    #[inline(always)]
    fn arrive(&mut self, at: u32, lanes: u64) {
        if at < FIRST {
            self.wanted |= if at == ACCEPT { lanes } else { 0 };
        } else if lanes != 0 {
            let number = (at - FIRST) as usize % MOST_STEPS;
            let (word, bit) = (&mut self.pending[number / 64], 1 << (number % 64));
            self.come[number] = if *word & bit == 0 { lanes } else { self.come[number] | lanes };
            *word |= bit;
        }
    }

    /// The pending step of the highest number, to which none of the others leads; and who has come there.
    #[inline(always)]
    fn next(&mut self) -> Option<(usize, u64)> {
        let (place, word) = self.pending.iter_mut().enumerate().rev().find(|(_, word)| **word != 0)?;
        let bit = word.ilog2();
        *word &= !(1 << bit);
        let number = 64 * place + bit as usize;
        Some((number, self.come[number]))
    }

    /// Of which frames the step holds, and of which all that it asks for could be read; both meant of `here`.
    #[inline(always)]
    fn ask(&mut self, machine: impl Machine, step: &Planned, frames: &Frames<'_>, here: u64) -> (u64, u64) {
        let Planned { ask, mask, low, span, .. } = *step;
        match ask {
            Ask::Word { number, bytes } => {
                let number = usize::from(number) % WORDS;
                let (column, word) = (&mut self.columns[number], self.plan.words[number]);
                let missing = here & !column.loaded;
                if missing != 0 {
                    frames.load(machine, word, missing, column);
                }
                let mut read = column.whole;
                if here & !read != 0 {
                    read |= frames.have(word, bytes, here & !read);
                }
                (machine.in_range(&column.numbers, mask, low, span), read)
            }
            Ask::Length => {
                let mut lengths = Numbers::NONE;
                frames.wire_lengths(&mut lengths);
                (machine.in_range(&lengths, mask, low, span), ALL)
            }
            _ => self.locals.ask(machine, self.flat, step, frames, here),
        }
    }
}
