"""Published weights: reading and writing the weights of PYSKL."""
