"""What an answer means and what follows from it."""
