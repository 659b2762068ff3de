"""The revisions, oldest first; each is generated from FEEDS and then read by a person."""
