"""What leaves the register in other forms, and what comes in. One module a form, each a pair: write what is `Seen`,
read bytes into `Taken`. Nothing is dropped in silence: what a form cannot carry, or we cannot take, is reported."""
