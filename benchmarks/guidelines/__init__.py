"""Records of the guidelines: how they are made and checked."""
