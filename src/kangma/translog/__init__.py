"""The transparency log: a Merkle tree of entries as static tiles, signed checkpoints, proofs, witnesses.

Read `tree` (the hashing and what a proof is), `tiles` (how the tree lies in files), `log` (how it grows), `note` and
`checkpoint` (how its head is signed), `witness` (who else saw it), `entries` (what is in it), `fsck` (whether it holds).
Bytes and rules: docs/formats/log.md.
"""
