//! The EVM: accounts in memory, one call at a time, no fees.

use std::fmt;

use alloy::primitives::{Address, Bytes, TxKind, U256};
use revm::context::result::{ExecutionResult, Output};
use revm::context::{BlockEnv, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::{Context, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext};

use hygeia_sim::contracts::At;

/// The chain's number.
pub(crate) const CHAIN_ID: u64 = 1;
/// Gas of a call: what one transaction may take on mainnet.
const GAS: u64 = 16_000_000;

/// Accounts and their storage.
pub(crate) type State = CacheDB<EmptyDB>;

/// A chain without blocks of its own.
#[derive(Default)]
pub(crate) struct Machine {
    state: State,
}

impl Machine {
    pub(crate) const fn state(&self) -> &State {
        &self.state
    }

    pub(crate) fn restore(&mut self, state: State) {
        self.state = state;
    }

    /// Deploys a contract; its address.
    pub(crate) fn create(&mut self, from: Address, code: Bytes, at: At) -> Address {
        match self.commit(from, TxKind::Create, code, at) {
            ExecutionResult::Success { output: Output::Create(_, Some(address)), .. } => address,
            refused => panic!("a contract was not deployed: {refused:?}"),
        }
    }

    /// Calls a contract; whether it did what it was asked for.
    pub(crate) fn call(&mut self, from: Address, to: Address, data: Vec<u8>, at: At) -> bool {
        self.commit(from, TxKind::Call(to), data.into(), at).is_success()
    }

    /// Calls a contract and leaves everything as it was.
    pub(crate) fn ask(&mut self, from: Address, to: Address, data: Vec<u8>, at: At) -> bool {
        let mut evm = context(&mut self.state, at).build_mainnet();
        let answer = evm.transact(transaction(from, TxKind::Call(to), data.into()));
        answer.expect("nothing of a call is wrong but what the contract says").result.is_success()
    }

    fn commit(&mut self, from: Address, to: TxKind, data: Bytes, at: At) -> ExecutionResult {
        let mut evm = context(&mut self.state, at).build_mainnet();
        let result = evm.transact_commit(transaction(from, to, data));
        result.expect("nothing of a call is wrong but what the contract says")
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Machine").field("accounts", &self.state.cache.accounts.len()).finish()
    }
}

fn context(
    state: &mut State,
    at: At,
) -> Context<BlockEnv, TxEnv, revm::context::CfgEnv, &mut State> {
    Context::mainnet()
        .with_db(state)
        .modify_cfg_chained(|config| {
            config.chain_id = CHAIN_ID;
            // Calls come from the ward's own accounting of nonces.
            config.disable_nonce_check = true;
        })
        .modify_block_chained(|block| {
            block.number = U256::from(at.block);
            block.timestamp = U256::from(at.time_s);
            block.basefee = 0;
        })
}

fn transaction(from: Address, to: TxKind, data: Bytes) -> TxEnv {
    TxEnv { caller: from, kind: to, data, gas_limit: GAS, gas_price: 0, chain_id: Some(CHAIN_ID), ..TxEnv::default() }
}
