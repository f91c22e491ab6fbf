"""
Builder of real kernel crash dumps, and the dumps bundled with the project.

Why a builder: a debugger that has only seen hand-made dumps has seen nothing.
Every dump here comes from a Debian kernel that booted in QEMU under software
emulation, did something, and died; and the guest wrote down what it looked
like from inside (tasks, modules, mounts, memory) just before. That record is
the truth for the tests, and it owes nothing to any debugger.

Owns: fetching kernels, making initramfs images, running guests, taking dumps,
recording facts. Must not know: btfdbg. Standard library only.
"""
