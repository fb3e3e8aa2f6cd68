"""The transparency log: a Merkle tree of entries as static tiles, signed checkpoints, proofs, witnesses."""
