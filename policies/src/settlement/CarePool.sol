// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IERC4626} from "@openzeppelin/contracts/interfaces/IERC4626.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {ERC4626} from "@openzeppelin/contracts/token/ERC20/extensions/ERC4626.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ICarePool} from "../interfaces/ICarePool.sol";

/// @title CarePool
contract CarePool is ICarePool, ERC4626, Ownable, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;
    using SafeCast for uint256;

    /// A million virtual shares for the first unit: whoever is first cannot move the price against who comes second.
    uint8 private constant DECIMALS_OFFSET = 6;

    /// Shares to one unit of the token at which no more are sold: a millionth of the first price.
    uint256 private constant SHARES_PER_UNIT_MAX = 10 ** (DECIMALS_OFFSET + 6);

    /// What the holders of shares have together, and what of it is set aside: one slot, read and written at each trigger.
    struct Ledger {
        uint128 held;
        uint128 reserved;
    }

    /// @inheritdoc ICarePool
    address public immutable coordinator;
    /// @inheritdoc ICarePool
    uint64 public immutable exitDelaySeconds;
    /// @inheritdoc ICarePool
    uint256 public owed;
    /// @inheritdoc ICarePool
    mapping(address holder => uint256) public owedTo;

    Ledger private _ledger;
    Exit[] private _exits;
    /// Whose turn it is: everybody before was served or has thought better of it.
    uint256 private _next;

    modifier onlyCoordinator() {
        if (msg.sender != coordinator) revert NotCoordinator(msg.sender);
        _;
    }

    constructor(IERC20 asset_, address coordinator_, address owner_, uint64 exitDelaySeconds_)
        ERC20("Hygeia Care Pool", "HCP")
        ERC4626(asset_)
        Ownable(owner_)
    {
        if (address(asset_) == address(0) || coordinator_ == address(0)) revert InvalidPoolArgument();
        coordinator = coordinator_;
        exitDelaySeconds = exitDelaySeconds_;
    }

    // ---------------------------------------------------------------- funding

    /// @inheritdoc IERC4626
    function deposit(uint256 assets, address receiver)
        public
        override(ERC4626, IERC4626)
        nonReentrant
        returns (uint256)
    {
        return super.deposit(assets, receiver);
    }

    /// @inheritdoc IERC4626
    function mint(uint256 shares, address receiver) public override(ERC4626, IERC4626) nonReentrant returns (uint256) {
        return super.mint(shares, receiver);
    }

    /// @inheritdoc ICarePool
    function fund(uint256 amount) external nonReentrant {
        emit PoolFunded(msg.sender, amount);
        if (_isRuined()) _transferIn(msg.sender, amount);
        else _deposit(msg.sender, owner(), amount, previewDeposit(amount));
    }

    /// @inheritdoc ICarePool
    function payPremium(uint256 amount) external nonReentrant {
        emit PremiumPaid(msg.sender, amount);
        if (totalSupply() == 0) _deposit(msg.sender, owner(), amount, previewDeposit(amount));
        else _transferIn(msg.sender, amount);
    }

    /// @inheritdoc ICarePool
    function withdrawSurplus(address to, uint256 amount) external onlyOwner nonReentrant {
        uint256 free = available();
        uint256 waitedFor = convertToAssets(balanceOf(address(this)));
        free = free > waitedFor ? free - waitedFor : 0;
        if (amount > free) revert InsufficientFunds(free, amount);
        emit SurplusWithdrawn(to, amount);
        _withdraw(msg.sender, to, msg.sender, amount, previewWithdraw(amount));
    }

    // ---------------------------------------------------------------- leaving

    /// @inheritdoc ICarePool
    function requestExit(uint256 shares) external returns (uint256 exitId) {
        if (shares == 0) revert InvalidPoolArgument();
        exitId = _exits.length;
        _exits.push(Exit(msg.sender, uint64(block.timestamp), shares));
        emit ExitRequested(exitId, msg.sender, shares, uint64(block.timestamp) + exitDelaySeconds);
        _transfer(msg.sender, address(this), shares);
    }

    /// @inheritdoc ICarePool
    function cancelExit(uint256 exitId) external {
        if (exitId >= _exits.length || _exits[exitId].owner != msg.sender) revert NotExitOwner(exitId, msg.sender);
        uint256 shares = _exits[exitId].shares;
        _exits[exitId].shares = 0;
        emit ExitCancelled(exitId, shares);
        _transfer(address(this), msg.sender, shares);
    }

    /// @inheritdoc ICarePool
    function serveExits(uint256 countMax) external nonReentrant {
        uint256 end = _exits.length;
        for (uint256 id = _next; id < end && countMax > 0; --countMax) {
            Exit storage exit = _exits[id];
            if (exit.shares != 0 && block.timestamp < exit.requestedAt + exitDelaySeconds) break;
            if (!_serve(id, exit)) break;
            _next = ++id;
        }
    }

    /// @inheritdoc ICarePool
    function payOwed(address to) external nonReentrant {
        uint256 assets = owedTo[to];
        owedTo[to] = 0;
        owed -= assets;
        emit OwedPaid(to, assets);
        IERC20(asset()).safeTransfer(to, assets);
    }

    // ---------------------------------------------------------------- benefits

    /// @inheritdoc ICarePool
    function reserve(uint256 amount) external onlyCoordinator nonReentrant {
        Ledger memory ledger = _ledger;
        uint256 free = ledger.held - ledger.reserved;
        if (amount > free) revert InsufficientFunds(free, amount);
        // Not above what is held, so it fits.
        // forge-lint: disable-next-line(unsafe-typecast)
        ledger.reserved += uint128(amount);
        _ledger = ledger;
        emit BenefitReserved(amount, ledger.reserved);
    }

    /// @inheritdoc ICarePool
    function release(uint256 amount) external onlyCoordinator nonReentrant {
        _unreserve(amount);
        emit BenefitReleased(amount, _ledger.reserved);
    }

    /// @inheritdoc ICarePool
    function pay(address to, uint256 amount) external onlyCoordinator nonReentrant {
        _unreserve(amount);
        emit BenefitPaid(to, amount, _ledger.reserved);
        _transferOut(to, amount);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ICarePool
    function reserved() external view returns (uint256) {
        return _ledger.reserved;
    }

    /// @inheritdoc ICarePool
    function available() public view returns (uint256) {
        return _ledger.held - _ledger.reserved;
    }

    /// @inheritdoc ICarePool
    function exitOf(uint256 exitId) external view returns (Exit memory exit) {
        if (exitId < _exits.length) exit = _exits[exitId];
    }

    /// @inheritdoc ICarePool
    function queue() external view returns (uint256 next, uint256 end) {
        return (_next, _exits.length);
    }

    /// @inheritdoc IERC4626
    function totalAssets() public view override(ERC4626, IERC4626) returns (uint256) {
        return _ledger.held;
    }

    /// @inheritdoc IERC4626
    function maxDeposit(address) public view override(ERC4626, IERC4626) returns (uint256) {
        return _isRuined() ? 0 : type(uint128).max - totalAssets();
    }

    /// @inheritdoc IERC4626
    function maxMint(address receiver) public view override(ERC4626, IERC4626) returns (uint256) {
        return convertToShares(maxDeposit(receiver));
    }

    /// @inheritdoc IERC4626
    /// @dev Zero: the way out is the queue.
    function maxRedeem(address) public pure override(ERC4626, IERC4626) returns (uint256) {
        return 0;
    }

    // ---------------------------------------------------------------- steps

    /// Serves one place in the queue from free funds, and says whether it is done with it.
    function _serve(uint256 exitId, Exit storage exit) private returns (bool) {
        uint256 wanted = exit.shares;
        uint256 assets = convertToAssets(wanted);
        uint256 free = available();
        uint256 shares = wanted;
        if (assets > free) {
            shares = convertToShares(free);
            assets = convertToAssets(shares);
        }
        if (shares == 0) return wanted == 0;
        exit.shares = wanted - shares;
        _ledger.held -= assets.toUint128();
        owed += assets;
        owedTo[exit.owner] += assets;
        _burn(address(this), shares);
        emit ExitServed(exitId, exit.owner, shares, assets);
        return shares == wanted;
    }

    function _isRuined() private view returns (bool) {
        return totalSupply() > totalAssets() * SHARES_PER_UNIT_MAX;
    }

    function _unreserve(uint256 amount) private {
        uint256 sum = _ledger.reserved;
        if (amount > sum) revert ReservationExceeded(sum, amount);
        // forge-lint: disable-next-line(unsafe-typecast)
        _ledger.reserved = uint128(sum - amount);
    }

    function _transferIn(address from, uint256 assets) internal override {
        super._transferIn(from, assets);
        _ledger.held += assets.toUint128();
    }

    function _transferOut(address to, uint256 assets) internal override {
        _ledger.held -= assets.toUint128();
        super._transferOut(to, assets);
    }

    function _decimalsOffset() internal pure override returns (uint8) {
        return DECIMALS_OFFSET;
    }
}
