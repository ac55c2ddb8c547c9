// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";

/// @title The fund that care benefits are paid from
/// @notice Holds one ERC-20. The coordinator reserves benefits, pays them out or releases them. Everything the pool holds
/// belongs to the holders of its ERC-4626 shares: funders get shares for what they deposit, the owner, which is the
/// timelock, for grants (`fund`), and a premium is income to all of them. A benefit paid is a loss to all of them, those
/// included who came in while it was reserved.
///
/// A pool whose shares have lost all but a millionth of their first price sells none: `maxDeposit` is zero, and a grant
/// raises the price again instead of buying shares. So no number of losses makes shares too many to count.
///
/// The way out is a queue. Benefits come first: whoever asks to leave (`requestExit`) hands over its shares, bears what is
/// paid out during the exit delay as every other holder does, and is then served in turn, at the price of that moment, from
/// what is not reserved, in parts where that does not cover it. What was served is owed to the holder and no longer the
/// pool's. So nobody leaves between a trigger and its payment, and nobody who waits can be overtaken. `withdraw` and `redeem`
/// of ERC-4626 are closed: `maxWithdraw` and `maxRedeem` are zero.
///
/// Invariants: the pool's balance is never below what it holds plus what it owes to those who left, and what it holds is
/// never below what is reserved.
/// @dev The pool counts what came in by its own functions: tokens sent to it without being asked change no price. It keeps
/// the sum of the reservations. Which trigger a reservation belongs to, and that it is paid or released once, is the
/// coordinator's to know: the pool assumes of its coordinator, fixed at deployment, that it pays or releases no more than it
/// reserved, and reverts where the sum shows otherwise. Of the token it assumes that a transfer moves exactly the amount
/// named; it may call back, since every function that moves tokens or benefits refuses re-entry.
interface ICarePool is IERC4626 {
    /// @notice Somebody who waits to leave.
    /// @param owner Who asked.
    /// @param requestedAt When.
    /// @param shares What it handed over and is not served yet; zero once it is served or has thought better of it.
    struct Exit {
        address owner;
        uint64 requestedAt;
        uint256 shares;
    }

    /// @notice A grant was paid into the pool; its shares, where it buys any, are the owner's.
    event PoolFunded(address indexed from, uint256 amount);

    /// @notice A premium was paid into the pool, to the benefit of every share.
    event PremiumPaid(address indexed from, uint256 amount);

    /// @notice A benefit was set aside.
    event BenefitReserved(uint256 amount, uint256 reserved);

    /// @notice A benefit set aside was freed.
    event BenefitReleased(uint256 amount, uint256 reserved);

    /// @notice A benefit set aside was paid.
    event BenefitPaid(address indexed to, uint256 amount, uint256 reserved);

    /// @notice The owner took, for shares of its own, funds that were neither reserved nor waited for.
    event SurplusWithdrawn(address indexed to, uint256 amount);

    /// @notice A holder asked to leave.
    event ExitRequested(uint256 indexed exitId, address indexed owner, uint256 shares, uint64 notBefore);

    /// @notice A holder stays after all.
    event ExitCancelled(uint256 indexed exitId, uint256 shares);

    /// @notice A holder was served, as far as the pool's free funds reached.
    event ExitServed(uint256 indexed exitId, address indexed owner, uint256 shares, uint256 assets);

    /// @notice What was owed to somebody who left was paid.
    event OwedPaid(address indexed to, uint256 assets);

    /// @notice Less is free than is asked for.
    error InsufficientFunds(uint256 available, uint256 required);

    /// @notice Less is reserved than is to be paid or released.
    error ReservationExceeded(uint256 reserved, uint256 requested);

    /// @notice The caller is not the coordinator.
    error NotCoordinator(address caller);

    /// @notice The caller does not wait under this number.
    error NotExitOwner(uint256 exitId, address caller);

    /// @notice An address or a number of shares that must not be zero is.
    error InvalidPoolArgument();

    // ---------------------------------------------------------------- funding

    /// @notice Pays a grant into the pool from the caller's tokens. Anyone; the shares are the owner's.
    function fund(uint256 amount) external;

    /// @notice Pays a premium into the pool from the caller's tokens. Anyone; the income is every holder's, and the owner's
    /// where there is no holder yet.
    function payPremium(uint256 amount) external;

    /// @notice Takes, for the owner's own shares, funds that are neither reserved nor waited for. Only the owner.
    function withdrawSurplus(address to, uint256 amount) external;

    // ---------------------------------------------------------------- leaving

    /// @notice Asks to leave with some of the caller's shares, which the pool keeps meanwhile.
    /// @return exitId The caller's number in the queue.
    function requestExit(uint256 shares) external returns (uint256 exitId);

    /// @notice Stays after all: gives back what is not served yet. Only who asked.
    function cancelExit(uint256 exitId) external;

    /// @notice Serves those who have waited for the exit delay, in turn, as far as free funds reach. Anyone.
    /// @param countMax How many to serve at most, so that no length of the queue can make a call too expensive.
    function serveExits(uint256 countMax) external;

    /// @notice Pays what is owed to somebody who left. Anyone; to the one it is owed to.
    function payOwed(address to) external;

    // ---------------------------------------------------------------- benefits

    /// @notice Sets a benefit aside. Only the coordinator.
    function reserve(uint256 amount) external;

    /// @notice Frees a benefit that was set aside. Only the coordinator.
    function release(uint256 amount) external;

    /// @notice Pays a benefit that was set aside. Only the coordinator.
    function pay(address to, uint256 amount) external;

    // ---------------------------------------------------------------- views

    /// @notice The contract that reserves, pays and releases.
    function coordinator() external view returns (address);

    /// @notice How long somebody who asks to leave waits at least.
    function exitDelaySeconds() external view returns (uint64);

    /// @notice What is set aside for triggers that are neither fulfilled nor lapsed.
    function reserved() external view returns (uint256);

    /// @notice What may be set aside now.
    function available() external view returns (uint256);

    /// @notice What is owed to everybody who left and was not paid yet.
    function owed() external view returns (uint256);

    /// @notice What is owed to somebody who left and was not paid yet.
    function owedTo(address holder) external view returns (uint256);

    /// @notice A place in the queue; all zero where there is none of this number.
    function exitOf(uint256 exitId) external view returns (Exit memory);

    /// @notice The queue: the number whose turn it is, and the number that the next to ask will have.
    function queue() external view returns (uint256 next, uint256 end);
}
