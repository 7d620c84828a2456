"""DPRNet's detector (section 3.1 of the paper): Faster R-CNN with branches for quality and instance."""
