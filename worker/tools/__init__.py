"""The tools that agents call: display, notes, code review, web and client tools."""
