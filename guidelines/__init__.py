"""Records that come with the package; see docs/guidelines.md."""
