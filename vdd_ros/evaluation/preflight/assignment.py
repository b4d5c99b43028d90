"""The assignment with the lowest cost, without SciPy, which a robot does not have."""

import numpy as np
from numpy.typing import NDArray


def least_assignment(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the column, (n,), of each row such that every column is taken once and the total cost is minimal.

    Shortest augmenting paths (Jonker and Volgenant, 1987, Computing 38): the rows are added one by one, each along the
    cheapest path of reassignments, by Dijkstra's algorithm on the costs reduced by the potentials of rows and columns.

    Args:
        cost: (n, n), finite.
    """
    count = len(cost)
    by_row, by_column = np.zeros(count), np.zeros(count)  # potentials
    row_of = np.full(count, -1)
    for start in range(count):
        distance, before = np.full(count, np.inf), np.full(count, -1)
        open_columns = np.ones(count, bool)
        row, column, reached = start, -1, 0.0
        while row >= 0:
            through = reached + cost[row] - by_row[row] - by_column
            shorter = open_columns & (through < distance)
            distance[shorter], before[shorter] = through[shorter], column
            column = int(np.argmin(np.where(open_columns, distance, np.inf)))
            reached, open_columns[column] = float(distance[column]), False
            row = int(row_of[column])
        done = ~open_columns
        by_row[row_of[done & (row_of >= 0)]] += reached - distance[done & (row_of >= 0)]
        by_row[start] += reached
        by_column[done] -= reached - distance[done]
        while column >= 0:
            previous = int(before[column])
            row_of[column] = start if previous < 0 else row_of[previous]
            column = previous
    found = np.empty(count, np.int64)
    found[row_of] = np.arange(count)
    return found
