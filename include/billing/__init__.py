"""The merchant's side of the fence: reading due charges, writing outcomes back."""
