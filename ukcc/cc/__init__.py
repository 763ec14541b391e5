"""The compiler driver: argv → invocation (parse) → plan → exec.

Nothing here may import more than `os` and `sys` on the compile path; a test holds it to that.
"""
