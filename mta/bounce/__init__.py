"""What comes back: return paths, bounces, complaints, our own notices."""
