"""Where frames, sound, speech and comments come from: iterators whose times only grow."""
