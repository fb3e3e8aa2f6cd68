"""The register of incidents, pure: the record, its levels and its life, what leaves and enters in other forms.

It stands by itself: nothing of the deciding half is imported here, and nothing is read, written or sent. Storage is
`kangma.store.register`.
"""
