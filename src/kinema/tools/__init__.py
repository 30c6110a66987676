"""Things one does with models beside training and using them."""
