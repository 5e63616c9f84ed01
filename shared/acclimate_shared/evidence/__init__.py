"""The evidence of a contest: bounded losses, tests that may be looked at after every label, and their plan.

The order of things: a `Plan` says what is compared and what a difference is worth; the `Account` of the model gives
the next test its level; `Evidence` binds the `Test` to the digests of plan, champion and challenger; paired
differences of a loss go in as labels arrive; a `Judgement` comes out. After a promotion a `Watch` looks for harm, and
a `Ratio` asks whether the split of the traffic is the planned one.

Nothing here reads a clock, a file or a random number. What is deliberately absent: bets that adapt to the data of the
test, and p-values.
"""

from acclimate_shared.evidence.bets import Bets, mix, wealth_paths
from acclimate_shared.evidence.blocks import Blocks, alpha_factor, backtest_length, block_length
from acclimate_shared.evidence.confidence import lower_bound
from acclimate_shared.evidence.contest_test import Test
from acclimate_shared.evidence.design import Design, Outcome
from acclimate_shared.evidence.judgement import Evidence, Judgement
from acclimate_shared.evidence.losses import LOSSES, Loss, paired_difference
from acclimate_shared.evidence.mixbet import MixBet
from acclimate_shared.evidence.plan import BlockRule, Gate, Plan
from acclimate_shared.evidence.ratio import Ratio
from acclimate_shared.evidence.sequence import Account, Level
from acclimate_shared.evidence.watch import Watch, detector_paths

__all__ = [
    "LOSSES",
    "Account",
    "Bets",
    "BlockRule",
    "Blocks",
    "Design",
    "Evidence",
    "Gate",
    "Judgement",
    "Level",
    "Loss",
    "MixBet",
    "Outcome",
    "Plan",
    "Ratio",
    "Test",
    "Watch",
    "alpha_factor",
    "backtest_length",
    "block_length",
    "detector_paths",
    "lower_bound",
    "mix",
    "paired_difference",
    "wealth_paths",
]
