"""Eight queens by generators and sets."""


def solutions(size, columns=()):
    if len(columns) == size:
        yield columns
        return
    row = len(columns)
    for column in range(size):
        if all(column != c and abs(column - c) != row - r for r, c in enumerate(columns)):
            yield from solutions(size, columns + (column,))


found = list(solutions(7))
print(len(found), found[0], found[-1])
