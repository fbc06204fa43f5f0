"""The arithmetic of the network: layers, activations, initial weights, loss."""
