"""What a compile or a link may import besides its own: nothing here costs more than it must.

A test (tests/unit/cc/test_driver.py) says which of the standard library is meant by that.
"""
