"""Prints the golden values of `src/estimate/tests.rs`, as another program computes them.

    python3 -m venv DIR && DIR/bin/pip install lifelines==0.30.3 && DIR/bin/python tests/golden/estimate.py
"""

from lifelines import KaplanMeierFitter
from lifelines.fitters.npmle import npmle, reconstruct_survival_function

# (from, to, works), by the numbers of edges of the grid.
WINDOWS = [
    (0, 7, 3), (0, 8, 4), (6, 10, 5), (7, 16, 2), (7, 14, 3), (17, 25, 2), (37, 44, 1), (24, 40, 2),
    (0, 5, 1), (4, 11, 4), (5, 12, 2), (5, 11, 1), (11, 15, 3), (11, 18, 2), (19, 35, 3), (16, 24, 2),
    (13, 17, 2), (15, 22, 4), (22, 30, 1), (30, 36, 2),
]
lower = [a for a, b, n in WINDOWS for _ in range(n)]
upper = [b for a, b, n in WINDOWS for _ in range(n)]
# Its intervals are closed; ours are open at their begin, so they begin half an edge later.
lower = [a + 0.5 for a in lower]
masses, intervals = npmle(lower, upper, tol=1e-13, max_iter=1_000_000)
for mass, interval in zip(masses, intervals):
    print(f"{interval.left - 0.5:.0f}, {interval.right:.0f}, {mass:.9f}")
