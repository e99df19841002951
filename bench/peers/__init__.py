"""What ilsvrc is measured beside, each a program of its own."""
