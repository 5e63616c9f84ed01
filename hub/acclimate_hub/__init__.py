"""The server of the fleet. Nothing is here yet: one device learns without it."""
