"""Pictures for people: an image with outlines and a caption, and one HTML page that needs nothing else."""
