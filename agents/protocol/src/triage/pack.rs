//! The triage of a mandate under a policy in few bytes: about thirty, and never more than 64.
//!
//! Layout, version 1: flags, the policy, then the last alert and the last window judged where there are any.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

use super::{LastAlert, LastStep, SuppressReason, Triage, TriageOutcome, TriagePolicy};
use crate::pack::{PackError, Reader, Writer};
use crate::time::Timestamp;

const VERSION: u8 = 1;

const RAISED: u8 = 1;
const ALERTED: u8 = 1 << 1;
const STEPPED: u8 = 1 << 2;
const FLAGS: u8 = RAISED | ALERTED | STEPPED;

/// The integer of an outcome is its place here.
const OUTCOMES: [TriageOutcome; 6] = [
    TriageOutcome::Quiet,
    TriageOutcome::Alert { escalation: false },
    TriageOutcome::Alert { escalation: true },
    TriageOutcome::Suppressed { reason: SuppressReason::CoolDown },
    TriageOutcome::Suppressed { reason: SuppressReason::OutOfOrder },
    TriageOutcome::Cleared,
];

impl Triage {
    /// The machine in as few bytes as it needs, its policy among them.
    #[must_use]
    pub fn pack(&self) -> Box<[u8]> {
        let flag = |is_set, flag| if is_set { flag } else { 0 };
        let alerted = flag(self.last_alert.is_some(), ALERTED);
        let mut out = Writer::new(VERSION);
        out.byte(flag(self.raised, RAISED) | alerted | flag(self.last_step.is_some(), STEPPED));
        let TriagePolicy { threshold, clear_below, cool_down_s, escalation_step } = self.policy;
        for number in [threshold, clear_below, i64::from(cool_down_s), escalation_step] {
            out.signed(number);
        }
        if let Some(LastAlert { score, end }) = self.last_alert {
            out.signed(score);
            out.number(end.as_millis());
        }
        if let Some(LastStep { end, outcome }) = self.last_step {
            out.number(end.as_millis());
            out.byte(number_of(outcome));
        }
        out.finish()
    }

    /// The machine that was packed.
    ///
    /// # Errors
    /// [`PackError`] for bytes that [`Triage::pack`] never made.
    pub fn unpack(bytes: &[u8]) -> Result<Triage, PackError> {
        let mut input = Reader::new(bytes, VERSION)?;
        let flags = input.byte()?;
        if flags & !FLAGS != 0 {
            return Err(PackError::OutOfRange);
        }
        let mut triage = Triage::new(unpack_policy(&mut input)?);
        triage.raised = flags & RAISED != 0;
        if flags & ALERTED != 0 {
            triage.last_alert = Some(LastAlert { score: input.signed()?, end: unpack_instant(&mut input)? });
        }
        if flags & STEPPED != 0 {
            triage.last_step =
                Some(LastStep { end: unpack_instant(&mut input)?, outcome: unpack_outcome(&mut input)? });
        }
        input.finish()?;
        Ok(triage)
    }
}

fn unpack_policy(input: &mut Reader<'_>) -> Result<TriagePolicy, PackError> {
    let (threshold, clear_below) = (input.signed()?, input.signed()?);
    let cool_down_s = u32::try_from(input.signed()?).map_err(|_| PackError::OutOfRange)?;
    Ok(TriagePolicy { threshold, clear_below, cool_down_s, escalation_step: input.signed()? })
}

fn unpack_instant(input: &mut Reader<'_>) -> Result<Timestamp, PackError> {
    Timestamp::try_from(input.number()?).map_err(|_| PackError::OutOfRange)
}

fn unpack_outcome(input: &mut Reader<'_>) -> Result<TriageOutcome, PackError> {
    OUTCOMES.get(usize::from(input.byte()?)).copied().ok_or(PackError::OutOfRange)
}

fn number_of(outcome: TriageOutcome) -> u8 {
    match outcome {
        TriageOutcome::Quiet => 0,
        TriageOutcome::Alert { escalation: false } => 1,
        TriageOutcome::Alert { escalation: true } => 2,
        TriageOutcome::Suppressed { reason: SuppressReason::CoolDown } => 3,
        TriageOutcome::Suppressed { reason: SuppressReason::OutOfOrder } => 4,
        TriageOutcome::Cleared => 5,
    }
}
