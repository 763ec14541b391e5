"""A kernel for what a program needs.

calls.py   which system calls a kernel can be built with, and what a configuration says of them
kernel.py  a class of kernels: its objects, kept, and the link for one list of calls
"""
