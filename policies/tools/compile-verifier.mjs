#!/usr/bin/env node
// Compiles a generated halo2 verifier contract under the one setting that keeps it correct and under the code size limit,
// and writes {"abi", "bytecode", "deployedBytes"}.
//
//   node tools/compile-verifier.mjs INPUT.sol OUTPUT.json            compiles and writes
//   node tools/compile-verifier.mjs INPUT.sol OUTPUT.json --check    compiles, compares, writes nothing
//
// The contract is one assembly block of thousands of statements. Through the IR with no optimizer step but `u` (unused
// code) and with stack allocation it compiles to the smallest code; with the full IR optimizer it compiles without a
// warning to a few bytes that always revert. Hence the lower bound below, and hence the rule that a verifier is only
// used after it has accepted a valid proof on a chain.
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fail } from './forge.mjs';

// EIP-170: the largest code a chain accepts.
const DEPLOYED_BYTES_MAX = 24_576;
// No verifier of a real statement is near this; what the full optimizer leaves of one is far below.
const DEPLOYED_BYTES_MIN = 1_000;

const [input, output] = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));
if (!input || !output) fail('usage: compile-verifier.mjs INPUT.sol OUTPUT.json [--check]');

const text = `${JSON.stringify(compile(withCurrentPragma(read(input))), null, 1)}\n`;
if (!process.argv.includes('--check')) {
  writeFileSync(output, text);
} else if (read(output) !== text) {
  fail(`${output} is not what ${input} compiles to: run tools/compile-verifier.mjs and commit`);
}

// The generator pins the compiler it was written for; the language has not changed in what it uses.
function withCurrentPragma(source) {
  const pragma = /^pragma solidity [^;]+;/m;
  if (!pragma.test(source)) fail(`${input} has no pragma: it is not a generated verifier`);
  return source.replace(pragma, 'pragma solidity ^0.8.19;');
}

function compile(content) {
  const solc = createRequire(import.meta.url)('solc');
  const answer = JSON.parse(solc.compile(JSON.stringify({
    language: 'Solidity',
    sources: { 'Verifier.sol': { content } },
    settings: {
      viaIR: true,
      evmVersion: 'cancun',
      optimizer: {
        enabled: true,
        runs: 1,
        details: { yul: true, yulDetails: { stackAllocation: true, optimizerSteps: 'u:' } },
      },
      metadata: { appendCBOR: false, bytecodeHash: 'none' },
      outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } },
    },
  })));
  const errors = (answer.errors ?? []).filter((problem) => problem.severity === 'error');
  if (errors.length > 0) fail(errors.map((problem) => problem.formattedMessage).join('\n'));
  const contracts = Object.values(answer.contracts?.['Verifier.sol'] ?? {});
  if (contracts.length !== 1) fail(`${input} has ${contracts.length} contracts, not one`);
  return checked(contracts[0].evm);
}

function checked({ bytecode, deployedBytecode }) {
  const deployedBytes = deployedBytecode.object.length / 2;
  if (deployedBytes > DEPLOYED_BYTES_MAX) {
    fail(`${input} has ${deployedBytes} bytes of code; a chain accepts ${DEPLOYED_BYTES_MAX}`);
  }
  if (deployedBytes < DEPLOYED_BYTES_MIN) {
    fail(`${input} has only ${deployedBytes} bytes of code: the compiler has removed the verification`);
  }
  // Raw calldata through the fallback: there is nothing to call by name, whatever the compiler lists.
  return { abi: [], bytecode: `0x${bytecode.object}`, deployedBytes };
}

function read(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    return fail(`cannot read ${path}: ${error.code}`);
  }
}
