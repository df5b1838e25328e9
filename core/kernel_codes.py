"""Numbers that stand for names where kernels are called: choices, sources, and places of parameters."""

from __future__ import annotations

from typing import Final

# Kinds of position weight, in the order of core.params.POSITION_WEIGHTS.
SAME: Final = 0
LINEAR: Final = 1
QUADRATIC: Final = 2
LOG: Final = 3
DIV: Final = 4
EXPONENTIAL: Final = 5

# Sources of a recommended item.
NEIGHBOURS: Final = 0
RULES: Final = 1
POPULAR: Final = 2

# Places in the integer parameters.
P_N: Final = 0
P_EXCLUDE: Final = 1  # 0 none, 1 current, 2 session
P_K: Final = 2
P_M: Final = 3
P_LAST: Final = 4
P_POSITION: Final = 5
P_SCORE: Final = 6
P_COSINE: Final = 7
P_RULE_STEPS: Final = 8
P_RULE_SESSIONS: Final = 9
INT_PARAMETERS: Final = 10

# Places in the real parameters.
R_POSITION_DECAY: Final = 0
R_SCORE_DECAY: Final = 1
R_IDF_SIMILARITY: Final = 2
R_RECENCY_S: Final = 3
R_DISTANCE_DECAY: Final = 4
R_BEFORE: Final = 5
R_IDF_SCORE: Final = 6
R_PRIOR: Final = 7
REAL_PARAMETERS: Final = 8
