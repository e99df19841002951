"""Object stores: real servers on loopback, and what holds on each of them."""
