// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title How a score is written as a public input
/// @notice A score is an integer in the range of an `int64`. Its public input is the element of the BN254 scalar field
/// that it is congruent to: itself where it is not negative, `MODULUS - |score|` where it is.
/// @dev The range matters. Without it, `MODULUS - 3` and `-3` would be two numbers with one encoding, and a proof of the
/// low score would carry a threshold test of the high one.
library ScoreField {
    /// @notice Order of the BN254 scalar field.
    uint256 internal constant MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    /// @notice The number is not in the range of a score.
    error ScoreOutOfRange(int256 score);

    /// @notice The public input of a score.
    function encode(int256 score) internal pure returns (uint256) {
        if (score < type(int64).min || score > type(int64).max) revert ScoreOutOfRange(score);
        // forge-lint: disable-next-line(unsafe-typecast)
        return score < 0 ? MODULUS - uint256(-score) : uint256(score);
    }
}
