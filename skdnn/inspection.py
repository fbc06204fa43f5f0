"""Numbers that tell how a network does inside."""
