"""From predictions and ground truth to metrics, tables and a verdict. Starts without torch.

May import `inference` and what that may import.
"""
