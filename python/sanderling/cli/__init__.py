"""The command `sanderling`: one file a verb, loaded when it is used."""
