"""All that goes over the network to the Hub: what a repository holds, and bringing one revision's needed files here.

Names, errors and the layout of the cache are huggingface_hub's. The bytes are fetched by our own hands: its
version 2 throws a partial file away when a download ends early, and one of hours must go on where it was; nor does it
stop in the middle when asked. No torch.
"""
