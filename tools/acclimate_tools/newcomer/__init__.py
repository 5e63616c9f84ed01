"""The newcomer's hour: the README from top to bottom in a machine that has Python and make, with the clock."""
