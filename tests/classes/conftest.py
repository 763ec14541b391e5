"""The fixtures of these tests, under a module name that no other directory has."""

from class_kernels import booted, class_tree, given, linked

__all__ = ["booted", "class_tree", "given", "linked"]
