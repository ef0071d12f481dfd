"""A pretended CUDA device, to find device mistakes without a GPU.

Tensors report that they are on ``cuda:0`` and are computed on the CPU. Every operation is checked: a CPU tensor next to a CUDA tensor
raises as it would on a GPU, a random generator of another device raises, and each transfer that makes the host wait is counted with the
line of the project that caused it. It cannot see cuBLAS, cuDNN, streams, real memory or Inductor.
"""
