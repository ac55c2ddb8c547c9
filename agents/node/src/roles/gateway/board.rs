//! What the ward sees: alerts joined with what became of their proofs and their way to the chain. Pure.
//!
//! Alerts, receipts and settlements come from three streams that do not wait for each other, so each is kept on its own
//! and joined when somebody looks. All three are bounded; the oldest go first.

use std::collections::{HashMap, VecDeque};

use hygeia_protocol::message::{Alert, B32, Receipt, ScoredWindow, Settlement, SettlementStatus};
use serde::Serialize;

/// Alerts shown: several nights of a large ward, and a few megabytes.
pub const ALERTS_MAX: usize = 1_000;
/// Receipts and settlements kept. More than alerts, because their streams may be read ahead of the alerts' stream.
pub const OUTCOMES_MAX: usize = 4 * ALERTS_MAX;
/// Calls held back that are kept: enough to see that it happens, to whom and why. The ledger has them all.
pub const HELD_BACK_MAX: usize = 200;
/// How the outcome of a window begins in the ledger when nobody was called although its score stood at the threshold.
const SUPPRESSED: &str = "suppressed_";
/// A proof takes a second or two; an alert without one after this long is marked.
pub const PROOF_LATE_MS: u64 = 60_000;
/// The contract's error for a proof that does not verify.
const PROOF_REJECTED: &str = "ProofRejected";

/// The newest alerts and what became of them.
#[derive(Default)]
pub struct Board {
    alerts: Recent<Alert>,
    proofs: Recent<Proof>,
    settlements: Recent<Settlement>,
    held_back: VecDeque<HeldBack>,
}

/// A score at the threshold that called nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeldBack {
    /// The window.
    pub window_id: B32,
    /// The patient's mandate.
    pub mandate: B32,
    /// End of the window, seconds since the epoch.
    pub end: u64,
    /// Its score.
    pub score: i64,
    /// Why nobody was called, in the ledger's word.
    pub reason: String,
}

/// How far an alert has come. Whatever it is, people were told at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is no valid proof.
    Unproved,
    /// There is a proof; the chain has not answered yet.
    Proved,
    /// The chain accepted the proof and started care.
    Triggered,
    /// The chain refused.
    Refused,
}

/// What is known of an alert's proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofState {
    /// Being made.
    Pending,
    /// Should be there by now.
    Late,
    /// There, and of this alert's score.
    Proved,
    /// Of something else than was alerted, or rejected by the chain.
    Failed,
}

/// An alert as the gateway gives it out: the message of the sentinel, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AlertView<'a> {
    /// The alert.
    #[serde(flatten)]
    pub alert: &'a Alert,
    /// How far it has come.
    pub status: Status,
    /// Why the chain refused.
    pub reason: Option<&'a str>,
    /// Whether its score is proved.
    pub proof_state: ProofState,
    /// The proof, in short.
    pub proof: Option<&'a Proof>,
    /// What the chain did.
    pub settlement: Option<SettlementView<'a>>,
}

/// A receipt without the bytes of its proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// The receipt, for `hygeia verify`.
    pub receipt_id: B32,
    /// Name of the proof system.
    pub proof_system: String,
    /// Hash of the verifying key.
    pub verifying_key: B32,
    /// Length of the proof.
    pub bytes: usize,
    /// How long proving took.
    pub prove_ms: u64,
    /// When it was there.
    pub proved_at_ms: u64,
    #[serde(skip)]
    claim: Claim,
}

/// What a proof says, or an alert needs to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    mandate: B32,
    policy: B32,
    model: B32,
    end: u64,
    score: i64,
}

/// A settlement as the gateway gives it out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SettlementView<'a> {
    /// The contract's id of the trigger.
    pub trigger_id: &'a B32,
    /// The transaction.
    pub transaction: &'a B32,
    /// Its block.
    pub block: u64,
    /// Gas that it took.
    pub gas_used: u64,
    /// When it was final.
    pub settled_at_ms: u64,
}

impl Board {
    /// Takes in an alert. A repetition of a known one changes nothing.
    pub fn alert(&mut self, alert: Alert) {
        self.alerts.put(alert.alert_id, alert, ALERTS_MAX, |_known, _new| false);
    }

    /// Takes in a receipt. One that proves what was alerted is not displaced by another.
    pub fn receipt(&mut self, receipt: &Receipt) {
        let wanted = self.alerts.get(&receipt.alert_id).map(Claim::of_alert);
        let settles = |known: &Proof, _new: &Proof| wanted.as_ref() != Some(&known.claim);
        self.proofs.put(receipt.alert_id, Proof::of(receipt), OUTCOMES_MAX, settles);
    }

    /// Takes in a settlement. A trigger is final: no refusal displaces it.
    pub fn settlement(&mut self, settlement: Settlement) {
        let displaces = |known: &Settlement, _new: &Settlement| known.status != SettlementStatus::Triggered;
        self.settlements.put(settlement.alert_id, settlement, OUTCOMES_MAX, displaces);
    }

    /// Takes in a line of the ledger: kept where somebody would have been called and was not.
    pub fn scored(&mut self, line: ScoredWindow) {
        let Some(reason) = line.outcome.strip_prefix(SUPPRESSED) else { return };
        let known = self.held_back.iter().any(|held| held.window_id == line.window_id);
        if known {
            return;
        }
        if self.held_back.len() == HELD_BACK_MAX {
            self.held_back.pop_front();
        }
        let ScoredWindow { window_id, mandate, end, score, .. } = line;
        self.held_back.push_back(HeldBack { window_id, mandate, end, score, reason: reason.to_owned() });
    }

    /// The newest calls that were held back, the newest first.
    pub fn held_back(&self) -> impl Iterator<Item = &HeldBack> {
        self.held_back.iter().rev()
    }

    /// Number of alerts kept.
    pub fn kept(&self) -> usize {
        self.alerts.order.len()
    }

    /// The newest alerts, the newest first.
    pub fn newest(&self, limit: usize, now_ms: u64) -> impl Iterator<Item = AlertView<'_>> {
        self.alerts.order.iter().rev().take(limit).filter_map(move |id| self.view(id, now_ms))
    }

    /// One alert.
    pub fn view(&self, id: &B32, now_ms: u64) -> Option<AlertView<'_>> {
        let alert = self.alerts.get(id)?;
        let proof = self.proofs.get(id);
        let settlement = self.settlements.get(id);
        let proof_state = proof_state(alert, proof, settlement, now_ms);
        Some(AlertView {
            alert,
            status: status(proof_state, settlement),
            reason: settlement.and_then(|s| s.reason.as_deref()),
            proof_state,
            proof,
            settlement: settlement.filter(|s| s.status == SettlementStatus::Triggered).map(SettlementView::of),
        })
    }
}

fn proof_state(alert: &Alert, proof: Option<&Proof>, settlement: Option<&Settlement>, now_ms: u64) -> ProofState {
    let rejected = settlement.is_some_and(|s| {
        s.status == SettlementStatus::Refused && s.reason.as_deref().is_some_and(|r| r.starts_with(PROOF_REJECTED))
    });
    match proof {
        _ if rejected => ProofState::Failed,
        Some(proof) if proof.claim == Claim::of_alert(alert) => ProofState::Proved,
        Some(_) => ProofState::Failed,
        None if now_ms.saturating_sub(alert.raised_at_ms) > PROOF_LATE_MS => ProofState::Late,
        None => ProofState::Pending,
    }
}

fn status(proof: ProofState, settlement: Option<&Settlement>) -> Status {
    match settlement.map(|s| s.status) {
        Some(SettlementStatus::Triggered) => Status::Triggered,
        Some(SettlementStatus::Refused) => Status::Refused,
        None if proof == ProofState::Proved => Status::Proved,
        None => Status::Unproved,
    }
}

impl Proof {
    fn of(receipt: &Receipt) -> Self {
        Self {
            receipt_id: receipt.receipt_id,
            proof_system: receipt.proof_system.clone(),
            verifying_key: receipt.verifying_key,
            bytes: receipt.proof.as_slice().len(),
            prove_ms: receipt.prove_ms,
            proved_at_ms: receipt.proved_at_ms,
            claim: Claim {
                mandate: receipt.mandate,
                policy: receipt.policy,
                model: receipt.model,
                end: receipt.end,
                score: receipt.score,
            },
        }
    }
}

impl Claim {
    fn of_alert(alert: &Alert) -> Self {
        Self { mandate: alert.mandate, policy: alert.policy, model: alert.model, end: alert.end, score: alert.score }
    }
}

impl<'a> SettlementView<'a> {
    fn of(settlement: &'a Settlement) -> Self {
        Self {
            trigger_id: &settlement.trigger_id,
            transaction: &settlement.transaction,
            block: settlement.block,
            gas_used: settlement.gas_used,
            settled_at_ms: settlement.settled_at_ms,
        }
    }
}

/// A bounded map by alert, oldest out first.
struct Recent<T> {
    order: VecDeque<B32>,
    by_alert: HashMap<B32, T>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), by_alert: HashMap::new() }
    }
}

impl<T> Recent<T> {
    /// Adds `value`; where there is one for this alert already, `displaces(known, new)` decides.
    fn put(&mut self, id: B32, value: T, room: usize, displaces: impl Fn(&T, &T) -> bool) {
        if let Some(known) = self.by_alert.get_mut(&id) {
            if displaces(known, &value) {
                *known = value;
            }
            return;
        }
        if self.order.len() >= room
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_alert.remove(&oldest);
        }
        self.order.push_back(id);
        self.by_alert.insert(id, value);
    }

    fn get(&self, id: &B32) -> Option<&T> {
        self.by_alert.get(id)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use expect_test::{Expect, expect};
    use hygeia_protocol::message::{Address, Contribution, HexBytes, Signature, V1};

    use super::*;

    pub(in super::super) fn id(n: u16) -> B32 {
        let mut bytes = [0; 32];
        bytes[30..].copy_from_slice(&n.to_be_bytes());
        B32::new(bytes)
    }

    pub(in super::super) fn alert(n: u16) -> Alert {
        Alert {
            v: V1,
            alert_id: id(n),
            window_id: id(1),
            mandate: id(2),
            ward: "demo".to_owned(),
            policy: id(3),
            model: id(4),
            score: 1_500,
            threshold: 1_024,
            probability_ppm: Some(123_456),
            escalation: false,
            outside_validated_range: false,
            end: 1_767_225_600,
            observed_at_ms: 1_767_225_900_000,
            raised_at_ms: 1_767_225_900_020,
            contributions: vec![
                Contribution {
                    name: "heart_rate".to_owned(),
                    points: 412,
                    value_milli: Some(118_000),
                    unit: "/min".to_owned(),
                    age_s: Some(300),
                },
                Contribution {
                    name: "lactate".to_owned(),
                    points: -96,
                    value_milli: None,
                    unit: "mmol/L".to_owned(),
                    age_s: None,
                },
                Contribution {
                    name: "clock".to_owned(),
                    points: 64,
                    value_milli: None,
                    unit: String::new(),
                    age_s: None,
                },
            ],
            similar: Vec::new(),
        }
    }

    pub(in super::super) fn receipt(n: u16) -> Receipt {
        Receipt {
            v: V1,
            receipt_id: id(n + 1_000),
            alert_id: id(n),
            mandate: id(2),
            policy: id(3),
            model: id(4),
            circuit: id(5),
            verifying_key: id(6),
            proof_system: "halo2-kzg-bn254-shplonk-keccak-v1".to_owned(),
            commitment: id(7),
            score: 1_500,
            proof: HexBytes::new(vec![0; 2_464]),
            end: 1_767_225_600,
            oracle: Address::new([8; 20]),
            signature: Signature::new([9; 65]),
            proved_at_ms: 1_767_225_901_000,
            prove_ms: 800,
        }
    }

    pub(in super::super) fn settlement(n: u16, refused: Option<&str>) -> Settlement {
        Settlement {
            v: V1,
            receipt_id: id(n + 1_000),
            alert_id: id(n),
            trigger_id: id(10),
            transaction: id(11),
            block: 42,
            gas_used: 612_345,
            status: if refused.is_some() { SettlementStatus::Refused } else { SettlementStatus::Triggered },
            reason: refused.map(str::to_owned),
            settled_at_ms: 1_767_225_905_000,
        }
    }

    fn board(alerts: &[Alert], receipts: &[Receipt], settlements: &[Settlement]) -> Board {
        let mut board = Board::default();
        // Outcomes first: the three streams do not wait for each other.
        settlements.iter().cloned().for_each(|s| board.settlement(s));
        receipts.iter().for_each(|r| board.receipt(r));
        alerts.iter().cloned().for_each(|a| board.alert(a));
        board
    }

    fn check(board: &Board, after_ms: u64, expected: Expect) {
        let mut lines = String::new();
        for view in board.newest(10, alert(1).raised_at_ms + after_ms) {
            let id = view.alert.alert_id.to_hex();
            lines += &format!("{} {:?} {:?} {:?}\n", &id[60..], view.status, view.proof_state, view.reason);
        }
        expected.assert_eq(&lines);
    }

    #[test]
    fn an_alert_goes_from_unproved_over_proved_to_triggered() {
        let mut board = board(&[alert(1)], &[], &[]);
        check(&board, 0, expect!["0001 Unproved Pending None\n"]);
        board.receipt(&receipt(1));
        check(&board, 0, expect!["0001 Proved Proved None\n"]);
        board.settlement(settlement(1, None));
        check(&board, 0, expect!["0001 Triggered Proved None\n"]);
    }

    #[test]
    fn a_late_proof_is_marked_and_the_mark_goes_when_it_comes() {
        let mut board = board(&[alert(1)], &[], &[]);
        check(&board, PROOF_LATE_MS, expect!["0001 Unproved Pending None\n"]);
        check(&board, PROOF_LATE_MS + 1, expect!["0001 Unproved Late None\n"]);
        board.receipt(&receipt(1));
        check(&board, PROOF_LATE_MS + 1, expect!["0001 Proved Proved None\n"]);
    }

    #[test]
    fn a_receipt_of_another_claim_proves_nothing() {
        let twins: [fn(&mut Receipt); 5] =
            [|r| r.score += 1, |r| r.end += 3_600, |r| r.model = id(99), |r| r.policy = id(99), |r| r.mandate = id(99)];
        for tamper in twins {
            let mut other = receipt(1);
            tamper(&mut other);
            let mut board = board(&[alert(1)], &[other.clone()], &[]);
            check(&board, 0, expect!["0001 Unproved Failed None\n"]);
            board.receipt(&receipt(1));
            board.receipt(&other);
            check(&board, 0, expect!["0001 Proved Proved None\n"]);
        }
    }

    #[test]
    fn a_refusal_says_why_and_a_rejected_proof_counts_as_failed() {
        let used = board(&[alert(1)], &[receipt(1)], &[settlement(1, Some("NullifierUsed"))]);
        check(&used, 0, expect!["0001 Refused Proved Some(\"NullifierUsed\")\n"]);
        let rejected = board(&[alert(1)], &[receipt(1)], &[settlement(1, Some("ProofRejected"))]);
        check(&rejected, 0, expect!["0001 Refused Failed Some(\"ProofRejected\")\n"]);
    }

    #[test]
    fn a_trigger_displaces_a_refusal_and_never_the_other_way_round() {
        let mut board = board(&[alert(1)], &[receipt(1)], &[settlement(1, Some("gave up"))]);
        board.settlement(settlement(1, None));
        check(&board, 0, expect!["0001 Triggered Proved None\n"]);
        board.settlement(settlement(1, Some("gave up")));
        check(&board, 0, expect!["0001 Triggered Proved None\n"]);
    }

    #[test]
    fn the_newest_come_first_a_repetition_is_one_and_the_oldest_go() {
        let mut board = board(&[alert(1), alert(2), alert(1), alert(3)], &[], &[]);
        check(
            &board,
            0,
            expect!["0003 Unproved Pending None\n0002 Unproved Pending None\n0001 Unproved Pending None\n"],
        );
        for n in 4..=1_001 {
            board.alert(alert(n));
        }
        assert_eq!(board.kept(), ALERTS_MAX);
        assert!(board.view(&id(1), 0).is_none());
        assert!(board.view(&id(2), 0).is_some());
    }

    #[test]
    fn outcomes_are_bounded_too() {
        let mut board = Board::default();
        for n in 0..10_000 {
            board.receipt(&receipt(n));
            board.settlement(settlement(n, None));
        }
        assert_eq!(board.proofs.by_alert.len(), OUTCOMES_MAX);
        assert_eq!(board.settlements.by_alert.len(), OUTCOMES_MAX);
    }

    #[test]
    fn the_view_in_json() {
        let board = board(&[alert(1)], &[receipt(1)], &[settlement(1, None)]);
        let view = board.view(&id(1), alert(1).raised_at_ms).unwrap();
        let json = serde_json::to_value(&view).unwrap();
        let outcome: serde_json::Map<_, _> = json
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| {
                ["status", "reason", "proof_state", "proof", "settlement", "score"].contains(&key.as_str())
            })
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        expect![[r#"
            {
              "proof": {
                "bytes": 2464,
                "proof_system": "halo2-kzg-bn254-shplonk-keccak-v1",
                "prove_ms": 800,
                "proved_at_ms": 1767225901000,
                "receipt_id": "0x00000000000000000000000000000000000000000000000000000000000003e9",
                "verifying_key": "0x0000000000000000000000000000000000000000000000000000000000000006"
              },
              "proof_state": "proved",
              "reason": null,
              "score": 1500,
              "settlement": {
                "block": 42,
                "gas_used": 612345,
                "settled_at_ms": 1767225905000,
                "transaction": "0x000000000000000000000000000000000000000000000000000000000000000b",
                "trigger_id": "0x000000000000000000000000000000000000000000000000000000000000000a"
              },
              "status": "triggered"
            }"#]]
        .assert_eq(&serde_json::to_string_pretty(&outcome).unwrap());
    }
}
