"""gdb's remote protocol over a dump: memory, registers, every task a thread, nothing writes.

``packets``    framing: bytes to packets and back; every length has a bound
``registers``  the order in which gdb wants registers, by architecture
``threads``    tasks as threads
``server``     what each packet is answered with, and the loop that does it
"""
