"""Stacks: many runs of one network trained as one batch, each with its own u, gamma and eta.

`deepnets.batched.stack.choose_stack` chooses the implementation. A faster stack for another network is a class with the methods of
`deepnets.batched.stack.Stack` and one more line there. `VectorisedStack` (any module, `vmap` over pairs) is the reference in its tests.
"""
