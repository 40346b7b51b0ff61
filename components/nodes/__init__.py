"""What runs the nodes. A runtime is a package of its own here."""
