"""Whether a figure meets its mark: one rule for every table, on the figure as it is printed."""

# Of two proxies measured beside each other on a virtual machine, less than this is no difference.
NO_DIFFERENCE = 0.10


def is_met(value, mark, decimals=2, less=True):
    shown = round(value, decimals)
    return shown <= mark if less else shown >= mark


def verdict(value, mark, decimals=2, less=True):
    if is_met(value, mark, decimals, less):
        return "yes"
    return f"**no**, by {abs(round(value, decimals) / mark - 1):.0%}"


def beside_peer(value, mark):
    """Of a gateway's figure as a multiple of a peer's: by how much, too."""
    by = round(value, 2) / mark - 1
    if is_met(value, mark):
        return f"yes, by {-by:.0%}"
    return f"**no**, by {by:.0%}" if by >= NO_DIFFERENCE else f"no difference (+{by:.0%})"
