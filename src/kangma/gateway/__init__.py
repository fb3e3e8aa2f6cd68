"""HTTP. Each part of Kangma that is spoken to over a network has its own package here, and stands by itself."""
