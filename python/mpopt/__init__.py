"""The Python side of mpopt: calls its command-line tools and reads what they write."""
from mpopt.tools import ToolError, execute, plan

__all__ = ["ToolError", "execute", "plan"]
