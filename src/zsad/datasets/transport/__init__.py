"""From an address, or from what the user put there, to verified and unpacked files; nothing here knows of pictures."""
